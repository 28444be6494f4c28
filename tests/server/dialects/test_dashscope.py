"""`/api-ws/v1/inference`: the tasks of the DashScope dialect on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from cosyserve.engine.interface import EngineDied
from support.engines.fake_engine import RATE, WORD_SECONDS, FakeEngine
from support.listening.audio import make_file, speechlike
from support.peers.peers import Peer, Socket, message, text

PATH = "/api-ws/v1/inference"
WORD_BYTES = round(WORD_SECONDS * RATE) * 2
TASK = {"task_group": "audio", "task": "tts", "function": "SpeechSynthesizer"}


def run_task(task_id: str, model: str = "cosyvoice-v2", **parameters: Any) -> str:
    wanted = {"voice": "plain", "format": "pcm", "sample_rate": RATE, **parameters}
    return message("run-task", task_id, model=model, parameters=wanted, **TASK)


@asynccontextmanager
async def inference(peer: Peer, path: str = PATH) -> AsyncIterator[Socket]:
    async with peer.socket(path) as socket:
        yield socket


async def heard(socket: Socket, task_id: str) -> tuple[list[dict[str, Any]], bytes]:
    """Everything up to the task's end: its events, and the sound."""
    events: list[dict[str, Any]] = []
    sound = b""
    announced = 0
    while True:
        data = await socket.raw.recv()
        if isinstance(data, bytes):
            announced -= 1
            assert announced == 0, "sound came without its event"
            sound += data
            continue
        assert announced == 0, "an event came between the announcement and its sound"
        events.append(json.loads(data))
        header, payload = events[-1]["header"], events[-1]["payload"]
        assert header["task_id"] == task_id
        if header["event"] in ("task-finished", "task-failed"):
            return events, sound
        if header["event"] == "result-generated":
            announced = int(payload["output"]["type"] == "sentence-synthesis")


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [
        each["payload"].get("output", {}).get("type") or each["header"]["event"] for each in events
    ]


@pytest.mark.parametrize("path", [PATH, PATH + "/"])
async def test_a_task_is_heard_in_sentences(peer: Peer, path: str) -> None:
    async with inference(peer, path) as socket:
        await socket.send(run_task("t"), text("continue-task", "t", ""))
        await socket.send(
            text("continue-task", "t", "one two. th"), text("continue-task", "t", "ree")
        )
        await socket.send(message("finish-task", "t"))
        events, sound = await heard(socket, "t")
    assert len(sound) == 3 * WORD_BYTES
    assert kinds(events) == [
        "task-started",
        "sentence-begin", "sentence-synthesis", "sentence-synthesis", "sentence-end",
        "sentence-begin", "sentence-synthesis", "sentence-end",
        "task-finished",
    ]  # fmt: skip
    assert events[-1]["payload"]["usage"]["characters"] == len("one two. three")
    assert all("usage" in each["payload"] for each in events[1:])


async def test_a_header_is_only_in_the_first_frame(peer: Peer) -> None:
    async with inference(peer) as socket:
        await socket.send(run_task("t", format="wav"), text("finish-task", "t", "one two"))
        _, sound = await heard(socket, "t")
    assert sound.startswith(b"RIFF")
    assert sound.count(b"RIFF") == 1


async def test_a_flush_speaks_what_has_come(peer: Peer) -> None:
    async with inference(peer) as socket:
        await socket.send(run_task("t"), text("continue-task", "t", "one"))
        await socket.send(message("continue-task", "t", input={"flush": True}))
        assert (await socket.next())["header"]["event"] == "task-started"
        assert (await socket.next())["payload"]["output"]["type"] == "sentence-begin"
        assert not peer.engine.sessions[0].finished
        await socket.send(message("finish-task", "t"))


async def test_a_cancelled_task_finishes_at_once(peer: Peer) -> None:
    peer.engine.gate.clear()
    async with inference(peer) as socket:
        await socket.send(run_task("t"), text("continue-task", "t", "one two "))
        await socket.send(message("finish-task", "t", input={"directive": "cancel"}))
        events, sound = await heard(socket, "t")
        assert kinds(events)[-1] == "task-finished"
        assert sound == b""
        peer.engine.gate.set()
        await socket.send(run_task("u"), text("finish-task", "u", "again"))
        assert len((await heard(socket, "u"))[1]) == WORD_BYTES
    assert peer.engine.sessions[0].cancelled


@pytest.mark.parametrize("second", ["u", "t"])
async def test_a_run_task_takes_the_place_of_the_running_one(peer: Peer, second: str) -> None:
    peer.engine.gate.clear()
    async with inference(peer) as socket:
        await socket.send(run_task("t"), text("continue-task", "t", "never heard "))
        assert (await socket.next())["header"]["event"] == "task-started"
        await socket.send(run_task(second))
        assert (await socket.next())["header"]["event"] == "task-started"
        peer.engine.gate.set()
        await socket.send(text("finish-task", second, "one"))
        events, sound = await heard(socket, second)
    assert kinds(events)[0] == "sentence-begin"
    assert len(sound) == WORD_BYTES
    assert peer.engine.sessions[0].cancelled
    assert peer.server.services.admission.tasks == 0


async def test_the_place_of_the_task_that_is_replaced_is_free(served: Any) -> None:
    async with served(max_tasks_per_token=1) as (server, engine), Peer.of(server, engine) as peer:
        engine.gate.clear()
        async with inference(peer) as socket:
            await socket.send(run_task("t"), text("continue-task", "t", "never heard "))
            assert (await socket.next())["header"]["event"] == "task-started"
            await socket.send(run_task("u"), text("finish-task", "u", "one"))
            assert (await socket.next())["header"]["event"] == "task-started"
            engine.gate.set()
            _, sound = await heard(socket, "u")
    assert len(sound) == WORD_BYTES


async def test_tasks_that_are_replaced_before_they_begin_are_counted_as_over(peer: Peer) -> None:
    async with inference(peer) as socket:
        await socket.send(run_task("t"), run_task("u"), run_task("u"), run_task("v"))
        await socket.send(text("finish-task", "v", "one"))
        await heard(socket, "v")
    async with peer.http.get("/metrics") as answer:
        page = await answer.text()
    assert 'cosyserve_tasks_running{mode="fast_replication"} 0.0' in page
    assert 'outcome="cancelled",transport="dashscope"} 3.0' in page
    assert 'outcome="finished",transport="dashscope"} 1.0' in page


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_refused_run_task_with_the_running_id_names_the_field(
    peer: Peer, cancelled: bool
) -> None:
    peer.engine.gate.clear()
    async with inference(peer) as socket:
        await socket.send(run_task("t"))
        assert (await socket.next())["header"]["event"] == "task-started"
        cancel = message("finish-task", "t", input={"directive": "cancel"})
        await socket.send(*([cancel] if cancelled else []), run_task("t", rate=9))
        failed = await socket.next()
        assert failed["header"]["error_message"].startswith("payload.parameters.rate: 9 ")
        with pytest.raises(ConnectionClosed):
            await socket.raw.recv()


async def test_what_follows_a_failure_is_not_begun(peer: Peer) -> None:
    async with inference(peer) as socket:
        await socket.send(run_task("t", rate=9), run_task("u"), text("finish-task", "u", "one"))
        failed = await socket.next()
        assert (failed["header"]["event"], failed["header"]["task_id"]) == ("task-failed", "t")
        with pytest.raises(ConnectionClosed):
            await socket.raw.recv()
    assert not peer.engine.sessions


async def test_a_failure_of_another_message_ends_what_is_spoken(peer: Peer) -> None:
    async with inference(peer) as socket:
        await socket.send(run_task("t"), text("continue-task", "t", "one "))
        assert (await socket.next())["header"]["event"] == "task-started"
        await socket.send(message("pause-task", "u"))
        async for data in socket.raw:  # what comes last is the failure
            last = data
    assert json.loads(last)["header"]["event"] == "task-failed"
    await peer.server.services.admission.wait_idle()
    assert peer.engine.sessions[0].cancelled
    assert peer.server.services.admission.tasks == 0


async def test_a_failure_is_told_and_closes_the_connection(peer: Peer) -> None:
    async with inference(peer) as socket:
        peer.engine.error = EngineDied("the engine died")
        await socket.send(run_task("t"), text("finish-task", "t", "one"))
        events, _ = await heard(socket, "t")
        assert events[-1]["header"]["error_message"] == "the engine died"
        with pytest.raises(ConnectionClosed):
            await socket.raw.recv()


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (run_task("t", rate=3), "payload.parameters.rate: 3"),
        (run_task("t", model="gpt-4"), "payload.model: no model 'gpt-4'"),
        (run_task("t", voice="nobody"), "payload.parameters.voice: "),
        (text("continue-task", "t", "Hi"), "no task 't'"),
        (message("pause-task", "t"), "header.action: 'pause-task'"),
    ],
)
async def test_a_refusal_names_the_field_and_closes_the_connection(
    peer: Peer, frame: str, named: str
) -> None:
    async with inference(peer) as socket:
        await socket.send(frame)
        failed = await socket.next()
        assert failed["header"]["event"] == "task-failed"
        assert failed["header"]["error_message"].startswith(named) or named in str(failed)
        with pytest.raises(ConnectionClosed):
            await socket.raw.recv()
        assert socket.raw.close_code == 1000
        assert failed["header"]["error_message"].endswith(socket.raw.close_reason or "nothing")


async def test_a_refused_admission_closes_the_connection(served: Any) -> None:
    async with served(max_tasks_per_token=1) as (server, engine), Peer.of(server, engine) as peer:
        engine.gate.clear()
        async with inference(peer) as one, inference(peer) as two:
            await one.send(run_task("t"), text("continue-task", "t", "one "))
            assert (await one.next())["header"]["event"] == "task-started"
            await two.send(run_task("u"))
            assert (await two.next())["header"]["error_code"] == "Throttling.RateQuota"
            with pytest.raises(ConnectionClosed):
                await two.raw.recv()


async def test_a_task_without_text_times_out_and_closes(served: Any) -> None:
    async with (
        served(dashscope_text_timeout=0.2) as (server, engine),
        Peer.of(server, engine) as peer,
        inference(peer) as socket,
    ):
        await socket.send(run_task("t"), text("continue-task", "t", "one "))
        events, _ = await heard(socket, "t")
        assert events[-1]["header"]["error_message"] == "request timeout after 0.2 seconds."
        with pytest.raises(ConnectionClosed):
            await socket.raw.recv()


async def test_a_connection_may_wait_before_its_first_task_but_not_between_two(served: Any) -> None:
    async with (
        served(dashscope_idle_timeout=0.3) as (server, engine),
        Peer.of(server, engine) as peer,
        inference(peer) as socket,
    ):
        with pytest.raises(TimeoutError):  # nothing is sent, and it is not closed
            async with asyncio.timeout(1.0):
                await socket.raw.recv()
        await socket.send(run_task("t"), text("finish-task", "t", "one"))
        await heard(socket, "t")
        with pytest.raises(ConnectionClosed):
            await socket.raw.recv()
        assert socket.raw.close_reason == "idle"


async def test_words_come_at_the_end_of_their_sentence(served: Any) -> None:
    async with (
        served(FakeEngine(word_times=True)) as (server, engine),
        Peer.of(server, engine) as peer,
        inference(peer) as socket,
    ):
        await socket.send(run_task("t", word_timestamp_enabled=True))
        await socket.send(text("finish-task", "t", "one two. three"))
        events, _ = await heard(socket, "t")
    ends = [e for e in events if e["payload"].get("output", {}).get("type") == "sentence-end"]
    words = [end["payload"]["output"]["sentence"]["words"] for end in ends]
    assert [[word["text"] for word in sentence] for sentence in words] == [
        ["one", "two."],
        ["three"],
    ]
    assert (words[1][0]["begin_index"], words[1][0]["begin_time"]) == (0, 100)


async def test_words_of_a_replaced_phrase_have_its_place(served: Any) -> None:
    fix = {"replace": [{"AI": "artificial mind"}]}
    async with (
        served(FakeEngine(word_times=True)) as (server, engine),
        Peer.of(server, engine) as peer,
        inference(peer) as socket,
    ):
        await socket.send(run_task("t", word_timestamp_enabled=True, hot_fix=fix))
        await socket.send(text("continue-task", "t", "so A"), text("continue-task", "t", "I is"))
        await socket.send(text("finish-task", "t", " A"))
        events, _ = await heard(socket, "t")
        assert engine.sessions[0].text == "so artificial mind is A"
    (end,) = [e for e in events if e["payload"].get("output", {}).get("type") == "sentence-end"]
    output = end["payload"]["output"]
    assert output["original_text"] == "so AI is A"
    words = output["sentence"]["words"]
    assert [(each["text"], each["begin_index"], each["end_index"]) for each in words] == [
        ("so", 0, 2), ("AI", 3, 5), ("AI", 3, 5), ("is", 6, 8), ("A", 9, 10),
    ]  # fmt: skip
    assert end["payload"]["usage"]["characters"] == len("so AI is A")


async def test_a_flush_ends_a_phrase(peer: Peer) -> None:
    async with inference(peer) as socket:
        await socket.send(run_task("t", hot_fix={"replace": [{"one two": "three"}]}))
        await socket.send(text("continue-task", "t", "one"))
        await socket.send(message("continue-task", "t", input={"flush": True}))
        await socket.send(text("finish-task", "t", " two one two"))
        await heard(socket, "t")
        assert peer.engine.sessions[0].text == "one two three"


async def test_tasks_are_counted_under_their_own_name(peer: Peer) -> None:
    async with inference(peer) as socket:
        await socket.send(run_task("t"), text("finish-task", "t", "one"))
        await heard(socket, "t")
    async with peer.http.get("/metrics") as answer:
        page = await answer.text()
    assert 'cosyserve_tasks_total{code="",format="pcm",mode="fast_replication"' in page
    assert 'transport="dashscope"' in page


@pytest.mark.parametrize("voice", ["longxiaochun", "longxiaochun_v2", "loongstella"])
async def test_a_hosted_voice_that_nobody_has_is_one_of_the_engines(peer: Peer, voice: str) -> None:
    async with inference(peer) as socket:
        await socket.send(run_task("t", voice=voice), text("finish-task", "t", "one"))
        _, sound = await heard(socket, "t")
    assert len(sound) == WORD_BYTES


async def test_a_hosted_voice_may_stand_for_a_configured_one(served: Any) -> None:
    async with (
        served(dashscope_default_voice="nobody") as (server, engine),
        Peer.of(server, engine) as peer,
        inference(peer) as socket,
    ):
        await socket.send(run_task("t", voice="longxiaochun"))
        assert "'nobody'" in (await socket.next())["header"]["error_message"]


async def test_a_hosted_voice_may_be_a_references_name(peer: Peer) -> None:
    clip = make_file(speechlike(16000, 2.0), 16000, "wav", "pcm_s16le")
    await peer.upload(clip, name="longxiaochun")
    async with inference(peer) as socket:
        await socket.send(run_task("t", voice="longxiaochun"), text("finish-task", "t", "one"))
        await heard(socket, "t")
    assert peer.engine.sessions[0].voice.content_id != "plain"

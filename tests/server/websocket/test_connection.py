from __future__ import annotations

import asyncio
import json

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from cosyserve.engine.interface import EngineDied
from support.engines.fake_engine import RATE, WORD_SECONDS, FakeEngine
from support.peers.peers import Peer, audio, message, run_task, text

from ..conftest import Served

WORD_BYTES = round(WORD_SECONDS * RATE) * 2


async def test_a_task_from_run_to_finish(peer: Peer) -> None:
    async with peer.socket() as socket:
        await socket.send(run_task("t", debug=True))
        assert (await socket.next())["header"] == {
            "task_id": "t", "event": "task-started", "attributes": {},
        }  # fmt: skip
        await socket.send(
            text("continue-task", "t", "one two th"), text("continue-task", "t", "ree ")
        )
        await socket.send(text("finish-task", "t", "four"))
        got = await socket.until("task-finished")
    chunks = got[:-1]
    assert len(audio(chunks)) == 4 * WORD_BYTES
    assert all(c["payload"]["metrics"]["speech_len"] == pytest.approx(WORD_SECONDS) for c in chunks)
    first = chunks[0]["payload"]["metrics"]
    assert first["generate_time"] == pytest.approx(0.009)
    assert (first["queue_time"], first["lm_time"], first["tokens"]) == (0.001, 0.002, 2)
    end = got[-1]["payload"]
    assert end["output"]["finish_reason"] == "stop"
    assert end["usage"]["characters"] == len("one two three four")
    assert end["metrics"]["speech_len"] == pytest.approx(4 * WORD_SECONDS)
    assert peer.engine.sessions[0].text == "one two three four"


async def test_text_may_come_before_task_started_and_in_run_task(peer: Peer) -> None:
    async with peer.socket() as socket:
        await socket.send(
            message("run-task", "t", model="cosyvoice-v2", input={"text": "one "},
                    parameters={"mode": "fast_replication", "reference_audio_id": "plain"}),
            text("continue-task", "t", "two "),
            message("finish-task", "t"),
        )  # fmt: skip
        got = await socket.until("task-finished")
    assert [m["header"]["event"] for m in got][:2] == ["task-started", "result-generated"]
    assert peer.engine.sessions[0].text == "one two "


async def test_speech_comes_before_the_text_ends(peer: Peer) -> None:
    async with peer.socket() as socket:
        await socket.send(run_task("t"), text("continue-task", "t", "one two "))
        got = await socket.until("result-generated")
        assert not peer.engine.sessions[0].finished
        await socket.send(message("finish-task", "t"))
        got += await socket.until("task-finished")
    assert len(audio(got)) == 2 * WORD_BYTES


async def test_tasks_one_after_another_and_at_once_on_one_connection(peer: Peer) -> None:
    async with peer.socket() as socket:
        await socket.send(run_task("a"), run_task("b"))
        await socket.send(
            text("finish-task", "a", "one"), text("finish-task", "b", "one two three")
        )
        got = await socket.until("task-finished") + await socket.until("task-finished")
        await socket.send(run_task("a"), text("finish-task", "a", "again"))
        again = await socket.until("task-finished", "a")
    assert len(audio(got, "a")) == WORD_BYTES
    assert len(audio(got, "b")) == 3 * WORD_BYTES
    assert len(audio(again, "a")) == WORD_BYTES


@pytest.mark.parametrize("words", ["", "   \n"])
async def test_a_task_with_nothing_to_say_is_20_ms_of_silence(peer: Peer, words: str) -> None:
    async with peer.socket() as socket:
        await socket.send(run_task("t"), text("finish-task", "t", words))
        got = await socket.until("task-finished")
    assert [m["header"]["event"] for m in got] == [
        "task-started",
        "result-generated",
        "task-finished",
    ]
    assert audio(got) == bytes(round(0.02 * RATE) * 2)
    assert got[1]["payload"]["metrics"]["speech_len"] == pytest.approx(0.02)


async def test_binary_transport_sends_each_chunk_right_after_its_event(peer: Peer) -> None:
    async with peer.socket() as socket:
        await socket.send(run_task("t", audio_transport="binary"), run_task("u"))
        await socket.send(text("finish-task", "t", "one two"), text("finish-task", "u", "one two"))
        sound, ended = b"", 0
        while ended < 2:
            found = await socket.next()
            ended += found["header"]["event"] == "task-finished"
            if found["header"] == {"task_id": "t", "event": "result-generated", "attributes": {}}:
                assert "data" not in found["payload"]["output"]["audio"]
                frame = await socket.raw.recv()
                assert isinstance(frame, bytes)
                sound += frame
    assert len(sound) == 2 * WORD_BYTES


async def test_cancel_ends_the_task_and_leaves_the_others_alone(peer: Peer) -> None:
    async with peer.socket() as socket:
        await socket.send(run_task("a"), run_task("b"))
        await socket.send(text("continue-task", "a", "one two"), text("continue-task", "b", "one "))
        await socket.until("result-generated", "a")
        await socket.send(message("cancel-task", "a"), text("continue-task", "a", " three "))
        end = (await socket.until("task-finished", "a"))[-1]
        await socket.send(text("finish-task", "b", "two"), message("cancel-task", "a"))
        rest = await socket.until("task-finished", "b")
    assert end["payload"]["output"]["finish_reason"] == "cancelled"
    assert not [m for m in rest if m["header"]["task_id"] == "a"]
    assert peer.engine.sessions[0].cancelled
    assert not peer.engine.open


async def test_a_dropped_connection_cancels_its_tasks(peer: Peer) -> None:
    async with peer.socket() as socket:
        await socket.send(run_task("t"), text("continue-task", "t", "one "))
        await socket.until("result-generated")
        socket.raw.transport.abort()
    await peer.server.services.admission.wait_idle()
    assert peer.engine.sessions[0].cancelled
    assert not peer.engine.open


async def test_a_client_that_vanishes_while_the_engine_is_busy_is_noticed(peer: Peer) -> None:
    peer.engine.gate.clear()
    async with peer.socket() as socket:
        await socket.send(run_task("t"), text("continue-task", "t", "one "))
        await socket.until("task-started")
    await peer.server.services.admission.wait_idle()
    assert not peer.engine.open


async def test_the_running_task_goes_on_when_its_id_is_used_again(peer: Peer) -> None:
    async with peer.socket() as socket:
        await socket.send(run_task("t"))
        await socket.until("task-started")
        await socket.send(run_task("t"))
        refused = await socket.next()
        await socket.send(text("finish-task", "t", "one"))
        got = await socket.until("task-finished", "t")
    assert refused["header"]["error_code"] == "InvalidState"
    assert len(audio(got)) == WORD_BYTES


async def test_a_bad_message_ends_its_task_only(peer: Peer) -> None:
    async with peer.socket() as socket:
        await socket.send(run_task("a"), run_task("b"))
        await socket.until("task-started", "b")
        await socket.send(message("continue-task", "a", input={"text": 7}))
        failed = (await socket.until("task-failed"))[-1]["header"]
        await socket.send(text("finish-task", "b", "one"))
        got = await socket.until("task-finished", "b")
    assert (failed["task_id"], failed["error_code"]) == ("a", "InvalidParameter")
    assert "text" in failed["error_message"]
    assert peer.engine.sessions[0].cancelled
    assert len(audio(got, "b")) == WORD_BYTES


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"mode": "sing"}, "InvalidParameter"),
        ({"speed": 9}, "InvalidParameter"),
        ({"reference_audio_id": "1b4e28ba-2fa1-11d2-883f-0016d3cca427"}, "ReferenceAudioNotFound"),
        ({"reference_audio_id": "../../etc/passwd"}, "ReferenceAudioNotFound"),
    ],
)
async def test_a_refused_task_leaves_the_connection_usable(
    peer: Peer, parameters: dict[str, object], code: str
) -> None:
    async with peer.socket() as socket:
        await socket.send(run_task("t", **parameters), text("continue-task", "t", "lost "))
        failed = await socket.next()
        await socket.send(run_task("t"), text("finish-task", "t", "one"))
        got = await socket.until("task-finished")
    assert failed["header"]["error_code"] == code
    assert [m["header"]["event"] for m in got] == [
        "task-started",
        "result-generated",
        "task-finished",
    ]


async def test_an_engine_that_dies_fails_the_task(peer: Peer) -> None:
    peer.engine.error = EngineDied("the worker that spoke is gone")
    async with peer.socket() as socket:
        await socket.send(run_task("t"), text("finish-task", "t", "one"))
        failed = (await socket.until("task-failed"))[-1]["header"]
    assert failed["error_code"] == "EngineUnavailable"
    assert not peer.engine.open


async def test_an_unforeseen_error_tells_nothing_of_the_inside(peer: Peer) -> None:
    peer.engine.error = RuntimeError("secret detail")
    async with peer.socket() as socket:
        await socket.send(run_task("t"), text("finish-task", "t", "one"))
        failed = (await socket.until("task-failed"))[-1]["header"]
    assert (failed["error_code"], failed["error_message"]) == ("InternalError", "internal error")


@pytest.mark.parametrize(
    ("frame", "code"), [("{not json", 1007), (b"\0", 1003), ("x" * 3_000_000, 1009)]
)
async def test_a_frame_that_cannot_be_understood_closes(
    peer: Peer, frame: str | bytes, code: int
) -> None:
    async with peer.socket() as socket:
        await socket.send(run_task("t"))
        await socket.until("task-started")
        await socket.send(frame)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.until("task-failed")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
    await peer.server.services.admission.wait_idle()


async def test_no_more_tasks_than_allowed_on_a_connection(served) -> None:
    async with served(max_tasks_per_connection=2) as (server, engine):
        async with Peer.of(server, engine) as peer, peer.socket() as socket:
            await socket.send(run_task("a"), run_task("b"), run_task("c"))
            failed = (await socket.until("task-failed"))[-1]["header"]
            await socket.send(text("finish-task", "a", "one"), text("finish-task", "b", "two"))
            await socket.until("task-finished")
            await socket.until("task-finished")
            await socket.send(run_task("c"), text("finish-task", "c", "three"))
            assert audio(await socket.until("task-finished", "c"))
    assert (failed["task_id"], failed["error_code"]) == ("c", "Throttled")
    assert "try again in" in failed["error_message"]


async def test_a_task_without_text_times_out(served) -> None:
    async with served(idle_text_timeout=0.05) as (server, engine):
        async with Peer.of(server, engine) as peer, peer.socket() as socket:
            await socket.send(run_task("t"))
            failed = (await socket.until("task-failed"))[-1]["header"]
            await socket.send(run_task("u"))
            await socket.until("task-failed", "u")  # the connection takes another one
    assert failed["error_code"] == "TaskTimeout"
    assert not engine.open


async def test_a_reader_that_stalls_is_cut_off_and_holds_back_nobody(served) -> None:
    endless = "word " * 30_000
    async with served(send_timeout=0.3, send_buffer_bytes=4096, max_message_characters=200_000) as (
        server,
        engine,
    ):
        async with Peer.of(server, engine) as peer:
            async with peer.socket(max_queue=1) as stalled, peer.socket() as other:
                await stalled.send(run_task("t"), text("finish-task", "t", endless))
                await stalled.next()  # and reads no more
                await other.send(run_task("t"), text("finish-task", "t", "one two"))
                assert len(audio(await other.until("task-finished"))) == 2 * WORD_BYTES
                await server.services.admission.wait_idle()
                produced = engine.sessions[0].produced
                stalled.raw.transport.abort()
    # What it took is what the sockets' buffers hold, not the whole speech.
    assert produced < 10_000
    assert engine.sessions[0].cancelled


async def test_the_handshake_wants_a_token_and_the_right_path(peer: Peer) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}):
        with pytest.raises(InvalidStatus) as refused:
            async with peer.socket(additional_headers=headers):
                pass
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body)["code"] == "Unauthorized"
    async with peer.socket(additional_headers={"Authorization": "bob-secret"}) as socket:
        await socket.send(run_task("t"))
        await socket.until("task-started")


async def test_a_browser_sends_its_token_as_a_subprotocol(peer: Peer) -> None:
    async with peer.socket(
        additional_headers={}, subprotocols=["cosyvoice.v1", "bearer.alice-secret"]
    ) as socket:
        assert socket.raw.subprotocol == "cosyvoice.v1"
    with pytest.raises(InvalidStatus) as refused:
        async with peer.socket(
            additional_headers={}, subprotocols=["cosyvoice.v1", "bearer.wrong"]
        ):
            pass
    assert refused.value.response.status_code == 401


async def test_too_many_connections_are_refused_at_the_handshake(served) -> None:
    async with served(max_connections=1) as (server, engine), Peer.of(server, engine) as peer:
        async with peer.socket():
            with pytest.raises(InvalidStatus) as refused:
                async with peer.socket():
                    pass
    assert refused.value.response.status_code == 429
    assert int(refused.value.response.headers["Retry-After"]) >= 1


async def test_no_token_takes_all_connections(served) -> None:
    async with (
        served(max_connections=3) as (server, engine),
        Peer.of(server, engine) as alice,
        Peer.of(server, engine, "bob-secret") as bob,
        alice.socket(),
        alice.socket(),
    ):
        with pytest.raises(InvalidStatus) as refused:
            async with alice.socket():
                pass
        assert refused.value.response.status_code == 429
        async with bob.socket() as socket:
            await socket.send(run_task("t"), text("finish-task", "t", "one"))
            await socket.until("task-finished")


async def test_an_idle_connection_is_closed_where_a_limit_is_set(served) -> None:
    async with served(idle_connection_timeout=0.05) as (server, engine):
        async with Peer.of(server, engine) as peer, peer.socket() as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await socket.next()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


async def test_a_voice_that_is_not_ready_is_waited_for_with_the_text_kept(served) -> None:
    ready = asyncio.Event()
    ready.set()

    class SlowVoices(FakeEngine):
        async def prepare_prompt(self, clip):
            await ready.wait()
            return await super().prepare_prompt(clip)

    from support.listening.audio import make_file, speechlike

    async with served(engine=SlowVoices()) as (server, engine), Peer.of(server, engine) as peer:
        clip = await peer.upload(make_file(speechlike(16000, 2.0), 16000, "wav", "pcm_s16le"))
        engine.known.clear()
        ready.clear()
        async with peer.socket() as socket:
            await socket.send(run_task("t", reference_audio_id=clip))
            for word in ("one ", "two ", "three "):
                await socket.send(text("continue-task", "t", word))
            await socket.send(message("finish-task", "t"), message("finish-task", "nobody"))
            await socket.until("task-failed", "nobody")  # so all before it has been read
            ready.set()
            got = await socket.until("task-finished")
    assert len(audio(got)) == 3 * WORD_BYTES
    assert engine.sessions[0].text == "one two three "


SSML = (
    '<speak>one <mark name="here"/>two<break time="50ms"/>'
    '<phoneme alphabet="ipa" ph="x">three</phoneme></speak>'
)


async def test_ssml_is_spoken_with_its_marks_words_and_notices(served: Served) -> None:
    async with (
        served(FakeEngine(word_times=True)) as (server, engine),
        Peer.of(server, engine) as peer,
        peer.socket() as socket,
    ):
        await socket.send(run_task("t", enable_ssml=True, word_timestamp_enabled=True))
        await socket.send(
            text("continue-task", "t", SSML[:20]), text("finish-task", "t", SSML[20:])
        )
        got = await socket.until("task-finished")
    outputs = [each["payload"]["output"] for each in got[1:]]
    words = [word for output in outputs for word in output.get("words", [])]
    assert [(word["text"], word["begin_index"], word["end_index"]) for word in words] == [
        ("one", 0, 3),
        ("two", 4, 7),
        ("three", 8, 13),
    ]
    assert [word["begin_time"] for word in words] == [0, 50, 150]
    marks = [mark for output in outputs for mark in output.get("marks", [])]
    assert marks == [{"name": "here", "time": 50}]
    assert "<phoneme>" in outputs[-1]["notices"][0]
    assert len(audio(got)) == round(0.2 * RATE) * 2


async def test_broken_ssml_fails_its_task_and_names_the_place(peer: Peer) -> None:
    async with peer.socket() as socket:
        await socket.send(
            run_task("t", enable_ssml=True), text("finish-task", "t", "<speak>one</p>")
        )
        failed = (await socket.until("task-failed"))[-1]["header"]
    assert failed["error_code"] == "InvalidParameter"
    assert "line 1" in failed["error_message"]


async def test_plain_text_with_ssml_enabled_is_spoken_as_it_comes(peer: Peer) -> None:
    async with peer.socket() as socket:
        await socket.send(run_task("t", enable_ssml=True), text("continue-task", "t", "one two "))
        got = await socket.until("result-generated")
        assert not peer.engine.sessions[0].finished
        await socket.send(message("finish-task", "t"))
        got += await socket.until("task-finished")
    assert len(audio(got)) == 2 * WORD_BYTES


async def test_a_flush_speaks_what_has_come(peer: Peer) -> None:
    async with peer.socket() as socket:
        await socket.send(run_task("t"), text("continue-task", "t", "one"))
        await socket.send(message("continue-task", "t", input={"flush": True}))
        await socket.until("result-generated")
        assert not peer.engine.sessions[0].finished
        await socket.send(message("finish-task", "t"))

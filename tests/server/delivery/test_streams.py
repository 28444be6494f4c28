"""Readers at playback pace: every kind of stream on real sockets, with little room at the client.

Time is short: a stall limit of half a second, and sound read at a few times its own pace. What the
server's kernel would swallow by itself is small beside the speech, so most of it waits for the reader.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from cosyserve.engine.interface import EngineDied
from support.engines.fake_engine import RATE, WORD_SECONDS, FakeEngine
from support.peers.peers import PATH, message, run_task, text
from support.peers.slow_reader import Heard, SlowReader
from support.peers.tls import self_signed

from ..conftest import Served

WORDS = 250
SPEECH = "word " * WORDS
WORD_BYTES = round(WORD_SECONDS * RATE) * 2
PCM_BYTES = WORDS * WORD_BYTES
PACE = 150_000.0
SHORT: dict[str, Any] = {"send_timeout": 0.5, "ping_interval": 0.3, "ping_timeout": 0.3}
OPENAI = "/v1/audio/speech"
REST = "/api/v1/audio/speech"
ELEVENLABS = f"/v1/text-to-speech/plain/stream-input?output_format=pcm_{RATE}"
DASHSCOPE = "/api-ws/v1/inference"
UPGRADE = (
    f"GET {PATH} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Authorization: Bearer alice-secret\r\n\r\n"
).encode()

OPENAI_BODY = {"model": "tts-1", "voice": "plain", "input": SPEECH, "response_format": "pcm"}
ELEVENLABS_FRAMES = [json.dumps({"text": words}) for words in (" ", SPEECH, "")]


def rest_body(stream: bool) -> dict[str, Any]:
    spoken = {"text": SPEECH, "mode": "fast_replication", "reference_audio_id": "plain"}
    asked = {**spoken, "output_format": "pcm", "stream": stream}
    return {"model": "cosyvoice-v2", "input": asked, "stream": stream}


def own_frames(**parameters: Any) -> list[str]:
    return [run_task("t", **parameters), text("finish-task", "t", SPEECH)]


def body_of(answer: bytes) -> tuple[bytes, bool]:
    """The body of an HTTP answer, and whether it has its end."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0]
    if b"chunked" not in head.lower():
        return rest, True
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        count = int(size, 16)
        if count == 0:
            return body, True
        body, rest = body + rest[:count], rest[count + 2 :]
    return body, False


def sse_sound(body: bytes) -> bytes:
    events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: ")]
    assert events[-1]["output"]["finish_reason"] == "stop"
    return b"".join(base64.b64decode(each["output"]["audio"]["data"]) for each in events)


def ended_well(heard: Heard, *, closed_by_us: bool = True) -> None:
    assert heard.code == 1000
    assert len(heard.sound) == PCM_BYTES
    if not closed_by_us:
        assert heard.messages[-1]["header"]["event"] == "task-finished"


@pytest.mark.parametrize("secure", [False, True])
async def test_a_reader_at_playback_pace_gets_all(
    served: Served, tmp_path: Path, secure: bool
) -> None:
    more, trust = {}, None
    if secure:
        cert_file, key_file = self_signed(tmp_path)
        more = {"tls_cert": str(cert_file), "tls_key": str(key_file)}
        trust = ssl.create_default_context(cafile=cert_file)

    async with served(**SHORT, **more) as (server, _engine):

        def reader() -> SlowReader:
            return SlowReader(server.port, PACE, tls=trust)

        async def chunked() -> None:
            with reader() as client:
                body, whole = body_of(await client.post(OPENAI, OPENAI_BODY))
            assert (len(body), whole) == (PCM_BYTES, True)

        async def events() -> None:
            with reader() as client:
                body, whole = body_of(await client.post(REST, rest_body(True)))
            assert (len(sse_sound(body)), whole) == (PCM_BYTES, True)

        async def one_object() -> None:
            with reader() as client:
                body, _ = body_of(await client.post(REST, rest_body(False)))
            found = json.loads(body)["output"]["audio"]["data"]
            assert len(base64.b64decode(found)) == PCM_BYTES

        async def own(transport: str) -> None:
            with reader() as client:
                frames = own_frames(audio_transport=transport)
                heard = await client.listen(PATH, *frames, then_close=True)
            ended_well(heard, closed_by_us=False)
            assert heard.pings

        async def elevenlabs() -> None:
            with reader() as client:
                heard = await client.listen(ELEVENLABS, *ELEVENLABS_FRAMES)
            ended_well(heard)
            assert heard.messages[-1]["isFinal"]

        await asyncio.gather(
            chunked(), events(), one_object(), own("base64"), own("binary"), elevenlabs()
        )
        assert server.services.admission.tasks == 0


async def test_what_stands_in_line_is_a_few_seconds_of_sound(served: Served) -> None:
    engine = FakeEngine()
    async with served(engine, send_timeout=0.5) as (server, _):
        with capture_logs() as lines, SlowReader(server.port, PACE) as client:
            frames = own_frames(output_format="mp3", bit_rate="64k")
            listening = asyncio.ensure_future(client.listen(PATH, *frames, then_pause=math.inf))
            await asyncio.wait_for(engine.opened.wait(), 5)
            await asyncio.wait_for(server.services.admission.wait_idle(), 30)
            client.resume()
            heard = await listening
    assert heard.code is None
    assert engine.sessions[0].produced * WORD_SECONDS < 5
    (cut,) = [line for line in lines if line["event"] == "connection_cut"]
    assert "took nothing" in cut["reason"]


async def test_an_answer_that_is_not_read_is_cut_off_with_its_reason(served: Served) -> None:
    async with served(send_timeout=0.2) as (server, engine):
        with capture_logs() as lines, SlowReader(server.port, PACE) as client:
            client.pause()
            asking = asyncio.ensure_future(client.post(OPENAI, OPENAI_BODY))
            await asyncio.wait_for(engine.opened.wait(), 5)
            await asyncio.wait_for(server.services.admission.wait_idle(), 30)
            client.resume()
            await asking
    (cut,) = [line for line in lines if line["event"] == "connection_cut"]
    assert "took nothing" in cut["reason"]


async def test_a_player_may_pause_below_the_stall_limit(served: Served) -> None:
    # A second has ten ping timeouts, which are not to count.
    async with served(send_timeout=20.0, ping_interval=0.1, ping_timeout=0.1) as (server, _engine):
        with SlowReader(server.port, 4 * PACE) as client:
            heard = await client.listen(PATH, *own_frames(), then_close=True, then_pause=1.0)
    ended_well(heard, closed_by_us=False)


async def test_a_failure_comes_behind_all_sound(served: Served) -> None:
    async with served(**SHORT) as (server, engine):
        fails_after(engine, WORDS - 1)
        header = {"action": "run-task", "task_id": "t", "streaming": "duplex"}
        asked = {
            "task_group": "audio", "task": "tts", "function": "SpeechSynthesizer",
            "model": "cosyvoice-v2", "input": {},
            "parameters": {"voice": "plain", "format": "pcm", "sample_rate": RATE},
        }  # fmt: skip
        frames = [
            json.dumps({"header": header, "payload": asked}),
            message("continue-task", "t", input={"text": SPEECH}),
            message("finish-task", "t"),
        ]
        with SlowReader(server.port, PACE) as client:
            heard = await client.listen(DASHSCOPE, *frames)
    assert heard.code == 1000
    assert len(heard.sound) == (WORDS - 1) * WORD_BYTES
    assert heard.messages[-1]["header"]["event"] == "task-failed"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_body_that_is_cut_has_all_that_was_spoken(served: Served, version: str) -> None:
    async with served(**SHORT) as (server, engine):
        fails_after(engine, WORDS - 1)
        with SlowReader(server.port, PACE) as client:
            body, whole = body_of(await client.post(OPENAI, OPENAI_BODY, version))
    assert len(body) == (WORDS - 1) * WORD_BYTES
    assert whole == (version == "1.0")  # there only the reset says it


def fails_after(engine: FakeEngine, words: int) -> None:
    opened: Callable[..., Any] = engine.open_session

    def open_session(*args: Any) -> Any:
        session = opened(*args)
        chunk = session.chunk

        def counted(number: int, told: list[tuple[int, int]]) -> Any:
            if number == words:
                raise EngineDied("gone")
            return chunk(number, told)

        session.chunk = counted
        return session

    engine.open_session = open_session  # type: ignore[method-assign]


async def all_open(engine: FakeEngine, sessions: int) -> None:
    while len(engine.sessions) < sessions:
        engine.opened.clear()
        await engine.opened.wait()


async def test_draining_waits_until_all_is_taken(served: Served) -> None:
    async with served(**SHORT, drain_grace=60.0) as (server, engine):
        readers = [SlowReader(server.port, PACE) for _ in range(4)]
        own, chunked, one_object, elevenlabs = readers
        asking = [
            asyncio.ensure_future(own.listen(PATH, *own_frames())),
            asyncio.ensure_future(chunked.post(OPENAI, OPENAI_BODY)),
            asyncio.ensure_future(one_object.post(REST, rest_body(False))),
            asyncio.ensure_future(elevenlabs.listen(ELEVENLABS, *ELEVENLABS_FRAMES)),
        ]
        await asyncio.wait_for(all_open(engine, 4), 10)
        await server.drain()
        heard, sound, whole, final = [await each for each in asking]
        for reader in readers:
            reader.__exit__()
    assert (heard.code, len(heard.sound)) == (1012, PCM_BYTES)
    assert heard.messages[-1]["header"]["event"] == "task-finished"
    body, ended = body_of(sound)
    assert (len(body), ended) == (PCM_BYTES, True)
    data = json.loads(body_of(whole)[0])["output"]["audio"]["data"]
    assert len(base64.b64decode(data)) == PCM_BYTES
    assert final.messages[-1]["isFinal"]
    assert final.code in (1000, 1012)


async def test_draining_waits_for_nobody_beyond_its_grace(served: Served) -> None:
    async with served(send_timeout=60.0, drain_grace=0.2) as (server, engine):
        with capture_logs() as lines, SlowReader(server.port, PACE) as client:
            listening = asyncio.ensure_future(
                client.listen(PATH, *own_frames(), then_pause=math.inf)
            )
            await asyncio.wait_for(engine.opened.wait(), 5)
            await asyncio.wait_for(server.drain(), 30)
            client.resume()
            await listening
    assert "the server shut down" in [line.get("reason") for line in lines]


async def test_a_client_that_answers_no_ping_is_cut_off(served: Served) -> None:
    async with served(ping_interval=0.05, ping_timeout=0.1) as (server, _engine):
        with capture_logs() as lines:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(UPGRADE)
            got = await asyncio.wait_for(reader.read(), 10)
            writer.close()
    assert b"keepalive ping timeout" in got
    assert [line["event"] for line in lines].count("connection_cut") == 1


async def test_a_client_that_leaves_a_close_unanswered_is_cut_off(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        waits.append(seconds)
        await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", noted)
    async with served(idle_connection_timeout=0.05, close_timeout=0.125) as (server, _engine):
        with capture_logs() as lines:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(UPGRADE)
            await asyncio.wait_for(reader.read(), 10)
            writer.close()
    assert "did not close" in [line for line in lines if "reason" in line][-1]["reason"]
    assert waits.count(0.125) == 1

from __future__ import annotations

import asyncio
import base64
import io
import json
import wave
from typing import Any

import pytest
import soundfile
from structlog.testing import capture_logs

from cosyserve.engine.interface import EngineDied
from support.engines.fake_engine import RATE, WORD_SECONDS, FakeEngine
from support.peers.peers import Peer

from ..conftest import Served

URL = "/api/v1/audio/speech"
WORD_BYTES = round(WORD_SECONDS * RATE) * 2


def body(stream: bool | None = None, model: str = "CosyVoice2-0.5B", **over: Any) -> dict[str, Any]:
    asked = {
        "mode": "fast_replication",
        "reference_audio_id": "plain",
        "text": "one two three",
        "output_format": "pcm",
        **over,
    }
    made: dict[str, Any] = {"model": model, "input": asked}
    return made if stream is None else {**made, "stream": stream}


async def events(answer: Any) -> list[dict[str, Any]]:
    found = []
    async for line in answer.content:
        if line.strip():
            assert line.startswith(b"data: ")
            found.append(json.loads(line[6:]))
    return found


async def test_streaming_is_the_default(peer: Peer) -> None:
    async with peer.http.post(URL, json=body()) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        got = await events(answer)
    audio = b""
    for event in got:
        audio += base64.b64decode(event["output"]["audio"]["data"])
        assert event["usage"] == len(audio)
        assert event["error"] is None
    assert len(audio) == 3 * WORD_BYTES
    assert [e["output"]["finish_reason"] for e in got] == [None] * (len(got) - 1) + ["stop"]
    assert {e["request_id"] for e in got} == {answer.headers["X-Request-Id"]}


@pytest.mark.parametrize("name", ["ulaw", "alaw", "wav_ulaw", "wav_alaw"])
@pytest.mark.parametrize("stream", [True, False])
async def test_the_sound_of_telephones(peer: Peer, stream: bool, name: str) -> None:
    async with peer.http.post(URL, json=body(stream, output_format=name)) as answer:
        got = await events(answer) if stream else [await answer.json()]
    pieces = [base64.b64decode(event["output"]["audio"]["data"]) for event in got]
    data = b"".join(pieces)
    head = 58 if name.startswith("wav") else 0
    assert len(data) - head == round(3 * WORD_SECONDS * 8000)
    if head and not stream:
        assert soundfile.info(io.BytesIO(data)).frames == len(data) - head
    for number, piece in enumerate(pieces[:-2]):  # the last event has no sound
        assert (len(piece) - (head if number == 0 else 0)) % 160 == 0


async def test_not_streaming_is_one_object_with_true_sizes(peer: Peer) -> None:
    async with peer.http.post(URL, json=body(stream=False, output_format="wav")) as answer:
        found = await answer.json()
    assert found["output"]["finish_reason"] is None
    with wave.open(io.BytesIO(base64.b64decode(found["output"]["audio"]["data"]))) as clip:
        assert clip.getnframes() * 2 == 3 * WORD_BYTES
    assert found["request_id"]


@pytest.mark.parametrize(
    ("given", "status", "code", "named"),
    [
        (b"{not json", 400, "InvalidParameter", "body"),
        (b"[]", 400, "InvalidParameter", "object"),
        (b'{"model": "CosyVoice2-0.5B"}', 400, "InvalidParameter", "input"),
        (body(speed="fast"), 400, "InvalidParameter", "speed"),
        (body(text=7), 400, "InvalidParameter", "text"),
        (body(model="other"), 404, "ModelNotFound", "other"),
        (body(reference_audio_id="nobody"), 404, "ReferenceAudioNotFound", ""),
        (b"[" * 100_000, 400, "InvalidParameter", "body"),
        (b"\xff\xfe", 400, "InvalidParameter", "body"),
        (b" " * 5_000_000, 413, "PayloadTooLarge", ""),
        (body(text="x" * 200_001), 413, "TextTooLong", "200001"),
    ],
)
async def test_a_bad_request_is_told_what_is_wrong(
    peer: Peer, given: Any, status: int, code: str, named: str
) -> None:
    data = io.BytesIO(given if isinstance(given, bytes) else json.dumps(given).encode())
    async with peer.http.post(URL, data=data) as answer:
        found = await answer.json()
    assert (answer.status, found["code"]) == (status, code)
    assert named in found["message"]
    assert found["data"] == {}
    assert found["request_id"] == answer.headers["X-Request-Id"]


async def test_a_failure_before_the_first_chunk_has_a_status(peer: Peer) -> None:
    peer.engine.error = EngineDied("gone")
    async with peer.http.post(URL, json=body()) as answer:
        assert answer.status == 503
        assert (await answer.json())["code"] == "EngineUnavailable"


async def test_a_failure_after_the_start_is_an_event(peer: Peer) -> None:
    async with peer.http.post(URL, json=body(text="word " * 2000)) as answer:
        first = await answer.content.readline()
        peer.engine.error = EngineDied("gone")
        rest = await answer.content.read()
    assert json.loads(first[6:])["error"] is None
    last = [json.loads(line[6:]) for line in rest.splitlines() if line.startswith(b"data: ")][-1]
    assert last["error"] == {"code": "EngineUnavailable", "message": "gone"}


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_away_cancels_its_synthesis(peer: Peer, stream: bool) -> None:
    peer.engine.gate.clear()
    asking = asyncio.create_task(peer.http.post(URL, json=body(stream=stream)))
    await peer.engine.opened.wait()
    asking.cancel()
    await asyncio.wait({asking})
    await peer.server.services.admission.wait_idle()
    assert peer.engine.sessions[0].cancelled
    assert not peer.engine.open


async def test_a_client_that_does_not_read_is_cut_off(served) -> None:
    async with served(send_timeout=0.3, send_buffer_bytes=4096) as (server, engine):
        async with Peer.of(server, engine) as peer:
            async with peer.http.post(URL, json=body(text="word " * 39_000), read_bufsize=1024):
                await server.services.admission.wait_idle()
    assert engine.sessions[0].produced < 20_000
    assert not engine.open


async def test_throttled_says_when_to_try_again(served) -> None:
    async with served(max_tasks=1) as (server, engine), Peer.of(server, engine) as peer:
        engine.gate.clear()
        waiting = asyncio.create_task(peer.http.post(URL, json=body()))
        await engine.opened.wait()
        async with peer.http.post(URL, json=body()) as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) >= 1
            assert (await answer.json())["code"] == "Throttled"
        engine.gate.set()
        async with await waiting as answer:
            assert answer.status == 200
            await answer.read()


async def test_nothing_to_say_is_no_error(peer: Peer) -> None:
    async with peer.http.post(URL, json=body(stream=False, text=" ")) as answer:
        assert answer.status == 200
        data = base64.b64decode((await answer.json())["output"]["audio"]["data"])
    assert data == bytes(round(0.02 * RATE) * 2)


async def test_an_unforeseen_failure_is_logged_once_and_told_bare(peer: Peer) -> None:
    peer.engine.error = RuntimeError("secret detail")
    with capture_logs() as lines:
        async with peer.http.post(URL, json=body()) as answer:
            assert answer.status == 500
            assert (await answer.json())["message"] == "internal error"
    assert [line["event"] for line in lines].count("unexpected_error") == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_a_task_has_its_line_in_the_log(peer: Peer, stream: bool) -> None:
    with capture_logs() as lines:
        async with peer.http.post(URL, json=body(stream)) as answer:
            await answer.read()
        await peer.server.services.admission.wait_idle()
    (ended,) = [line for line in lines if line["event"] == "task_ended"]
    assert (ended["transport"], ended["outcome"], ended["code"]) == ("rest", "finished", "")
    assert ended["speech_len"] == pytest.approx(3 * WORD_SECONDS)


@pytest.mark.parametrize("stream", [True, False])
async def test_words_marks_and_notices_are_told(served: Served, stream: bool) -> None:
    text = '<speak>one <mark name="here"/><phoneme ph="x">two</phoneme></speak>'
    asked = body(stream, text=text, enable_ssml=True, word_timestamp_enabled=True)
    async with (
        served(FakeEngine(word_times=True)) as (server, engine),
        Peer.of(server, engine) as peer,
        peer.http.post(URL, json=asked) as answer,
    ):
        assert answer.status == 200, await answer.text()
        got = await events(answer) if stream else [await answer.json()]
    outputs = [each["output"] for each in got]
    words = [word["text"] for output in outputs for word in output.get("words", [])]
    assert words == ["one", "two"]
    marks = [mark["name"] for output in outputs for mark in output.get("marks", [])]
    assert marks == ["here"]
    assert "<phoneme>" in outputs[-1]["notices"][0]


async def test_words_are_told_only_if_asked_for(served: Served) -> None:
    async with (
        served(FakeEngine(word_times=True)) as (server, engine),
        Peer.of(server, engine) as peer,
        peer.http.post(URL, json=body(False)) as answer,
    ):
        assert set((await answer.json())["output"]) == {"finish_reason", "audio"}


async def test_broken_ssml_is_a_bad_request(peer: Peer) -> None:
    asked = body(text="<speak>one</p>", enable_ssml=True)
    async with peer.http.post(URL, json=asked) as answer:
        assert answer.status == 400
        assert "line 1" in (await answer.json())["message"]

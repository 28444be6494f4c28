"""Answers that are not streamed: bounded, out of memory, and held until the client has them."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from cosyserve.protocol.errors import InternalError
from cosyserve.server.delivery import Spool
from cosyserve.server.delivery.spool import MEMORY_EACH
from cosyserve.server.http.whole import SoundPlace, json_pieces
from support.engines.fake_engine import RATE, WORD_SECONDS, FakeEngine
from support.peers.peers import Peer
from support.peers.slow_reader import SlowReader

from ..conftest import Served

NATIVE = "/api/v1/audio/speech"
TIMED = f"/v1/text-to-speech/plain/with-timestamps?output_format=pcm_{RATE}"
WAYS = [NATIVE, TIMED]
WORD_BYTES = round(WORD_SECONDS * RATE) * 2
PACE = 1e9
LARGE = 400
"""Words; their sound is larger than what a spool holds in memory and what kernels swallow."""


def body(path: str, words: int, output_format: str = "pcm") -> dict[str, Any]:
    text = "word " * words
    if path != NATIVE:
        return {"text": text}
    spoken = {"mode": "fast_replication", "reference_audio_id": "plain"}
    asked = {"text": text, "output_format": output_format, **spoken}
    return {"model": "cosyvoice-v2", "input": asked, "stream": False}


def sound_of(path: str, answer: dict[str, Any]) -> bytes:
    data = answer["output"]["audio"]["data"] if path == NATIVE else answer["audio_base64"]
    return base64.b64decode(data, validate=True)


def error_of(answer: dict[str, Any]) -> tuple[str, str]:
    """Code and message, in either dialect."""
    found = answer.get("detail", answer)
    return found.get("code", found.get("status")), found["message"]


@pytest.fixture(params=WAYS, ids=["native", "elevenlabs"])
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("words", [1, 2, 3, LARGE])
async def test_the_document_is_as_if_written_at_once(served: Served, path: str, words: int) -> None:
    async with served(FakeEngine(word_times=True)) as (server, engine):
        async with Peer.of(server, engine) as peer:
            async with peer.http.post(path, json=body(path, words)) as answer:
                data = await answer.read()
                assert int(answer.headers["Content-Length"]) == len(data)
        await server.services.deliveries.all_taken()
        assert (server.services.spools.size, server.services.spools.size_in_memory) == (0, 0)
    found = json.loads(data)
    assert data == orjson.dumps(found)
    assert len(sound_of(path, found)) == words * WORD_BYTES
    assert words * WORD_BYTES > MEMORY_EACH or words < LARGE


@pytest.mark.parametrize("words", [3, LARGE])
@pytest.mark.parametrize("output_format", ["wav", "flac"])
async def test_heads_have_the_true_length(peer: Peer, output_format: str, words: int) -> None:
    async with peer.http.post(NATIVE, json=body(NATIVE, words, output_format)) as answer:
        sound = sound_of(NATIVE, await answer.json())
    frames = round(words * WORD_SECONDS * RATE)
    assert soundfile.info(io.BytesIO(sound)).frames == frames
    if output_format == "wav":
        with wave.open(io.BytesIO(sound)) as file:
            assert file.getnframes() == frames


LIMITS = {
    "seconds": ({"max_whole_seconds": 2 * WORD_SECONDS}, "longer than 0.1 s"),
    "bytes": ({"max_whole_bytes": 3 * WORD_BYTES - 1}, f"longer than {3 * WORD_BYTES - 1} bytes"),
}


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_whole_answer_has_its_limits(served: Served, path: str, limit: str) -> None:
    settings, expected = LIMITS[limit]
    async with served(**settings) as (server, engine), Peer.of(server, engine) as peer:
        async with peer.http.post(path, json=body(path, 2)) as answer:
            assert answer.status == 200
        with capture_logs() as lines:
            async with peer.http.post(path, json=body(path, 1000)) as answer:
                code, message = error_of(await answer.json())
        assert (answer.status, code) in [(413, "PayloadTooLarge"), (413, "payload_too_large")]
        assert expected in message
        assert "ask for a stream instead" in message
        assert engine.sessions[-1].produced <= 3
        assert not engine.open
    (ended,) = [line for line in lines if line["event"] == "task_ended"]
    assert (ended["outcome"], ended["code"]) == ("failed", "PayloadTooLarge")


async def test_a_stream_has_no_such_limit(served: Served) -> None:
    async with served(max_whole_seconds=2 * WORD_SECONDS) as (server, engine):
        async with Peer.of(server, engine) as peer:
            asked = body(NATIVE, 100) | {"stream": True}
            async with peer.http.post(NATIVE, json=asked) as answer:
                assert answer.status == 200
                events = [line for line in (await answer.read()).splitlines() if line]
    assert json.loads(events[-1][6:])["output"]["finish_reason"] == "stop"


async def test_an_unread_answer_counts_for_its_token_and_not_as_a_task(
    served: Served, path: str
) -> None:
    quota = {"spool_bytes_per_token": 1024**2, "spool_wait": 0, "max_tasks": 1, "send_timeout": 30}
    async with served(**quota) as (server, engine):
        spools, admission = server.services.spools, server.services.admission
        with SlowReader(server.port, PACE) as client:
            client.pause()
            reading = asyncio.ensure_future(client.post(path, body(path, LARGE)))
            await engine.opened.wait()
            await admission.wait_idle()
            assert spools.size >= LARGE * WORD_BYTES
            told = server.services.metrics.registry.get_sample_value("cosyserve_spool_bytes")
            assert told == spools.size
            async with Peer.of(server, engine, "alice-secret") as alice:
                async with alice.http.post(path, json=body(path, 1)) as answer:
                    assert answer.status == 200  # the place is free
                async with alice.http.post(path, json=body(path, LARGE)) as answer:
                    code, message = error_of(await answer.json())
                assert (answer.status, code) in [
                    (429, "Throttled"),
                    (429, "too_many_concurrent_requests"),
                ]
                assert "unread whole answers of this token" in message
                assert int(answer.headers["Retry-After"])
            async with Peer.of(server, engine, "bob-secret") as bob:
                async with bob.http.post(path, json=body(path, LARGE)) as answer:
                    assert answer.status == 200
                    await answer.read()
            client.resume()
            head, _, data = (await reading).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert len(sound_of(path, json.loads(data))) == LARGE * WORD_BYTES
        await server.services.deliveries.all_taken()


async def test_answers_made_at_once_wait_for_each_other(served: Served, path: str) -> None:
    room = {"spool_bytes_per_token": 1024**2, "max_whole_bytes": 512 * 1024, "spool_wait": 600}
    words = 500_000 // WORD_BYTES

    async def asked(peer: Peer) -> int:
        async with peer.http.post(path, json=body(path, words)) as answer:
            return len(sound_of(path, await answer.json()))

    async with served(**room) as (server, engine), Peer.of(server, engine) as peer:
        sizes = await asyncio.gather(*(asked(peer) for _ in range(6)))
    assert sizes == 6 * [words * WORD_BYTES]


async def test_a_client_that_reads_nothing_is_cut_off_and_its_answer_dropped(
    served: Served, path: str
) -> None:
    async with served(send_timeout=0.3) as (server, engine):
        with capture_logs() as lines, SlowReader(server.port, PACE) as client:
            client.pause()
            reading = asyncio.ensure_future(client.post(path, body(path, 2000)))
            await engine.opened.wait()
            await server.services.deliveries.all_taken()
            assert server.services.spools.open_now == 0
            client.resume()
            await reading
    assert "connection_cut" in [line["event"] for line in lines]


async def test_a_client_that_leaves_leaves_nothing(served: Served, path: str) -> None:
    async with served(send_timeout=30) as (server, engine):
        client = SlowReader(server.port, PACE)
        client.pause()
        reading = asyncio.ensure_future(client.post(path, body(path, LARGE)))
        await engine.opened.wait()
        await server.services.admission.wait_idle()
        assert server.services.spools.open_now == 1
        client.__exit__()
        await asyncio.gather(reading, return_exceptions=True)
        await server.services.deliveries.all_taken()
        assert server.services.spools.size == 0


async def test_a_client_that_leaves_before_the_end_leaves_nothing(
    served: Served, path: str
) -> None:
    async with served() as (server, engine), Peer.of(server, engine) as peer:
        engine.gate.clear()
        asking = asyncio.ensure_future(peer.http.post(path, json=body(path, LARGE)))
        await engine.opened.wait()
        asking.cancel()
        await asyncio.wait({asking})
        await server.services.admission.wait_idle()
        await server.services.deliveries.all_taken()


async def test_a_disk_that_is_full_is_an_error_before_the_answer(
    served: Served, path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with served() as (server, engine), Peer.of(server, engine) as peer:

        def full(*arguments: Any, **named: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("tempfile.TemporaryFile", full)
        async with peer.http.post(path, json=body(path, LARGE)) as answer:
            assert answer.status == 500
            assert "ask for a stream instead" in error_of(await answer.json())[1]
        assert server.services.spools.size == 0


async def test_a_disk_that_fails_later_cuts_the_answer_off(
    served: Served, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served() as (server, _):

        async def broken(spool: Spool, begin: int, end: int) -> bytes:
            if end - begin > 1000:
                raise InternalError("broken")
            return await read(spool, begin, end)

        read = Spool.read
        monkeypatch.setattr(Spool, "read", broken)
        with SlowReader(server.port, PACE) as client:
            head, _, data = (await client.post(path, body(path, LARGE))).partition(b"\r\n\r\n")
        lengths = [line for line in head.splitlines() if line.startswith(b"Content-Length")]
        assert len(data) < int(lengths[0].split()[1])
        await server.services.deliveries.all_taken()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda each: st.lists(each) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), each),
    max_leaves=20,
)  # fmt: skip


def pieces_of(value: object, place: SoundPlace) -> Iterator[bytes]:
    return (b"SOUND" if piece is None else piece for piece in json_pieces(value, place))


@given(json_values)
def test_pieces_are_the_document(value: object) -> None:
    assert b"".join(pieces_of(value, SoundPlace())) == orjson.dumps(value)


@pytest.mark.parametrize("length", [0, 1, 999, 1000, 1001, 2500])
def test_long_lists_come_in_pieces(length: int) -> None:
    value = {"list": [{"number": each} for each in range(length)], "after": [1.5, None, "x"]}
    assert b"".join(pieces_of(value, SoundPlace())) == orjson.dumps(value)
    assert max(map(len, pieces_of(value, SoundPlace()))) < 20_000


def test_only_the_place_itself_is_the_place() -> None:
    place = SoundPlace()
    value = {"a": "", "b": {"sound": place}, "c": SoundPlace() + "", "d": [""]}
    assert b"".join(pieces_of(value, place)) == b'{"a":"","b":{"sound":"SOUND"},"c":"","d":[""]}'

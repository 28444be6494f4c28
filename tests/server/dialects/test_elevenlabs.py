"""The ElevenLabs dialect over HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from cosyserve.engine.interface import EngineDied
from support.engines.fake_engine import RATE, WORD_SECONDS, FakeEngine
from support.peers.peers import Peer

SPEECH = "/v1/text-to-speech/plain"
PCM = f"?output_format=pcm_{RATE}"
WORD_BYTES = round(WORD_SECONDS * RATE) * 2
PATHS = ["", "/stream", "/with-timestamps", "/stream/with-timestamps"]


@pytest.fixture
async def timed(served: Any) -> AsyncIterator[Peer]:
    """A peer whose engine knows the times of words."""
    async with (
        served(FakeEngine(word_times=True)) as (server, engine),
        Peer.of(server, engine) as peer,
    ):
        yield peer


@pytest.mark.parametrize("path", ["", "/stream"])
async def test_the_sound_itself(peer: Peer, path: str) -> None:
    async with peer.http.post(SPEECH + path + PCM, json={"text": "one two"}) as answer:
        assert answer.status == 200
        assert answer.content_type == "audio/pcm"
        assert answer.headers["X-Request-Id"]
        assert len(await answer.read()) == 2 * WORD_BYTES


@pytest.mark.parametrize(
    ("name", "content_type", "magic"),
    [
        ("mp3_44100_128", "audio/mpeg", b""),
        ("opus_48000_64", "audio/ogg", b"OggS"),
        ("wav_24000", "audio/wav", b"RIFF"),
        ("ulaw_8000", "audio/basic", b""),
        ("alaw_8000", "audio/pcma", b""),
    ],
)
async def test_the_formats(peer: Peer, name: str, content_type: str, magic: bytes) -> None:
    async with peer.http.post(f"{SPEECH}?output_format={name}", json={"text": "one"}) as answer:
        assert answer.content_type == content_type
        assert (await answer.read()).startswith(magic)


@pytest.mark.parametrize("law", ["ulaw", "alaw"])
@pytest.mark.parametrize("path", PATHS)
async def test_the_sound_of_telephones(peer: Peer, path: str, law: str) -> None:
    url = f"{SPEECH}{path}?output_format={law}_8000"
    async with peer.http.post(url, json={"text": "one two"}) as answer:
        body = await answer.read()
    if "timestamps" in path:
        lines = [json.loads(line) for line in body.splitlines()]
        body = b"".join(base64.b64decode(line["audio_base64"]) for line in lines)
    assert len(body) == round(2 * WORD_SECONDS * 8000)


async def test_the_parameters_reach_the_engine(peer: Peer) -> None:
    body = {"text": "one", "voice_settings": {"speed": 1.5}, "seed": 7, "model_id": "eleven_v3"}
    async with peer.http.post(SPEECH + PCM, json=body) as answer:
        assert answer.status == 200
    options = peer.engine.sessions[0].options
    assert (options.speed, options.seed) == (1.5, 7)


async def test_the_whole_with_its_characters(timed: Peer) -> None:
    body = {"text": "one two?"}
    async with timed.http.post(f"{SPEECH}/with-timestamps{PCM}", json=body) as answer:
        told = await answer.json()
    assert len(base64.b64decode(told["audio_base64"])) == 2 * WORD_BYTES
    times = told["alignment"]
    assert "".join(times["characters"]) == "one two?"
    assert times["character_start_times_seconds"][0] == 0
    assert times["character_end_times_seconds"][-1] == pytest.approx(2 * WORD_SECONDS)


async def test_the_stream_with_its_characters(timed: Peer) -> None:
    body = {"text": "one two"}
    async with timed.http.post(f"{SPEECH}/stream/with-timestamps{PCM}", json=body) as answer:
        told = [json.loads(line) for line in (await answer.read()).splitlines()]
    assert [len(base64.b64decode(each["audio_base64"])) for each in told] == [WORD_BYTES] * 2
    assert told[1]["alignment"]["character_start_times_seconds"][0] == WORD_SECONDS


async def test_engines_without_word_times_say_so(peer: Peer) -> None:
    async with peer.http.post(f"{SPEECH}/with-timestamps{PCM}", json={"text": "one"}) as answer:
        assert (await answer.json())["alignment"] is None


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("voice", "query", "body", "status", "name"),
    [
        ("nobody", PCM, {"text": "one"}, 404, "voice_not_found"),
        ("plain", "?output_format=alaw_16000", {"text": "one"}, 400, "invalid_parameters"),
        ("plain", PCM, {}, 400, "invalid_parameters"),
        ("plain", PCM, [], 400, "invalid_parameters"),
        ("plain", PCM, {"text": "one", "model_id": "x"}, 404, "model_not_found"),
    ],
)
async def test_what_is_refused_is_told_in_the_dialects_way(
    peer: Peer, path: str, voice: str, query: str, body: Any, status: int, name: str
) -> None:
    address = f"/v1/text-to-speech/{voice}{path}{query}"
    async with peer.http.post(address, json=body) as answer:
        assert answer.status == status
        detail = (await answer.json())["detail"]
    assert detail["status"] == name
    assert detail["message"]


@pytest.mark.parametrize("path", [SPEECH, "/v1/voices", "/v2/voices", "/v1/voices/plain"])
async def test_a_token_is_needed(peer: Peer, path: str) -> None:
    method = "POST" if path == SPEECH else "GET"
    address = peer.server.url + path
    async with aiohttp.request(method, address, json={"text": "one"}) as answer:
        assert answer.status == 401
        assert (await answer.json())["detail"]["status"] == "invalid_api_key"
    headers = {"xi-api-key": "alice-secret"}
    async with aiohttp.request(method, address, json={"text": "one"}, headers=headers) as answer:
        assert answer.status == 200


async def test_the_key_of_this_dialect_opens_no_other(peer: Peer) -> None:
    headers = {"xi-api-key": "alice-secret"}
    address = f"{peer.server.url}/api/v1/audio/reference_audio"
    async with aiohttp.request("GET", address, headers=headers) as answer:
        assert answer.status == 401


async def test_what_fails_before_the_first_sound_has_a_status(peer: Peer) -> None:
    peer.engine.error = EngineDied("the engine died")
    async with peer.http.post(SPEECH + PCM, json={"text": "one"}) as answer:
        assert answer.status == 503
        assert (await answer.json())["detail"]["status"] == "system_busy"


@pytest.mark.parametrize("path", ["/stream", "/stream/with-timestamps"])
async def test_what_fails_later_leaves_the_body_without_its_end(peer: Peer, path: str) -> None:
    async with peer.http.post(SPEECH + path + PCM, json={"text": "word " * 2000}) as answer:
        assert answer.status == 200
        await answer.content.readany()
        peer.engine.error = EngineDied("the engine died")
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    await peer.server.services.admission.wait_idle()

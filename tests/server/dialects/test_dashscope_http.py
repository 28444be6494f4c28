"""`/api/v1/services/audio/tts`: speech over HTTP, as the DashScope SDK asks for it."""

from __future__ import annotations

import base64
import io
import json
import time
from typing import Any

import aiohttp
import av
import pytest

from cosyserve.engine.interface import EngineDied
from support.engines.fake_engine import RATE, WORD_SECONDS, FakeEngine
from support.engines.faulty_engine import Fault, FaultyEngine, raises
from support.peers.peers import Peer
from support.tools.contracts import load, resolve, validate

URL = "/api/v1/services/audio/tts/SpeechSynthesizer"
SSE = {"X-DashScope-SSE": "enable"}
WORD_BYTES = round(WORD_SECONDS * RATE) * 2
OPENAPI = load("openapi.yaml")


def body(text: Any = "one two. three", model: Any = "cosyvoice-v2", **given: Any) -> Any:
    asked = {"text": text, "voice": "plain", "format": "pcm", "sample_rate": RATE, **given}
    return {"model": model, "input": asked}


def promised(status: int, found: Any) -> None:
    """Raises if the answer is not what the contract says."""
    answer = resolve(OPENAPI, OPENAPI["paths"][URL]["post"]["responses"][str(status)])
    validate(OPENAPI, answer["content"]["application/json"]["schema"], found)


async def events_of(peer: Peer, asked: Any) -> list[tuple[list[str], Any]]:
    """Each event: the lines of its head, and its data."""
    async with peer.http.post(URL, json=asked, headers=SSE) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        blocks = (await answer.text()).removesuffix("\n\n").split("\n\n")
    found = []
    for block in blocks:
        *head, data = block.split("\n")
        found.append((head, json.loads(data.removeprefix("data:"))))
    return found


async def test_events_tell_of_sentences_and_carry_sound(peer: Peer) -> None:
    events = await events_of(peer, body())
    for number, (head, data) in enumerate(events, 1):
        assert head == [f"id:{number}", "event:result", ":HTTP_STATUS/200"]
        validate(OPENAPI, OPENAPI["components"]["schemas"]["DashScopeResult"], data)
    outputs = [data["output"] for _, data in events]
    assert [each.get("type") for each in outputs] == [
        "sentence-begin", "sentence-synthesis", "sentence-synthesis", "sentence-end",
        "sentence-begin", "sentence-synthesis", "sentence-end",
        None,
    ]  # fmt: skip
    sound = b"".join(base64.b64decode(each.get("audio", {}).get("data", "")) for each in outputs)
    assert len(sound) == 3 * WORD_BYTES
    assert outputs[-1]["finish_reason"] == "stop"
    assert events[-1][1]["usage"] == {"characters": len("one two. three")}


async def test_words_are_in_the_end_of_their_sentence(served: Any) -> None:
    async with (
        served(FakeEngine(word_times=True)) as (server, engine),
        Peer.of(server, engine) as peer,
    ):
        events = await events_of(peer, body("one two. three", word_timestamp_enabled=True))
    ends = [
        data["output"]["sentence"]["words"]
        for _, data in events
        if data["output"].get("type") == "sentence-end"
    ]
    assert [[word["text"] for word in words] for words in ends] == [["one", "two."], ["three"]]


@pytest.mark.parametrize("headers", [{}, SSE])
async def test_phrases_are_replaced(peer: Peer, headers: Any) -> None:
    asked = body("two one", hot_fix={"replace": [{"two": "three four"}]})
    async with peer.http.post(URL, json=asked, headers=headers) as answer:
        assert answer.status == 200
        await answer.read()
    assert peer.engine.sessions[0].text == "three four one"


async def test_too_many_replacements_are_told(peer: Peer) -> None:
    asked = body("a" * 10_001, hot_fix={"replace": [{"a": "b"}]})
    async with peer.http.post(URL, json=asked) as answer:
        found = await answer.json()
    assert (answer.status, found["code"]) == (413, "InvalidParameter")
    assert "10000 replacements" in found["message"]


@pytest.mark.parametrize(("format", "content_type"), [("wav", "audio/wav"), ("mp3", "audio/mpeg")])
async def test_a_whole_answer_names_where_the_sound_is(
    peer: Peer, format: str, content_type: str
) -> None:
    before = int(time.time())
    async with peer.http.post(URL, json=body(format=format)) as answer:
        assert answer.status == 200
        found = await answer.json()
    promised(200, found)
    audio = found["output"]["audio"]
    assert found["output"]["finish_reason"] == "stop"
    assert (audio["data"], found["usage"]["characters"]) == ("", 14)
    assert audio["expires_at"] >= before + 600
    assert audio["url"].startswith(f"{peer.server.url}/api/v1/services/audio/tts/sounds/")
    assert audio["url"].endswith(f".{format}")
    async with aiohttp.ClientSession() as nobody:
        for _ in range(2):  # until it expires, as often as one likes
            async with nobody.get(audio["url"]) as sound:
                assert (sound.status, sound.content_type) == (200, content_type)
                data = await sound.read()
            assert sound.headers["Content-Length"] == str(len(data))
        async with nobody.head(audio["url"]) as sound:
            assert (sound.status, sound.headers["Content-Length"]) == (200, str(len(data)))
    with av.open(io.BytesIO(data)) as file:
        samples = sum(frame.samples for frame in file.decode(audio=0))
    assert samples >= 3 * WORD_BYTES / 2
    if format == "wav":
        assert int.from_bytes(data[40:44], "little") == len(data) - 44  # whole: its length is known


async def test_behind_a_proxy_the_address_is_the_proxys(peer: Peer) -> None:
    headers = {"X-Forwarded-Proto": "https", "Host": "speech.example"}
    async with peer.http.post(URL, json=body("one"), headers=headers) as answer:
        url = (await answer.json())["output"]["audio"]["url"]
    assert url.startswith("https://speech.example/api/v1/")


async def test_there_is_nothing_at_other_addresses(peer: Peer) -> None:
    async with aiohttp.ClientSession(peer.server.url) as nobody:
        for name in ("x.wav", "x", "..", "%2e%2e%2fx"):
            async with nobody.get(f"/api/v1/services/audio/tts/sounds/{name}") as answer:
                found = await answer.json()
                assert answer.status in (401, 404)
                assert found["code"] in ("NotFound", "InvalidApiKey")


async def test_kept_sounds_give_way_to_answers(served: Any) -> None:
    room = 2**20
    async with (
        served(spool_bytes=room, spool_bytes_per_token=room, spool_wait=0) as (server, engine),
        Peer.of(server, engine) as peer,
    ):
        urls = []
        words = "word " * (2 * room // 3 // WORD_BYTES)
        for _ in range(3):
            async with peer.http.post(URL, json=body(words)) as answer:
                assert answer.status == 200, await answer.text()
                urls.append((await answer.json())["output"]["audio"]["url"])
        statuses = []
        for url in urls:
            async with peer.http.get(url) as answer:
                statuses.append(answer.status)
        assert statuses == [404, 404, 200]
        assert len(server.services.kept_sounds) == 1


async def test_nothing_is_kept_of_a_speech_that_fails(peer: Peer) -> None:
    peer.engine.error = EngineDied("the engine died")
    async with peer.http.post(URL, json=body()) as answer:
        found = await answer.json()
    promised(answer.status, found)
    assert (answer.status, found["code"]) == (503, "ServiceUnavailable")
    assert (len(peer.server.services.kept_sounds), peer.server.services.spools.open_now) == (0, 0)


async def test_a_failure_after_the_first_sound_is_the_last_event(faulty: Peer) -> None:
    engine = faulty.engine
    assert isinstance(engine, FaultyEngine)
    died = raises(EngineDied, "the engine died")
    engine.fault, engine.after = Fault("dies", "iteration", died, ""), 1
    events = await events_of(faulty, body())
    head, data = events[-1]
    number = len(events)
    assert head == [f"id:{number}", "event:error", ":HTTP_STATUS/503", "status:503"]
    validate(OPENAPI, OPENAPI["components"]["schemas"]["DashScopeError"], data)
    assert data["code"] == "ServiceUnavailable"


@pytest.mark.parametrize("headers", [{}, SSE])
@pytest.mark.parametrize(
    ("given", "status", "code", "named"),
    [
        (b"{", 400, "InvalidParameter", "body"),
        ([], 400, "InvalidParameter", "message"),
        ({"model": "cosyvoice-v2"}, 400, "InvalidParameter", "input"),
        (body(model="tts-1"), 404, "ModelNotFound", "model"),
        (body(text=None), 400, "InvalidParameter", "input.text"),
        (body(text=" \n"), 400, "InvalidParameter", "input.text"),
        (body(text="x" * 200_001), 413, "InvalidParameter", "characters"),
        (body(voice=None), 400, "InvalidParameter", "input.voice"),
        (body(voice="nobody"), 404, "InvalidParameter", "nobody"),
        (body(format="ulaw"), 400, "InvalidParameter", "input.format"),
        (body(rate=3), 400, "InvalidParameter", "input.rate"),
    ],
)
async def test_a_bad_request_is_told_what_is_wrong(
    peer: Peer, given: Any, status: int, code: str, named: str, headers: Any
) -> None:
    data = io.BytesIO(given if isinstance(given, bytes) else json.dumps(given).encode())
    async with peer.http.post(URL, data=data, headers=headers) as answer:
        found = await answer.json()
    assert (answer.status, found["code"]) == (status, code)
    assert set(found) == {"code", "message", "request_id"}
    assert named in found["message"]
    assert found["request_id"] == answer.headers["X-Request-Id"]
    promised(status, found)


async def test_a_token_is_needed(peer: Peer) -> None:
    async with (
        aiohttp.ClientSession(peer.server.url) as nobody,
        nobody.post(URL, json=body()) as answer,
    ):
        assert (answer.status, (await answer.json())["code"]) == (401, "InvalidApiKey")

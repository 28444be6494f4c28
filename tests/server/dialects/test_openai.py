from __future__ import annotations

import asyncio
import base64
import io
import json
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from cosyserve.engine.interface import EngineDied
from support.engines.fake_engine import RATE, WORD_SECONDS, FakeEngine
from support.listening.audio import make_file, speechlike
from support.peers.peers import Peer
from support.tools.contracts import load, resolve, validate

URL = "/v1/audio/speech"
WORD_BYTES = round(WORD_SECONDS * RATE) * 2
OPENAPI = load("openapi.yaml")
LISTS = ("/audio/voices", "/audio/models", "/models", "/models/tts-1")


def body(**over: Any) -> dict[str, Any]:
    return {
        "model": "tts-1",
        "input": "one two three",
        "voice": "plain",
        "response_format": "pcm",
        **over,
    }


def promised(path: str, method: str, status: int, found: Any) -> None:
    """Raises if the answer is not what the contract says."""
    answer = resolve(OPENAPI, OPENAPI["paths"][path][method]["responses"][str(status)])
    validate(OPENAPI, answer["content"]["application/json"]["schema"], found)


@pytest.mark.parametrize("prefix", ["/v1", ""])
async def test_speech_comes_in_chunks(peer: Peer, prefix: str) -> None:
    async with peer.http.post(f"{prefix}/audio/speech", json=body()) as answer:
        assert answer.status == 200
        assert answer.content_type == "audio/pcm"
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert answer.headers["X-Request-Id"]
        assert "X-Effective-Speed" not in answer.headers
        assert "X-Ignored-Parameters" not in answer.headers
        assert len(await answer.read()) == 3 * WORD_BYTES


@pytest.mark.parametrize(
    ("name", "content_type", "head"),
    [
        ("ulaw", "audio/basic", 0),
        ("alaw", "audio/pcma", 0),
        ("wav_ulaw", "audio/wav", 58),
        ("wav_alaw", "audio/wav", 58),
    ],
)
async def test_the_sound_of_telephones(peer: Peer, name: str, content_type: str, head: int) -> None:
    async with peer.http.post(URL, json=body(response_format=name)) as answer:
        assert answer.content_type == content_type
        data = await answer.read()
    assert len(data) == head + round(3 * WORD_SECONDS * 8000)
    assert data.startswith(b"RIFF") == bool(head)


async def test_events_carry_the_same_bytes(peer: Peer) -> None:
    async with peer.http.post(URL, json=body(stream_format="sse")) as answer:
        assert answer.content_type == "text/event-stream"
        lines = [line for line in (await answer.read()).split(b"\n") if line]
    events = [json.loads(line.removeprefix(b"data: ")) for line in lines]
    for event in events:
        validate(OPENAPI, OPENAPI["components"]["schemas"]["OpenAISpeechEvent"], event)
    sound = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert len(sound) == 3 * WORD_BYTES
    usage = events[-1]["usage"]
    assert usage == {"input_tokens": 13, "output_tokens": 4, "total_tokens": 17}


async def test_a_speed_that_is_not_spoken_is_told(peer: Peer) -> None:
    for speed, told in ((4, "2"), (0.25, "0.5"), (1.5, None)):
        async with peer.http.post(URL, json=body(speed=speed)) as answer:
            assert answer.headers.get("X-Effective-Speed") == told
    assert [session.options.speed for session in peer.engine.sessions] == [2, 0.5, 1.5]


@pytest.mark.parametrize("understood", ["none", "keywords", "free"])
async def test_instructions_are_followed_or_told_to_be_ignored(served, understood: str) -> None:
    engine = FakeEngine()
    engine.capabilities = replace(engine.capabilities, instruct=understood)
    async with served(engine) as (server, _), Peer.of(server, engine) as peer:
        async with peer.http.post(URL, json=body(instructions="Whisper.")) as answer:
            assert answer.status == 200
            ignored = answer.headers.get("X-Ignored-Parameters")
    options = engine.sessions[0].options
    if understood == "none":
        assert (options.mode, options.instruct) == ("fast_replication", "")
        assert ignored == "instructions"
    else:
        assert (options.mode, options.instruct) == ("natural_language_replication", "Whisper.")
        assert ignored is None


@pytest.mark.parametrize("path", LISTS)
async def test_lists_are_as_promised(peer: Peer, path: str) -> None:
    documented = "/v1" + path.replace("tts-1", "{id}")
    for prefix in ("/v1", ""):
        async with peer.http.get(prefix + path) as answer:
            assert answer.status == 200
            promised(documented, "get", 200, await answer.json())


async def test_voices_are_the_engines_the_aliases_and_the_callers(served) -> None:
    async with served(openai_voices={"house": "plain"}) as (server, engine):
        async with Peer.of(server, engine) as alice, Peer.of(server, engine, "bob-secret") as bob:
            clip = make_file(speechlike(16000, 2.0), 16000, "wav", "pcm_s16le")
            made = await alice.upload(clip, name="Anna")
            hers, his = [await voices_of(each) for each in (alice, bob)]
            for voice, whose, status in (
                (made, alice, 200),
                ("Anna", alice, 200),
                ({"id": made}, alice, 200),
                ("house", bob, 200),
                ("alloy", bob, 200),
                (made, bob, 404),
                ("Anna", bob, 404),
            ):
                async with whose.http.post(URL, json=body(voice=voice)) as answer:
                    assert answer.status == status, voice
    assert hers == his | {made: "Anna"}
    assert his["plain"] == "Plain"
    assert {"house", "alloy", "verse"} <= set(his)


async def voices_of(peer: Peer) -> dict[str, str]:
    async with peer.http.get("/v1/audio/voices") as answer:
        return {voice["id"]: voice["name"] for voice in (await answer.json())["voices"]}


async def test_without_voices_a_hosted_name_says_how_to_have_one(served) -> None:
    engine = FakeEngine()
    engine.capabilities = replace(engine.capabilities, voices=())
    async with served(engine) as (server, _), Peer.of(server, engine) as peer:
        async with peer.http.post(URL, json=body(voice="alloy")) as answer:
            found = await answer.json()
    assert answer.status == 404
    assert found["error"]["param"] == "voice"
    assert "openai_voices" in found["error"]["message"]


@pytest.mark.parametrize(
    ("given", "status", "code", "param"),
    [
        (b"{not json", 400, "invalid_value", None),
        (b"[]", 400, "invalid_value", None),
        (b"[" * 100_000, 400, "invalid_value", None),
        (b"\xff\xfe", 400, "invalid_value", None),
        (b" " * 5_000_000, 413, "request_too_large", None),
        ({}, 400, "invalid_value", "model"),
        (body(model="gpt-9"), 404, "model_not_found", "model"),
        (body(input=7), 400, "invalid_value", "input"),
        (body(input="x" * 200_001), 413, "string_above_max_length", "input"),
        (body(voice="nobody"), 404, "voice_not_found", "voice"),
        (body(voice="../../etc/passwd"), 404, "voice_not_found", "voice"),
        (body(voice="%2e%2e%2f\x00\\"), 404, "voice_not_found", "voice"),
        (body(speed=5), 400, "invalid_value", "speed"),
    ],
)
async def test_a_bad_request_is_told_what_is_wrong(
    peer: Peer, given: Any, status: int, code: str, param: str | None
) -> None:
    data = io.BytesIO(given if isinstance(given, bytes) else json.dumps(given).encode())
    async with peer.http.post(URL, data=data) as answer:
        found = await answer.json()
    assert answer.status == status
    promised(URL, "post", status, found)
    assert (found["error"]["code"], found["error"]["param"]) == (code, param)


@pytest.mark.parametrize("prefix", ["/v1", ""])
async def test_what_the_router_refuses_has_this_dialects_body(peer: Peer, prefix: str) -> None:
    for method, path, status, code in (
        ("GET", "/audio/speech", 405, "method_not_allowed"),
        ("DELETE", "/models/tts-1", 405, "method_not_allowed"),
        ("POST", "/audio/transcriptions", 404, "unknown_url"),
        ("GET", "/models/tts-1/more", 404, "unknown_url"),
        ("GET", "/models/%2e%2e%2fx", 404, "model_not_found"),
    ):
        async with peer.http.request(method, prefix + path) as answer:
            found = await answer.json()
            assert (answer.status, found["error"]["code"]) == (status, code), path
            assert set(found) == {"error"}
    async with peer.http.head(f"{prefix}/audio/speech") as answer:
        assert answer.status == 405


@pytest.mark.parametrize("path", ["/audio/speech", *LISTS])
async def test_every_route_wants_a_token(peer: Peer, path: str) -> None:
    method = "POST" if path == "/audio/speech" else "GET"
    async with aiohttp.ClientSession(peer.server.url) as nobody:
        for prefix in ("/v1", ""):
            for headers in ({}, {"Authorization": "Bearer wrong"}):
                async with nobody.request(method, prefix + path, headers=headers) as answer:
                    found = await answer.json()
                    assert answer.status == 401
                    assert found["error"]["code"] == "invalid_api_key"


async def test_lists_can_be_open_but_references_are_not(served) -> None:
    async with served(openai_open_lists=True) as (server, engine):
        async with Peer.of(server, engine) as alice, aiohttp.ClientSession(server.url) as nobody:
            clip = make_file(speechlike(16000, 2.0), 16000, "wav", "pcm_s16le")
            made = await alice.upload(clip)
            assert made in await voices_of(alice)
            for prefix in ("/v1", ""):
                async with nobody.get(f"{prefix}/audio/voices") as answer:
                    listed = {voice["id"] for voice in (await answer.json())["voices"]}
                assert "plain" in listed
                assert made not in listed
                async with nobody.get(f"{prefix}/audio/models") as answer:
                    assert answer.status == 200
                wrong = {"Authorization": "Bearer wrong"}
                async with nobody.get(f"{prefix}/audio/voices", headers=wrong) as answer:
                    assert answer.status == 401
                for method, path in (("GET", "/models"), ("POST", "/audio/speech")):
                    async with nobody.request(method, prefix + path) as answer:
                        assert answer.status == 401


async def test_other_routes_keep_their_own_body(peer: Peer) -> None:
    for path in ("/v2", "/modelsx", "/api/v1/audio/nowhere", "/v1x"):
        async with peer.http.get(path) as answer:
            assert answer.status == 404
            assert (await answer.json())["code"] == "NotFound"


async def test_what_else_the_hosted_service_has_is_missing_in_its_own_words(peer: Peer) -> None:
    for path in ("/v1", "/v1/chat/completions", "/v1/audiobooks", "/v1/realtime"):
        async with peer.http.post(path, json={}) as answer:
            assert answer.status == 404
            assert (await answer.json())["error"]["code"] == "unknown_url"


async def test_a_compressed_body_is_refused(peer: Peer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", peer.server.port)
    writer.write(
        f"POST {URL} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {peer.token}\r\n"
        "Content-Encoding: gzip\r\nContent-Length: 10\r\n\r\nnot packed".encode()
    )
    head, _, told = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 415 ")
    assert json.loads(told)["error"]["code"] == "unsupported_media_type"


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
async def test_a_failure_before_the_first_chunk_has_a_status(
    peer: Peer, stream_format: str
) -> None:
    for error, status, kind in (
        (EngineDied("gone"), 503, "server_error"),
        (RuntimeError("secret detail"), 500, "server_error"),
    ):
        peer.engine.error = error
        with capture_logs():
            async with peer.http.post(URL, json=body(stream_format=stream_format)) as answer:
                found = await answer.json()
        assert (answer.status, found["error"]["type"]) == (status, kind)
        assert "secret" not in found["error"]["message"]


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
async def test_a_failure_after_the_start_does_not_look_complete(
    peer: Peer, stream_format: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = body(input="word " * 2000, stream_format=stream_format)
    got = bytearray()
    async with peer.http.post(URL, json=asked) as answer:
        assert answer.status == 200
        got += await answer.content.readany()
        peer.engine.error = EngineDied("gone")
        with pytest.raises(aiohttp.ClientPayloadError):
            await read_on(answer, got)
    if stream_format == "sse":
        last = json.loads(got.rstrip().rpartition(b"\n")[2].removeprefix(b"data: "))
        assert (last["type"], last["error"]["message"]) == ("error", "gone")
    await peer.server.services.admission.wait_idle()
    assert not [line for line in caplog.records if line.name.startswith("aiohttp")]
    assert "EngineUnavailable" in await tasks_of(peer)


async def test_a_failure_over_http_1_0_does_not_look_complete(peer: Peer) -> None:
    """There the end of the connection is the end of the body: it must be a reset."""
    asked = json.dumps(body(input="word " * 2000)).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", peer.server.port)
    writer.write(
        f"POST {URL} HTTP/1.0\r\nAuthorization: Bearer {peer.token}\r\n"
        f"Content-Length: {len(asked)}\r\n\r\n".encode()
        + asked
    )
    assert b" 200 OK\r\n" in await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(1)
    peer.engine.error = EngineDied("gone")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def read_on(answer: aiohttp.ClientResponse, got: bytearray) -> None:
    while chunk := await answer.content.readany():
        got += chunk


async def tasks_of(peer: Peer) -> str:
    async with peer.http.get("/metrics") as page:
        text = await page.text()
    counted = [line for line in text.splitlines() if line.startswith("cosyserve_tasks_total{")]
    return "\n".join(line for line in counted if 'transport="openai"' in line)


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
async def test_a_client_that_goes_away_cancels_its_synthesis(
    peer: Peer, stream_format: str
) -> None:
    peer.engine.gate.clear()
    request = asyncio.create_task(peer.http.post(URL, json=body(stream_format=stream_format)))
    await peer.engine.opened.wait()
    request.cancel()
    await peer.server.services.admission.wait_idle()
    assert peer.engine.sessions[0].cancelled
    assert not peer.engine.open
    assert 'outcome="disconnected"' in await tasks_of(peer)


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/api/v1/audio/speech"])
async def test_a_client_that_leaves_while_it_listens_is_no_error(
    peer: Peer, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = body(input="word " * 39_000)
    if path.startswith("/api"):
        spoken = {"text": asked["input"], "mode": "fast_replication"}
        asked = {
            "model": "cosyvoice-v2",
            "input": {**spoken, "reference_audio_id": "plain", "output_format": "pcm"},
        }
    async with peer.http.post(path, json=asked) as answer:
        assert answer.status == 200
        await answer.content.readany()
    await peer.server.services.admission.wait_idle()
    async with peer.http.get("/metrics") as page:
        assert 'outcome="disconnected"' in await page.text()
    assert not peer.engine.open
    assert not [line for line in caplog.records if line.levelname == "ERROR"]


async def test_a_client_that_does_not_read_is_cut_off(served) -> None:
    async with served(send_timeout=0.3, send_buffer_bytes=4096) as (server, engine):
        with capture_logs() as lines:
            async with Peer.of(server, engine) as peer:
                asked = body(input="word " * 39_000)
                async with peer.http.post(URL, json=asked, read_bufsize=1024):
                    await server.services.admission.wait_idle()
    assert engine.sessions[0].produced < 20_000
    assert not engine.open
    assert "unexpected_error" not in [line["event"] for line in lines]


async def test_throttled_and_draining_are_told(served) -> None:
    async with served(max_tasks=1) as (server, engine), Peer.of(server, engine) as peer:
        engine.gate.clear()
        waiting = asyncio.create_task(peer.http.post(URL, json=body()))
        await engine.opened.wait()
        async with peer.http.post(URL, json=body()) as answer:
            found = await answer.json()
        assert (answer.status, found["error"]["code"]) == (429, "rate_limit_exceeded")
        assert found["error"]["type"] == "rate_limit_error"
        assert int(answer.headers["Retry-After"]) >= 1
        server.services.admission.drain()
        async with peer.http.post(URL, json=body()) as answer:
            found = await answer.json()
        assert (answer.status, found["error"]["code"]) == (503, "server_unavailable")
        engine.gate.set()
        async with await waiting as answer:
            assert len(await answer.read()) == 3 * WORD_BYTES


@pytest.mark.parametrize("text", ["...", " ?! \n", "\u3002"])
async def test_punctuation_alone_is_no_error(peer: Peer, text: str) -> None:
    async with peer.http.post(URL, json=body(input=text)) as answer:
        assert answer.status == 200
        assert await answer.read()


@pytest.mark.parametrize("text", ["", " ", "\t\r\n", "\u3000\u00a0", None])
async def test_a_blank_text_is_refused(peer: Peer, text: str | None) -> None:
    async with peer.http.post(URL, json=body(input=text)) as answer:
        assert answer.status == 400
        found = await answer.json()
    promised(URL, "post", 400, found)
    error = found["error"]
    assert (error["type"], error["param"], error["code"]) == (
        "invalid_request_error",
        "input",
        "invalid_value",
    )
    assert error["message"].startswith("input: ")
    assert not peer.engine.sessions


async def test_tasks_are_counted_as_openais(peer: Peer) -> None:
    async with peer.http.post(URL, json=body()) as answer:
        await answer.read()
    counted = await tasks_of(peer)
    assert 'format="pcm"' in counted
    assert 'outcome="finished"' in counted

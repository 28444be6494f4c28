"""The same sentence through every dialect is the same speech, to the sample."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from wyoming.client import AsyncClient
from wyoming.tts import SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeVoice

from support.peers.conversations import dashscope_events
from support.peers.peers import PATH, Peer, audio, message

TEXT = "Good morning. This sentence goes through every door."
VOICE = "clara"


async def over_websocket(peer: Peer) -> bytes:
    parameters = {
        "mode": "fast_replication",
        "reference_audio_id": VOICE,
        "output_format": "pcm",
    }
    async with peer.socket(PATH) as socket:
        await socket.send(
            message("run-task", "t", model="cosyvoice-v2", parameters=parameters),
            message("finish-task", "t", input={"text": TEXT}),
        )
        return audio(await socket.until("task-finished"))


async def over_rest(peer: Peer) -> bytes:
    given = {
        "mode": "fast_replication",
        "reference_audio_id": VOICE,
        "output_format": "pcm",
        "text": TEXT,
    }
    asked = {"model": "cosyvoice-v2", "input": given, "stream": False}
    async with peer.http.post("/api/v1/audio/speech", json=asked) as answer:
        found = await answer.json()
    return base64.b64decode(found["output"]["audio"]["data"])


async def over_dashscope(peer: Peer) -> bytes:
    parameters = {"voice": VOICE, "format": "pcm", "sample_rate": 24000}
    sound = b""
    async with peer.socket("/api-ws/v1/inference") as socket:
        await socket.send(
            message("run-task", "t", model="cosyvoice-v2", parameters=parameters),
            message("continue-task", "t", input={"text": TEXT}),
            message("finish-task", "t"),
        )
        async for data in socket.raw:
            if isinstance(data, bytes):
                sound += data
            elif json.loads(data)["header"]["event"] == "task-finished":
                break
    return sound


def realtime(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields})


async def over_realtime(peer: Peer, mode: str = "server_commit") -> bytes:
    sound = b""
    session = {"voice": VOICE, "mode": mode, "response_format": "pcm", "sample_rate": 24000}
    async with peer.socket("/api-ws/v1/realtime?model=qwen3-tts-flash-realtime") as socket:
        await socket.send(realtime("session.update", session=session))
        for word in TEXT.split(" "):
            lead = "" if TEXT.startswith(word) else " "
            await socket.send(realtime("input_text_buffer.append", text=lead + word))
        await socket.send(realtime("session.finish"))
        async for data in socket.raw:
            sound += base64.b64decode(json.loads(data).get("delta", ""))
    return sound


async def over_realtime_commit(peer: Peer) -> bytes:
    return await over_realtime(peer, "commit")


def synthesizer_call(peer: Peer, **headers: str) -> Any:
    asked = {"voice": VOICE, "format": "pcm", "sample_rate": 24000, "text": TEXT}
    path = "/api/v1/services/audio/tts/SpeechSynthesizer"
    return peer.http.post(path, json={"model": "cosyvoice-v2", "input": asked}, headers=headers)


async def over_dashscope_events(peer: Peer) -> bytes:
    async with synthesizer_call(peer, **{"X-DashScope-SSE": "enable"}) as answer:
        return dashscope_events(await answer.read())[0]


async def over_dashscope_address(peer: Peer) -> bytes:
    async with synthesizer_call(peer) as answer:
        url = (await answer.json())["output"]["audio"]["url"]
    async with aiohttp.ClientSession() as nobody, nobody.get(url) as answer:
        return await answer.read()


async def over_openai(peer: Peer) -> bytes:
    asked = {"model": "tts-1", "voice": VOICE, "input": TEXT, "response_format": "pcm"}
    async with peer.http.post("/v1/audio/speech", json=asked) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.read()


async def over_elevenlabs(peer: Peer) -> bytes:
    sound = b""
    path = f"/v1/text-to-speech/{VOICE}/stream-input?output_format=pcm_24000"
    async with peer.socket(path) as socket:
        for text in (" ", TEXT + " ", ""):
            await socket.send(json.dumps({"text": text}))
        async for data in socket.raw:
            told = json.loads(data)
            sound += base64.b64decode(told.get("audio") or "")
    return sound


async def over_vllm_omni(peer: Peer) -> bytes:
    sound = b""
    config = {"type": "session.config", "voice": VOICE, "response_format": "pcm"}
    said = {"type": "input.text", "text": TEXT}
    async with peer.socket("/v1/audio/speech/stream") as socket:
        await socket.send(*map(json.dumps, (config, said, {"type": "input.done"})))
        async for data in socket.raw:
            if isinstance(data, bytes):
                sound += data
            elif json.loads(data)["type"] == "session.done":
                break
    return sound


async def over_batch(peer: Peer) -> bytes:
    items = [{"input": "Something else."}, {"input": TEXT, "voice": VOICE}]
    asked = {"items": items, "voice": "alba", "response_format": "pcm"}
    async with peer.http.post("/v1/audio/speech/batch", json=asked) as answer:
        found = await answer.json()
    return base64.b64decode(found["results"][1]["audio_data"])


async def over_wyoming(peer: Peer) -> bytes:
    sound = b""
    said = (SynthesizeStart(SynthesizeVoice(name=VOICE)), SynthesizeChunk(TEXT), SynthesizeStop())
    async with AsyncClient.from_uri(str(peer.server.wyoming)) as client:
        for each in said:
            await client.write_event(each.event())
        while event := await client.read_event():
            sound += event.payload or b""
            if event.type == "synthesize-stopped":
                break
    return sound


DOORS = (
    over_rest,
    over_dashscope,
    over_dashscope_events,
    over_dashscope_address,
    over_realtime,
    over_realtime_commit,
    over_openai,
    over_elevenlabs,
    over_vllm_omni,
    over_batch,
    over_wyoming,
)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
async def test_it_is_the_same_speech(peer: Peer, door: Callable[[Peer], Awaitable[bytes]]) -> None:
    expected = await over_websocket(peer)
    assert len(expected) > 24000 * 2
    assert await door(peer) == expected

"""What must work through every proxy: each chunk passes when it is made, and not when its speech ends.

The next word is sent, or the engine told to say it, only once the one before has been heard. So a proxy
that gathers before it passes on never shows the first word, and the test ends by its time limit.
"""

from __future__ import annotations

import asyncio
import io
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from yarl import URL

from support.listening.audio import make_file, speechlike
from support.peers.peers import PATH, run_task, text

HEADERS = {"Authorization": "Bearer alice-secret"}
LIMIT = 30.0
WORDS = "one two three "


class Stepping(Protocol):
    def step(self, words: int = 1) -> None: ...


@dataclass(frozen=True)
class Proxy:
    """The proxy as its clients see it."""

    host: str
    trust: ssl.SSLContext
    steps: Stepping

    async def carries_websockets(self) -> None:
        """Text in, sound out, both as they come; through our own API, DashScope's and ElevenLabs'."""
        self.steps.step(1000)  # words come only as fast as we send them
        async with asyncio.timeout(LIMIT):
            await self._binary_frames(PATH, run_task("t", audio_transport="binary"))
            parameters = {"voice": "plain", "format": "pcm", "sample_rate": 24000}
            hosted = {
                "header": {"action": "run-task", "task_id": "d", "streaming": "duplex"},
                "payload": {
                    "task_group": "audio",
                    "task": "tts",
                    "function": "SpeechSynthesizer",
                    "model": "cosyvoice-v2",
                    "parameters": parameters,
                    "input": {},
                },
            }
            await self._binary_frames("/api-ws/v1/inference", json.dumps(hosted), "d")
            await self._elevenlabs()

    async def _binary_frames(self, path: str, first: str, task_id: str = "t") -> None:
        uri = f"wss://{self.host}{path}"
        async with connect(uri, ssl=self.trust, additional_headers=HEADERS) as socket:
            await socket.send(first)
            for word in WORDS.split():
                await socket.send(text("continue-task", task_id, word + " "))
                while isinstance(await socket.recv(), str):
                    pass
            await socket.send(text("finish-task", task_id, ""))
            while True:
                frame = await socket.recv()
                if (
                    isinstance(frame, str)
                    and json.loads(frame)["header"]["event"] == "task-finished"
                ):
                    return

    async def _elevenlabs(self) -> None:
        uri = f"wss://{self.host}/v1/text-to-speech/plain/stream-input?output_format=pcm_24000"
        key = {"xi-api-key": "alice-secret"}
        async with connect(uri, ssl=self.trust, additional_headers=key) as socket:
            for word in (" ", *WORDS.split()):
                await socket.send(json.dumps({"text": word + " ", "flush": bool(word.strip())}))
                while word.strip() and not json.loads(await socket.recv()).get("audio"):
                    pass
            await socket.send(json.dumps({"text": ""}))
            while not json.loads(await socket.recv()).get("isFinal"):
                pass

    async def carries_events(self) -> None:
        """Server-sent events, each as it is made."""
        asked = {
            "model": "cosyvoice-v2",
            "input": {
                "mode": "fast_replication",
                "reference_audio_id": "plain",
                "text": WORDS,
                "output_format": "pcm",
            },
        }
        async with asyncio.timeout(LIMIT), self._http() as http:
            self.steps.step()
            async with http.post("/api/v1/audio/speech", json=asked) as answer:
                assert answer.status == 200
                assert answer.content_type == "text/event-stream"
                seen: list[Any] = []
                async for line in answer.content:
                    if line.startswith(b"data: "):
                        seen.append(json.loads(line[6:]))
                        self.steps.step()
                assert len(seen) >= len(WORDS.split())
                assert seen[-1]["output"]["finish_reason"] == "stop"

    async def carries_refusals_and_uploads(self) -> None:
        """Statuses and bodies of the server come as they are; uploads near the limit pass."""
        clip = make_file(speechlike(48000, 29.0), 48000, "wav", "pcm_s16le")
        async with asyncio.timeout(LIMIT), self._http() as http:
            async with http.get("/version", headers={"Authorization": "Bearer wrong"}) as answer:
                assert answer.status == 401
                assert (await answer.json())["code"] == "Unauthorized"
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"wss://{self.host}{PATH}", ssl=self.trust)
            assert refused.value.response.status_code == 401
            form = aiohttp.FormData()
            form.add_field("file", io.BytesIO(clip), filename="clip.wav")
            form.add_field("text", "What is said.")
            async with http.post("/api/v1/audio/reference_audio", data=form) as answer:
                assert answer.status == 200, await answer.text()

    async def hides_metrics(self) -> None:
        """What is for operators is not for the world."""
        async with asyncio.timeout(LIMIT), self._http() as http:
            for path in ("metrics", "%6detrics", "metrics?x=1", "x/../metrics", "x/%2e%2e/metrics"):
                address = URL(f"https://{self.host}/{path}", encoded=True)
                async with http.get(address) as answer:
                    assert answer.status == 404, path
                    assert b"cosyserve_" not in await answer.read()
            async with http.get("/readyz") as answer:
                assert answer.status == 200

    def _http(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=self.trust)
        return aiohttp.ClientSession(f"https://{self.host}", headers=HEADERS, connector=connector)


Check = Callable[[Proxy], Awaitable[None]]
CHECKS: Final[tuple[Check, ...]] = (
    Proxy.carries_websockets,
    Proxy.carries_events,
    Proxy.carries_refusals_and_uploads,
    Proxy.hides_metrics,
)

"""The client's end of a server under test: plain sockets and plain HTTP, no client of ours."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from websockets.asyncio.client import ClientConnection, connect

from cosyserve.server.app import RunningServer
from support.engines.fake_engine import FakeEngine

PATH = "/api-ws/v1/audio/speech"
GOOD: dict[str, Any] = {
    "mode": "fast_replication",
    "reference_audio_id": "plain",
    "output_format": "pcm",
}


def message(action: str, task_id: str, **payload: Any) -> str:
    """A frame of the client's."""
    header = {"action": action, "task_id": task_id, "streaming": "duplex"}
    return json.dumps({"header": header, "payload": {"input": {}, **payload}})


def run_task(task_id: str, model: str = "cosyvoice-v2", **parameters: Any) -> str:
    return message("run-task", task_id, model=model, parameters={**GOOD, **parameters})


def text(action: str, task_id: str, words: str) -> str:
    return message(action, task_id, input={"text": words})


@dataclass
class Socket:
    """A connection that speaks in whole messages."""

    raw: ClientConnection

    async def send(self, *frames: str | bytes) -> None:
        for frame in frames:
            await self.raw.send(frame)

    async def next(self) -> dict[str, Any]:
        """The next text frame."""
        data = await self.raw.recv()
        assert isinstance(data, str), "a binary frame came without its event"
        found: dict[str, Any] = json.loads(data)
        return found

    async def until(self, event: str, task_id: str | None = None) -> list[dict[str, Any]]:
        """Messages up to that event (of that task)."""
        got: list[dict[str, Any]] = []
        while True:
            got.append(await self.next())
            header = got[-1]["header"]
            if header["event"] == event and task_id in (None, header["task_id"]):
                return got


@dataclass
class Peer:
    server: RunningServer
    engine: FakeEngine
    http: aiohttp.ClientSession
    token: str = "alice-secret"

    @classmethod
    @asynccontextmanager
    async def of(
        cls, server: RunningServer, engine: FakeEngine, token: str = "alice-secret"
    ) -> AsyncIterator[Peer]:
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(server.url, headers=headers) as http:
            yield cls(server, engine, http, token)

    @asynccontextmanager
    async def socket(self, path: str = PATH, **options: Any) -> AsyncIterator[Socket]:
        options.setdefault("additional_headers", {"Authorization": f"Bearer {self.token}"})
        uri = self.server.url.replace("http", "ws", 1) + path
        async with connect(uri, **options) as raw:
            yield Socket(raw)

    async def upload(self, data: bytes, words: str = "What is said.", **fields: str) -> str:
        """Upload a clip; its id."""
        form = aiohttp.FormData()
        form.add_field("file", data, filename="clip.wav")
        for name, value in {"text": words, **fields}.items():
            form.add_field(name, value)
        async with self.http.post("/api/v1/audio/reference_audio", data=form) as answer:
            assert answer.status == 200, await answer.text()
            found: str = (await answer.json())["id"]
            return found


def audio(messages: list[dict[str, Any]], task_id: str | None = None) -> bytes:
    """All audio of these messages (of that task)."""
    return b"".join(
        base64.b64decode(m["payload"]["output"]["audio"]["data"])
        for m in messages
        if m["header"]["event"] == "result-generated" and task_id in (None, m["header"]["task_id"])
    )

"""A server of a few lines that plays one side of the API by a script, to test clients against.

The script is chosen by the voice:

    echo       every piece of text is a chunk with the text's bytes, 0.1 s of speech each
    unknown    the task fails: no such reference
    drop       the connection breaks at the first text
    restart    the server closes with 1012 at the first text
    garbage    the first text is answered with something that is no JSON
    flood      64 KiB chunks without end until the task is cancelled
    wav        as echo, but a streaming WAV header comes first
    mute       nothing is ever sent after task-started
    stubborn   the task goes on sending after it was cancelled, then finishes

Uploaded references speak as echo does, by id and by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from cosyserve.protocol.cosyvoice.codec import decode_command, encode_event
from cosyserve.protocol.messages import (
    CancelTask,
    ChunkMetrics,
    Command,
    ContinueTask,
    Event,
    FinishReason,
    FinishTask,
    ResultGenerated,
    RunTask,
    TaskFailed,
    TaskFinished,
    TaskMetrics,
    TaskStarted,
)

WAV_HEADER = bytes.fromhex(
    "52494646ffffffff57415645666d74201000000001000100c05d000080bb00000200100064617461ffffffff"
)
FLOOD_CHUNK = bytes(65536)
VOICES = [
    {"id": "echo", "name": "Echo", "gender": "female"},
    {"id": "wav", "name": "Wave", "gender": "male"},
]


@dataclass
class Connection:
    """One WebSocket of the scripted server and the tasks on it."""

    server: ScriptedServer
    socket: web.WebSocketResponse
    tasks: dict[str, RunTask] = field(default_factory=dict)
    floods: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def send(self, event: Event) -> None:
        frame = encode_event(event)
        await self.socket.send_str(frame.text.decode())
        if frame.attachment is not None:
            await self.socket.send_bytes(frame.attachment)

    async def chunk(self, run: RunTask, data: bytes) -> None:
        binary = run.parameters.audio_transport == "binary"
        metrics = ChunkMetrics(0.1, 0.01, 0.005)
        await self.send(ResultGenerated(run.task_id, "audio", data, metrics, binary=binary))

    async def receive(self, command: Command) -> None:
        self.server.commands.append(command)
        match command:
            case RunTask():
                await self.run(command)
            case ContinueTask():
                self.server.text_heard.set()
                await self.text(self.tasks.get(command.task_id), command)
            case FinishTask():
                await self.finish(command.task_id, cancelled=False)
            case CancelTask():
                await self.finish(command.task_id, cancelled=True)

    async def run(self, run: RunTask) -> None:
        voice = run.parameters.reference_audio_id
        if voice not in self.server.scripts:
            message = f"no reference {voice}"
            await self.send(TaskFailed(run.task_id, "ReferenceAudioNotFound", message))
            return
        self.tasks[run.task_id] = run
        await self.send(TaskStarted(run.task_id))
        if voice == "flood":
            self.floods[run.task_id] = asyncio.create_task(self.flood(run))
        elif voice == "wav":
            await self.chunk(run, WAV_HEADER)

    async def flood(self, run: RunTask) -> None:
        while True:
            await self.chunk(run, FLOOD_CHUNK)
            self.server.flooded += len(FLOOD_CHUNK)

    async def text(self, run: RunTask | None, command: ContinueTask) -> None:
        if run is None:
            message = "no such task runs"
            await self.send(TaskFailed(command.task_id, "InvalidState", message))
            return
        match run.parameters.reference_audio_id:
            case "mute" | "flood":
                pass
            case "drop":
                assert self.socket._req is not None
                transport = self.socket._req.transport
                assert transport is not None
                transport.abort()
            case "restart":
                await self.socket.close(code=WSCloseCode.SERVICE_RESTART, message=b"restarting")
            case "garbage":
                await self.socket.send_str("<html>")
            case _:
                await self.chunk(run, command.text.encode())

    async def finish(self, task_id: str, *, cancelled: bool) -> None:
        run = self.tasks.get(task_id)
        if run is None:
            return
        voice = run.parameters.reference_audio_id
        if voice in ("mute", "flood") and not cancelled:
            return
        del self.tasks[task_id]
        flood = self.floods.pop(task_id, None)
        if flood is not None:
            flood.cancel()
            await asyncio.wait([flood])
        if voice == "stubborn":
            await self.chunk(run, b"late")
        totals = TaskMetrics(speech_len=1.5, first_package_time=0.02, rtf=0.1)
        reason: FinishReason = "cancelled" if cancelled else "stop"
        await self.send(TaskFinished(task_id, reason, 42, totals))


class ScriptedServer:
    """What the server heard, and its address; `token` None takes every client."""

    def __init__(self, token: str | None = None) -> None:
        self.token = token
        self.url = ""
        self.scripts = {
            "echo", "drop", "restart", "garbage", "flood", "wav", "mute", "stubborn"
        }  # fmt: skip
        self.commands: list[Command] = []
        self.connections: list[Connection] = []
        self.text_heard = asyncio.Event()
        self.closed = asyncio.Event()
        self.flooded = 0
        self.references: dict[str, dict[str, Any]] = {}
        self.uploads: list[dict[str, Any]] = []

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._authenticate])
        path = "/api/v1/audio/reference_audio"
        app.add_routes(
            [
                web.get("/api-ws/v1/audio/speech", self._websocket),
                web.get("/version", self._version),
                web.post(path, self._upload),
                web.get(path, self._list),
                web.get(path + "/{id}", self._get),
                web.delete(path + "/{id}", self._delete),
            ]
        )
        return app

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _error(401, "Unauthorized", "wrong token")
        response: web.StreamResponse = await handler(request)
        return response

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        connection = Connection(self, socket)
        self.connections.append(connection)
        try:
            async for message in socket:
                assert message.type is WSMsgType.TEXT
                await connection.receive(decode_command(message.data))
        finally:
            for flood in connection.floods.values():
                flood.cancel()
            self.closed.set()
        return socket

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "0", "engine": "scripted", "voices": VOICES})

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        data = file.file.read()
        if not data:
            return _error(422, "InvalidAudio", "the clip is empty")
        reference = {
            "id": f"ref-{len(self.uploads) + 1}",
            "filename": file.filename,
            "bytes": len(data),
            "created_at": 1_700_000_000 + len(self.uploads),
            "text": str(form["text"]),
        }
        if "name" in form:
            reference["name"] = str(form["name"])
            self.scripts.add(reference["name"])
        self.uploads.append({**reference, "sample_rate": form.get("sample_rate"), "data": data})
        self.references[str(reference["id"])] = reference
        self.scripts.add(str(reference["id"]))
        return web.json_response(reference)

    async def _list(self, request: web.Request) -> web.Response:
        items = sorted(self.references.values(), key=lambda item: int(item["created_at"]))
        if request.query.get("order", "desc") == "desc":
            items.reverse()
        return web.json_response(items[: int(request.query.get("limit", "100"))])

    async def _get(self, request: web.Request) -> web.Response:
        reference = self.references.get(request.match_info["id"])
        if reference is None:
            return _error(404, "ReferenceAudioNotFound", "no such reference")
        return web.json_response(reference)

    async def _delete(self, request: web.Request) -> web.Response:
        if self.references.pop(request.match_info["id"], None) is None:
            return _error(404, "ReferenceAudioNotFound", "no such reference")
        return web.json_response({"code": "OK", "message": "deleted", "data": {}})


@asynccontextmanager
async def scripted_server(token: str | None = None) -> AsyncIterator[ScriptedServer]:
    """Run one on a free loopback port."""
    server = ScriptedServer(token)
    runner = web.AppRunner(server.app(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        for connection in server.connections:
            await connection.socket.close()
        await runner.cleanup()


def _error(status: int, code: str, message: str) -> web.Response:
    body = {"code": code, "message": message, "request_id": "r", "data": {}}
    return web.json_response(body, status=status)

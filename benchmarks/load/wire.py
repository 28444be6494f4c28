"""Bare HTTP and WebSocket on a socket: load that costs its client little, much of it as no library sends."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import orjson

PATH: Final = "/api-ws/v1/audio/speech"
"""The WebSocket of the cosyvoice dialect."""
CONTINUATION, TEXT, BINARY, CLOSE, PING = 0x0, 0x1, 0x2, 0x8, 0x9
LOST: Final = (OSError, EOFError)
"""What a connection raises that the server has ended or that has taken too long."""
READ_AHEAD: Final = 1 << 16
"""Bytes that are taken from the kernel before anybody reads them, twice."""
_FINAL: Final = 0x80


class Wire:
    """One connection to the server. Its coroutines raise LOST."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Write, and wait while the server does not read."""
        self._writer.write(data)
        await self._writer.drain()

    async def status(self) -> int:
        """The status of the answer whose head comes next; its body is what comes then."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        return int(head.split(maxsplit=2)[1])

    async def read(self, most: int = READ_AHEAD) -> bytes:
        """What has come; empty at the end."""
        return await self._reader.read(most)

    async def rest(self) -> int:
        """Throw away what comes to the end; returns how many bytes that were."""
        size = 0
        while data := await self.read():
            size += len(data)
        return size

    async def frame(self) -> tuple[int, bytes]:
        """The opcode and the data of the next frame."""
        first, second = await self._reader.readexactly(2)
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
        return first & 0x0F, await self._reader.readexactly(size)

    async def closed(self) -> int:
        """Throw away frames up to that which closes the connection; returns its code."""
        while True:
            opcode, data = await self.frame()
            if opcode == CLOSE:
                return int.from_bytes(data[:2], "big")


@asynccontextmanager
async def connected(url: str, source: str | None = None) -> AsyncIterator[Wire]:
    """A connection to the server at this address; leaving the context cuts it off.

    source: the client's own address, where the ports of one do not suffice. Raises OSError.
    """
    address = urlsplit(url)
    local = None if source is None else (source, 0)
    reader, writer = await asyncio.open_connection(
        address.hostname, address.port, limit=READ_AHEAD, local_addr=local
    )
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


def request(
    method: str,
    path: str,
    token: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> bytes:
    """A request with its body. headers: others than the token's, in place of Content-Length too."""
    fields = {"Host": "localhost"}  # which a server without tokens asks for
    if token:
        fields["Authorization"] = f"Bearer {token}"
    if body:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields |= headers or {}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def post(path: str, token: str, content: object) -> bytes:
    """A request with a body in JSON."""
    return request("POST", path, token, body=orjson.dumps(content))


def upgrade(path: str, token: str = "") -> bytes:
    """The request for a WebSocket."""
    fields = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    return request("GET", path, token, fields)


def frame(opcode: int, data: bytes, *, final: bool = True) -> bytes:
    """A client's frame, masked with zeros."""
    first = opcode | (_FINAL if final else 0)
    if len(data) < 126:
        size = bytes([0x80 | len(data)])
    elif len(data) < 1 << 16:
        size = b"\xfe" + len(data).to_bytes(2, "big")
    else:
        size = b"\xff" + len(data).to_bytes(8, "big")
    return bytes([first]) + size + bytes(4) + data


def message(content: object) -> bytes:
    """A client's message in JSON, as a frame."""
    return frame(TEXT, orjson.dumps(content))


def command(action: str, task_id: str, **payload: object) -> bytes:
    """A command of the cosyvoice or the DashScope dialect, as a frame."""
    header = {"action": action, "task_id": task_id, "streaming": "duplex"}
    return message({"header": header, "payload": {"input": {}, **payload}})


def run_task(task_id: str, voice: str, **parameters: object) -> bytes:
    """The cosyvoice dialect's run-task for bare PCM, as a frame. parameters: further ones."""
    given = {
        "mode": "fast_replication",
        "reference_audio_id": voice,
        "output_format": "pcm",
        **parameters,
    }
    return command("run-task", task_id, model="CosyVoice2-0.5B", parameters=given)


async def metrics(url: str) -> list[tuple[str, str, float]]:
    """The samples of the server's metrics page: name, labels, value. Raises OSError."""
    async with connected(url) as wire:
        await wire.send(request("GET", "/metrics"))
        if (status := await wire.status()) != 200:
            raise OSError(f"/metrics answers with {status}")
        page = b""
        while data := await wire.read():
            page += data
    lines = re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", page.decode(), re.MULTILINE)
    return [(name, labels, float(value)) for name, labels, value in lines]

"""HTTP with nothing in between: what a server sends, to the byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Headers = Mapping[str, str]


@dataclass(frozen=True)
class Request:
    """body: as it is sent. length: what its head says of it, where that is not its length.

    shown: words for a body that is not fit to be read.
    """

    method: str
    path: str
    headers: Headers
    body: bytes = b""
    length: int | None = None
    shown: str = ""

    def encoded(self) -> bytes:
        length = len(self.body) if self.length is None else self.length
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"Content-Length: {length}"] if length else []
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass(frozen=True)
class Answer:
    """An answer up to the end of its connection.

    parts: of the body, as they were sent. ended: its end came, and was not cut off.
    """

    status: str
    headers: tuple[tuple[str, str], ...]
    parts: tuple[bytes, ...]
    chunked: bool
    ended: bool

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    def header(self, name: str) -> str:
        return next(value for each, value in self.headers if each.lower() == name.lower())

    def json(self) -> Any:
        return json.loads(self.body)


async def fetch(port: int, request: Request) -> Answer:
    """Ask, and read until the server closes.

    It waits for the rest of a body that it does not want, so it is told that there is none once it has
    answered.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request.encoded())
        data = b""
        while more := await reader.read(2**16):
            data += more
            if request.length is not None and b"\r\n\r\n" in data and _answer(data).ended:
                writer.write_eof()
        return _answer(data)
    finally:
        writer.close()
        await writer.wait_closed()


def _answer(data: bytes) -> Answer:
    head, blank, rest = data.partition(b"\r\n\r\n")
    assert blank, f"no head: {data[:200]!r}"
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = tuple((name, value) for name, _, value in (line.partition(": ") for line in lines))
    known = {name.lower(): value for name, value in headers}
    if known.get("transfer-encoding") == "chunked":
        parts, ended = _chunks(rest)
        return Answer(first, headers, parts, True, ended)
    ended = len(rest) == int(known.get("content-length", len(rest)))
    return Answer(first, headers, (rest,) if rest else (), False, ended)


def _chunks(data: bytes) -> tuple[tuple[bytes, ...], bool]:
    parts: list[bytes] = []
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return tuple(parts), True
        assert data[length : length + 2] == b"\r\n", "a chunk is cut off"
        parts.append(data[:length])
        data = data[length + 2 :]
    return tuple(parts), False

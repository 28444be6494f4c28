"""Requests byte by byte, for what no HTTP client would send."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

import orjson
from multidict import CIMultiDict


@dataclass(frozen=True)
class RawAnswer:
    """An answer's head and body."""

    whole: bytes

    @property
    def status(self) -> int:
        return int(self.whole.split(b" ", 2)[1])

    @property
    def headers(self) -> CIMultiDict[str]:
        lines = self.whole.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines)
        return CIMultiDict((name, value.strip()) for name, _, value in pairs)

    @property
    def json(self) -> Any:
        return orjson.loads(self.whole.partition(b"\r\n\r\n")[2])


async def raw_exchange(port: int, *pieces: bytes) -> RawAnswer:
    """Send the pieces, and read one answer that has a length."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
        async with asyncio.timeout(20):
            found = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", found, re.IGNORECASE)
            return RawAnswer(found + await reader.readexactly(int(length[1]) if length else 0))
    finally:
        writer.close()


def head(line: str, *headers: str, host: str = "x") -> bytes:
    """A request's head. The headers may hold any bytes, as latin-1."""
    return "\r\n".join((line + " HTTP/1.1", f"Host: {host}", *headers, "", "")).encode("latin-1")

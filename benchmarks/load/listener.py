"""A WebSocket client that costs next to nothing, so that hundreds leave the cores to the server."""

from __future__ import annotations

import asyncio
import re
from time import perf_counter
from typing import Final, cast
from urllib.parse import urlsplit

import orjson

from ..stats import play
from .wire import BINARY, CLOSE, PATH, TEXT, command, run_task, upgrade

RATE: Final = 24_000
LONGEST_SILENCE: Final = 0.1
"""Seconds that a listener takes for no gap."""
_RETRY: Final = re.compile(rb"try again in (\d+) s")


class BareListener(asyncio.Protocol):
    """One connection with at most one task, whose sound it counts and throws away.

    asked_at: `time.perf_counter()` of its run-task. finished: whether its task ended well. error: the code of
    the one that ended it, "closed" if the connection did. retry_after: seconds, None unless the task was
    refused for now. over: set with its last word.
    """

    def __init__(self) -> None:
        self.asked_at = 0.0
        self.finished = False
        self.error = ""
        self.retry_after: int | None = None
        self.over = asyncio.Event()
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals: list[float] = []
        self._lengths: list[float] = []
        self._ended_at = 0.0
        self._transport: asyncio.Transport | None = None
        self._data = bytearray()

    @property
    def first_sound(self) -> float:
        """Seconds from its run-task to its first sound."""
        return self._arrivals[0] - self.asked_at

    @property
    def answered(self) -> float:
        """Seconds from its run-task to its last word."""
        return self._ended_at - self.asked_at

    @property
    def continuous(self) -> bool:
        """Whether its task ended well, and its player, started with the first chunk, never ran dry."""
        silences = play(self._arrivals, self._lengths).silences
        return self.finished and max(silences, default=0.0) <= LONGEST_SILENCE

    def ask(self, voice: str, text: str) -> None:
        """Send a whole task."""
        run = run_task("crowd", voice, sample_rate=RATE, audio_transport="binary")
        spoken = command("continue-task", "crowd", input={"text": text})
        assert self._transport is not None
        self.asked_at = perf_counter()
        self._transport.write(run + spoken + command("finish-task", "crowd"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self.opened.done():
            head, end, _ = self._data.partition(b"\r\n\r\n")
            if not end:
                return
            del self._data[: len(head) + len(end)]
            if b" 101 " not in head[:20]:
                self.opened.set_exception(ConnectionError(head.split(b"\r\n")[0].decode()))
                return
            self.opened.set_result(None)
        self._read_frames()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("closed during the handshake"))
        self._end("closed")

    def _read_frames(self) -> None:
        data, begin = self._data, 0
        while len(data) - begin >= 2:
            size, head = data[begin + 1], 2
            if size >= 126:
                head = 4 if size == 126 else 10
                size = int.from_bytes(data[begin + 2 : begin + head], "big")
            end = begin + head + size
            if len(data) < end or len(data) - begin < head:
                break
            self._frame(data[begin] & 0x0F, data, begin + head, end)
            begin = end
        del data[:begin]

    def _frame(self, opcode: int, data: bytearray, begin: int, end: int) -> None:
        if opcode == BINARY:
            self._arrivals.append(perf_counter())
            self._lengths.append((end - begin) / 2 / RATE)
        elif opcode == CLOSE:
            self._end("closed")
        elif opcode == TEXT and (b"task-f" in data[begin:end]):
            event = orjson.loads(bytes(data[begin:end]))["header"]
            if event["event"] == "task-finished":
                self.finished = not self.over.is_set()
                self._end("")
            elif event["event"] == "task-failed":
                if found := _RETRY.search(data, begin, end):
                    self.retry_after = int(found[1])
                self._end(event["error_code"])

    def _end(self, error: str) -> None:
        if not self.over.is_set():
            self.error = error
            self._ended_at = perf_counter()
            self.over.set()


async def connected(url: str, secret: str) -> BareListener:
    """A listener whose connection is open. Raises OSError, ConnectionError for a refused handshake."""
    address = urlsplit(url)
    loop = asyncio.get_running_loop()
    host, port = address.hostname or "127.0.0.1", address.port or 80
    transport, listener = await loop.create_connection(BareListener, host, port)
    transport.write(upgrade(PATH, secret))
    await listener.opened
    return listener

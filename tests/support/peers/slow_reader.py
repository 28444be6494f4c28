"""A client that reads no faster than a player plays: blocking sockets in a thread of their own."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

T = TypeVar("T")

SMALLEST_ROOM = 4096
"""Bytes in the client's kernel: so little that what the server sends stays at the server."""


@dataclass
class Heard:
    """All that came over a WebSocket. code: what it was closed with; None if it was cut off."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    binary: list[bytes] = field(default_factory=list)
    code: int | None = None
    pings: int = 0
    pong_seconds: list[float] = field(default_factory=list)

    @property
    def sound(self) -> bytes:
        """What our own dialect and ElevenLabs' carry."""
        return b"".join(self.binary) + b"".join(map(_sound_of, self.messages))


def _sound_of(message: dict[str, Any]) -> bytes:
    if "audio" in message:
        return base64.b64decode(message["audio"] or "")
    output = message.get("payload", {}).get("output", {})
    return base64.b64decode(output.get("audio", {}).get("data") or "")


class SlowReader:
    """One connection. pace: bytes of the wire a second; room: of the client's kernel, None is its own.

    `pause` makes it take nothing until `resume`.
    """

    def __init__(
        self,
        port: int,
        pace: float,
        room: int | None = SMALLEST_ROOM,
        tls: ssl.SSLContext | None = None,
        pings_every: float | None = None,
    ) -> None:
        self._pace = pace
        self._pings_every = pings_every
        self._goes_on = threading.Event()
        self._goes_on.set()
        self._read = 0
        connection = socket.socket()
        if room is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket: socket.socket = connection
        self._tls = tls
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._goes_on.set()
        self._socket.close()
        self._thread.shutdown(wait=False)

    def pause(self) -> None:
        self._goes_on.clear()

    def resume(self) -> None:
        self._goes_on.set()

    async def post(self, path: str, body: dict[str, Any], version: str = "1.1") -> bytes:
        """The answer's bytes as they came, up to the end of the connection."""
        data = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/{version}\r\nHost: x\r\nAuthorization: Bearer alice-secret\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        return await self._run(lambda: b"".join(self._exchange(head.encode() + data)))

    async def listen(
        self, path: str, *frames: str, then_close: bool = False, then_pause: float = 0.0
    ) -> Heard:
        """Send these frames over a WebSocket; what comes until it is closed.

        then_close: close it once a task-finished has come. then_pause: take nothing for these
        seconds once the frames are sent; infinite is until `resume`.
        """
        return await self._run(lambda: self._listen(path, frames, then_close, then_pause))

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _secure(self) -> None:
        if self._tls is not None:
            self._socket = self._tls.wrap_socket(self._socket, server_hostname="127.0.0.1")
            self._tls = None

    def _exchange(self, asked: bytes) -> Iterator[bytes]:
        self._secure()
        self._socket.sendall(asked)
        yield from self._pieces()

    def _pieces(self) -> Iterator[bytes]:
        """What comes, at the reader's pace; ends where the connection does, however it does."""
        began = time.monotonic()
        at_once = max(512, min(4096, round(self._pace / 50)))
        while True:
            self._goes_on.wait()
            due = began + self._read / self._pace - time.monotonic()
            if due > 0:
                time.sleep(due)
            elif due < -0.1:  # it waited for the server: no catching up
                began -= due
            try:
                piece = self._socket.recv(at_once)
            except (ConnectionError, ssl.SSLError):
                return
            if not piece:
                return
            self._read += len(piece)
            yield piece

    def _listen(
        self, path: str, frames: tuple[str, ...], then_close: bool, then_pause: float
    ) -> Heard:
        self._secure()
        heard, protocol = Heard(), ClientProtocol(parse_uri(f"ws://x{path}"), max_size=None)
        request = protocol.connect()
        request.headers["Authorization"] = "Bearer alice-secret"
        protocol.send_request(request)
        self._flush(protocol)
        pinged: dict[bytes, float] = {}
        next_ping = time.monotonic() + (self._pings_every or 1e9)
        for piece in self._pieces():
            protocol.receive_data(piece)
            for event in protocol.events_received():
                if isinstance(event, Response):
                    assert protocol.state is State.OPEN, event
                    for frame in frames:
                        protocol.send_text(frame.encode())
                    if then_pause:
                        self.pause()
                        if then_pause < math.inf:
                            threading.Timer(then_pause, self.resume).start()
                    continue
                assert isinstance(event, Frame)
                match event.opcode:
                    case Opcode.TEXT:
                        heard.messages.append(json.loads(event.data))
                        last = heard.messages[-1].get("header", {}).get("event")
                        if then_close and last == "task-finished":
                            protocol.send_close(1000)
                    case Opcode.BINARY:
                        heard.binary.append(bytes(event.data))
                    case Opcode.PING:
                        heard.pings += 1
                    case Opcode.PONG:
                        heard.pong_seconds.append(time.monotonic() - pinged.pop(bytes(event.data)))
                    case Opcode.CLOSE:
                        heard.code = protocol.close_rcvd.code if protocol.close_rcvd else None
            if time.monotonic() >= next_ping and protocol.state is State.OPEN:
                name = os.urandom(4)
                pinged[name] = time.monotonic()
                protocol.send_ping(name)
                next_ping += self._pings_every or 1e9
            self._flush(protocol)
        return heard

    def _flush(self, protocol: ClientProtocol) -> None:
        for data in protocol.data_to_send():
            if data:
                try:
                    self._socket.sendall(data)
                except (ConnectionError, ssl.SSLError):
                    return

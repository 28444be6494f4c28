"""One TCP port for two protocols: WebSocket upgrades go to websockets, all else to aiohttp.

The first request's head decides, before either library has seen a byte, so each of them only ever
deals with connections that are wholly its own. REST answers carry `Connection: close`: an upgrade
on a connection that served REST before would otherwise reach the HTTP side.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable
from typing import Any, cast

from websockets.asyncio.server import ServerConnection

from .request_target import tidy_head

MAX_HEAD_BYTES = 16 * 1024
_UPGRADE = re.compile(rb"^upgrade[ \t]*:[^\r\n]*\bwebsocket\b", re.IGNORECASE | re.MULTILINE)


class PortSwitch(ServerConnection):
    """A WebSocket connection that hands its transport to `make_http()` if the client wants plain HTTP.

    A head that is not complete after `head_timeout` seconds aborts the connection. One longer than
    MAX_HEAD_BYTES goes to the HTTP side, which refuses it in its own words.
    """

    def __init__(
        self,
        *args: Any,
        make_http: Callable[[], asyncio.Protocol],
        head_timeout: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._make_http = make_http
        self._head_timeout = head_timeout
        self._head: bytes | None = b""  # None once it is decided
        self._undecided: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The base class starts the WebSocket handler here; that waits until we know it is one.
        self._undecided = cast(asyncio.Transport, transport)
        self._deadline = self.loop.call_later(self._head_timeout, self._undecided.abort)

    def data_received(self, data: bytes) -> None:
        if self._head is None:
            super().data_received(data)
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end >= 0 or len(self._head) > MAX_HEAD_BYTES:
            self._decide(end >= 0 and _UPGRADE.search(self._head, 0, end) is not None)

    def _decide(self, websocket: bool) -> None:
        assert self._head is not None
        assert self._undecided is not None
        head, self._head = tidy_head(self._head), None
        transport = self._undecided
        self._drop_deadline()
        if websocket:
            super().connection_made(transport)
            super().data_received(head)
        else:
            protocol = self._make_http()
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
            protocol.data_received(head)

    def eof_received(self) -> None:
        if self._head is None:
            super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop_deadline()
        if self._head is None:
            super().connection_lost(exc)

    def _drop_deadline(self) -> None:
        # The timer refers to this object: without this each closed connection would linger until it fires.
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._undecided = None


def switch_to(
    make_http: Callable[[], asyncio.Protocol], head_timeout: float
) -> type[ServerConnection]:
    """What `websockets.serve` takes as `create_connection`."""
    factory = functools.partial(PortSwitch, make_http=make_http, head_timeout=head_timeout)
    return cast(type[ServerConnection], factory)

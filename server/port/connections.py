"""One TCP port for two protocols: WebSocket upgrades go to websockets, all else to aiohttp.

The first request's head decides, before either library has seen a byte, so each of them only ever
deals with connections that are wholly its own. REST answers carry `Connection: close`: an upgrade
on a connection that served REST before would otherwise reach the HTTP side.
"""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar, cast

import structlog
from websockets.asyncio.server import ServerConnection

from ..delivery import Deliveries
from ..delivery.delivery import TRANSPORT_BUFFER
from ..delivery.patient import PatientConnection
from .request_target import tidy_head

log = structlog.get_logger(__name__)

_T = TypeVar("_T")

MAX_HEAD_BYTES = 16 * 1024
_UPGRADE = re.compile(rb"^upgrade[ \t]*:[^\r\n]*\bwebsocket\b", re.IGNORECASE | re.MULTILINE)


class _Begun(Generic[_T]):
    """A coroutine that has already run to its first wait; asyncio's own eager tasks come with 3.12."""

    def __init__(self, coroutine: Coroutine[Any, Any, _T]) -> None:
        self._steps = coroutine.__await__()
        self._waits_for = next(self._steps)

    def __await__(self) -> Generator[Any, None, _T]:
        try:
            yield self._waits_for
        except BaseException as error:
            self._steps.throw(error)
            raise
        return (yield from self._steps)


class PortSwitch(PatientConnection):
    """A WebSocket connection that hands its transport to `make_http()` if the client wants plain HTTP.

    tls: every connection begins with a TLS handshake.
    A head that is not complete `head_timeout` seconds after the connection was accepted aborts it. One
    longer than MAX_HEAD_BYTES goes to the HTTP side, which refuses it in its own words.
    """

    def __init__(
        self,
        *args: Any,
        make_http: Callable[[], asyncio.Protocol],
        head_timeout: float,
        tls: ssl.SSLContext | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._make_http = make_http
        self._head_timeout = head_timeout
        self._tls = tls
        self._head: bytes | None = b""  # None once it is decided
        self._undecided: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._securing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The base class starts the WebSocket handler here; that waits until we know it is one.
        plain = cast(asyncio.Transport, transport)
        self._deadline = self.loop.call_later(self._head_timeout, plain.abort)
        if self._tls is None:
            self._undecided = plain
        else:
            # TLS is laid over it here, and not by the listener, because only so can be limited what the
            # lower transport holds: 64 KiB of sound that nobody sees would stand before every pong.
            plain.set_write_buffer_limits(TRANSPORT_BUFFER)
            handshake = self.loop.start_tls(
                plain,
                self,
                self._tls,
                server_side=True,
                ssl_handshake_timeout=self._head_timeout,
                ssl_shutdown_timeout=self._head_timeout,
            )
            # Begun here and now: a first byte that comes before the task runs would come to us.
            self._securing = self.loop.create_task(self._secure(plain, _Begun(handshake)))

    def data_received(self, data: bytes) -> None:
        if self._head is None:
            super().data_received(data)
            return
        self._head += data
        self._look_at_head()

    def eof_received(self) -> None:
        if self._head is None:
            super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop_deadline()
        if self._head is None:
            super().connection_lost(exc)

    async def _secure(
        self, plain: asyncio.Transport, handshake: Awaitable[asyncio.Transport | None]
    ) -> None:
        try:
            secured = await handshake
        except OSError as error:  # SSLError is one
            log.debug("tls_handshake_failed", reason=str(error))
            plain.abort()
            secured = None
        if secured is None or secured.is_closing():
            self._drop_deadline()
            return
        self._undecided = secured
        self._look_at_head()  # the first bytes may have come before the transport

    def _look_at_head(self) -> None:
        if self._head and self._undecided is not None:
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

    def _drop_deadline(self) -> None:
        # The timer refers to this object: without this each closed connection would linger until it fires.
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._undecided = None


def switch_to(
    make_http: Callable[[], asyncio.Protocol],
    deliveries: Deliveries,
    head_timeout: float,
    tls: ssl.SSLContext | None = None,
) -> type[ServerConnection]:
    """What `websockets.serve` takes as `create_connection`."""
    factory = functools.partial(
        PortSwitch, make_http=make_http, deliveries=deliveries, head_timeout=head_timeout, tls=tls
    )
    return cast(type[ServerConnection], factory)

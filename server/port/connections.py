"""One TCP port for two protocols: WebSocket upgrades go to websockets, everything else to aiohttp.

The head of the first request decides, before either library has seen a byte; so each library has its
connections to itself. REST answers have `Connection: close`, because an upgrade on a connection that
served REST before would reach aiohttp.
"""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Final, Generic, TypeVar, cast

import structlog
from websockets.asyncio.server import ServerConnection

from ..delivery import Deliveries
from ..delivery.delivery import TRANSPORT_BUFFER
from ..websocket.intake import FairConnection, FrameLimits
from .request_target import tidy_head
from .sockets import Sockets

log = structlog.get_logger(__name__)

_T = TypeVar("_T")

MAX_HEAD_BYTES: Final = 16 * 1024
_HEAD_END: Final = b"\r\n\r\n"
_REASON: Final = b"the request's head is over %d bytes\n" % MAX_HEAD_BYTES
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n"
    b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b"
) % (len(_REASON), _REASON)
_UPGRADE = re.compile(rb"^upgrade[ \t]*:[^\r\n]*\bwebsocket\b", re.IGNORECASE | re.MULTILINE)


class _Begun(Generic[_T]):
    """A coroutine that has run up to its first await, as asyncio's eager tasks do from Python 3.12 on."""

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


class PortSwitch(FairConnection):
    """A WebSocket connection that hands its bytes to `make_http()` if the client wants plain HTTP.

    sockets: where it takes a place, to the end of the socket. tls: if given, every connection begins with
    a TLS handshake. head_timeout: seconds after which a connection without a complete head is aborted. A
    head longer than MAX_HEAD_BYTES is refused here.
    """

    def __init__(
        self,
        *args: Any,
        make_http: Callable[[], asyncio.Protocol],
        sockets: Sockets,
        head_timeout: float,
        tls: ssl.SSLContext | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._make_http = make_http
        self._sockets = sockets
        self._head_timeout = head_timeout
        self._tls = tls
        self._http: asyncio.Protocol | None = None  # set if the client wants plain HTTP
        self._head: bytes | None = b""  # of the first request; None once it is decided
        self._refused = False  # whether the head was refused: what follows is thrown away
        self._undecided: asyncio.Transport | None = None  # the transport, until it is decided
        self._deadline: asyncio.TimerHandle | None = None  # of the head
        self._securing: asyncio.Task[None] | None = None  # the TLS handshake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The base class would start the WebSocket handler here, before it is known to be a WebSocket.
        plain = cast(asyncio.Transport, transport)
        if not self._sockets.accept(self, plain.abort):
            plain.abort()
            return
        self._deadline = self.loop.call_later(self._head_timeout, plain.abort)
        if self._tls is None:
            self._undecided = plain
        else:
            # Here and not by the listener, since only here the buffer of the lower transport can be limited:
            # every ping would wait behind 64 KiB of sound that `Gauge` cannot see.
            plain.set_write_buffer_limits(TRANSPORT_BUFFER)
            handshake = self.loop.start_tls(
                plain,
                self,
                self._tls,
                server_side=True,
                ssl_handshake_timeout=self._head_timeout,
                ssl_shutdown_timeout=self._head_timeout,
            )
            # Begun at once: a byte that arrives before the task runs would arrive here, undecrypted.
            self._securing = self.loop.create_task(self._secure(plain, _Begun(handshake)))

    def data_received(self, data: bytes) -> None:
        if self._http is not None:
            self._http.data_received(data)
        elif self._head is None:
            super().data_received(data)
        elif not self._refused:
            self._head += data
            self._look_at_head()

    def eof_received(self) -> None:
        if self._http is not None:
            self._http.eof_received()
        elif self._head is None:
            super().eof_received()

    def pause_writing(self) -> None:
        if self._http is not None:
            self._http.pause_writing()
        else:
            super().pause_writing()

    def resume_writing(self) -> None:
        if self._http is not None:
            self._http.resume_writing()
        else:
            super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._sockets.leave(self)
        self._drop_deadline()
        if self._http is not None:
            self._http.connection_lost(exc)
        elif self._head is None:
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
            self._sockets.leave(self)  # without a handshake no loss is told
            self._drop_deadline()
            return
        self._undecided = secured
        self._look_at_head()  # the first bytes may have come before the transport

    def _look_at_head(self) -> None:
        if self._head is None or self._undecided is None:
            return
        # Both libraries skip empty lines before a request: they are not the end of its head.
        self._head = self._head.lstrip(b"\r\n")
        end = self._head.find(_HEAD_END, 0, MAX_HEAD_BYTES)
        if end >= 0:
            self._decide(_UPGRADE.search(self._head, 0, end) is not None)
        elif len(self._head) >= MAX_HEAD_BYTES:
            self._refuse(self._undecided)

    def _refuse(self, transport: asyncio.Transport) -> None:
        """Answer a head that is too large, then wait for the client to close, up to the deadline.

        Closed while there are bytes to read, the socket would be reset, and the answer lost.
        """
        self._refused, self._head = True, b""
        log.debug("head_refused", limit=MAX_HEAD_BYTES)
        transport.write(_TOO_LARGE)
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

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
            self._http = self._make_http()
            self._http.connection_made(transport)
            self._http.data_received(head)

    def _drop_deadline(self) -> None:
        # The timer keeps this object alive until it fires, even if the connection is closed.
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._undecided = None


def switch_to(
    make_http: Callable[[], asyncio.Protocol],
    deliveries: Deliveries,
    sockets: Sockets,
    limits: FrameLimits,
    head_timeout: float,
    tls: ssl.SSLContext | None = None,
) -> type[ServerConnection]:
    """The `create_connection` argument for `websockets.serve`."""
    factory = functools.partial(
        PortSwitch,
        make_http=make_http,
        deliveries=deliveries,
        sockets=sockets,
        limits=limits,
        head_timeout=head_timeout,
        tls=tls,
    )
    return cast(type[ServerConnection], factory)

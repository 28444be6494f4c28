"""One TCP port for two protocols: WebSocket upgrades go to websockets, everything else to aiohttp.

The head of the first request decides, before either library has seen a byte; so each library has its
connections to itself. REST answers have `Connection: close`, because an upgrade on a connection that
served REST before would reach aiohttp.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Final, Generic, TypeVar, cast

import structlog
from websockets.asyncio.server import ServerConnection

from cosyserve.protocol.errors import InvalidParameter, TTSError

from ..delivery import Deliveries
from ..delivery.delivery import TRANSPORT_BUFFER
from ..turns import Turns
from ..websocket.budgets import FrameLimits
from ..websocket.intake import FairConnection
from .heads import MAX_HEAD_BYTES, RequestHead, parse_head, rough_credential
from .request_target import tidy_head
from .sockets import Sockets

log = structlog.get_logger(__name__)

_T = TypeVar("_T")

_HEAD_END: Final = b"\r\n\r\n"
HEADS_PER_ROUND: Final = 8
"""In one round of the loop. Each takes half a millisecond, mostly the handshake of its library."""

Refusal = Callable[[bytes, TTSError], bytes]
"""The HTTP answer, head and body, to a request with this head that is refused with this error."""


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

    sockets: where it takes a place, to the end of the socket. turns: for complete heads. tls: if given, every
    connection begins with a TLS handshake. head_timeout: seconds after which a connection without a complete
    head is aborted. admit: raises TTSError for a head that is to be refused. refusal: how that, a malformed
    head or one longer than MAX_HEAD_BYTES is answered.
    """

    def __init__(
        self,
        *args: Any,
        make_http: Callable[[], asyncio.Protocol],
        sockets: Sockets,
        turns: Turns,
        admit: Callable[[RequestHead], None],
        refusal: Refusal,
        head_timeout: float,
        tls: ssl.SSLContext | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._make_http = make_http
        self._sockets = sockets
        self._turns = turns
        self._admit = admit
        self._refusal = refusal
        self._head_timeout = head_timeout
        self._tls = tls
        self._http: asyncio.Protocol | None = None  # set if the client wants plain HTTP
        self._head: bytes | None = b""  # of the first request; None once it is decided
        self._refused = False  # whether the head was refused: what follows is thrown away
        self._in_line = False  # whether the head is complete and waits for its turn
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
        else:
            self._be_no_websocket()

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
            self._be_no_websocket()
            return
        self._undecided = secured
        self._look_at_head()  # the first bytes may have come before the transport

    def _look_at_head(self) -> None:
        if self._head is None or self._undecided is None:
            return
        # Both libraries skip empty lines before a request: they are not the end of its head.
        self._head = self._head.lstrip(b"\r\n")
        end = self._head.find(_HEAD_END, 0, MAX_HEAD_BYTES)
        if self._in_line or (end < 0 and len(self._head) < MAX_HEAD_BYTES):
            return
        self._in_line = True
        who = rough_credential(self._head)
        if not self._turns.enter(who, functools.partial(self._judge_head, end)):
            self._undecided.pause_reading()

    def _judge_head(self, end: int) -> None:
        """Refuse the head, or hand it over; end: where it ends, negative if it is too long."""
        if self._head is None or self._undecided is None or self._undecided.is_closing():
            return  # the connection was lost before its turn
        if not self._undecided.is_reading():
            self._undecided.resume_reading()
        try:
            if end < 0:
                raise InvalidParameter(
                    f"the request's head is too long; allowed: {MAX_HEAD_BYTES} bytes"
                )
            found = parse_head(self._head[:end])
            self._admit(found)
        except TTSError as error:
            self._refuse(error)
        else:
            self._decide(found)

    def _refuse(self, error: TTSError) -> None:
        """Answer, and drop what else comes until the client closes or the deadline has come.

        To close at once could reset the connection before the client has read the answer.
        """
        assert self._head is not None
        assert self._undecided is not None
        self._refused = True
        head, self._head = tidy_head(self._head), b""
        self._undecided.write(self._refusal(head, error))
        if self._undecided.can_write_eof():
            self._undecided.write_eof()
        else:
            self._undecided.close()

    def _decide(self, found: RequestHead) -> None:
        assert self._head is not None
        assert self._undecided is not None
        head, self._head = tidy_head(self._head), None
        transport = self._undecided
        self._drop_deadline()
        if found.is_upgrade:
            super().connection_made(transport)
            end = head.find(_HEAD_END) + len(_HEAD_END)
            super().data_received(head[:end])
            super().data_received(head[end:])
        else:
            self._be_no_websocket()
            self._http = self._make_http()
            self._http.connection_made(transport)
            self._http.data_received(head)

    def _be_no_websocket(self) -> None:
        """Drop the library's part, which refers to itself and to this object in circles.

        Else only a collection of all objects would free them, and nobody is served while one runs.
        """
        vars(self.protocol).clear()

    def _drop_deadline(self) -> None:
        # The timer keeps this object alive until it fires, even if the connection is closed.
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._undecided = None


def switch_to(
    make_http: Callable[[], asyncio.Protocol],
    admit: Callable[[RequestHead], None],
    refusal: Refusal,
    deliveries: Deliveries,
    sockets: Sockets,
    limits: FrameLimits,
    head_timeout: float,
    tls: ssl.SSLContext | None = None,
) -> type[ServerConnection]:
    """The `create_connection` argument for `websockets.serve`."""
    factory = functools.partial(
        PortSwitch,
        turns=Turns(HEADS_PER_ROUND),
        make_http=make_http,
        admit=admit,
        refusal=refusal,
        deliveries=deliveries,
        sockets=sockets,
        limits=limits,
        head_timeout=head_timeout,
        tls=tls,
    )
    return cast(type[ServerConnection], factory)

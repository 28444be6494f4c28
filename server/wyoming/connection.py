"""One TCP connection of Wyoming: bytes to events with the limits of a WebSocket, and its way to close."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, cast

from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from wyoming.error import Error

from cosyserve.protocol.codec import Frame
from cosyserve.protocol.errors import BadFrame, Throttled
from cosyserve.protocol.wyoming.codec import event_frame
from cosyserve.protocol.wyoming.framing import EventReader

from ..delivery import Deliveries
from ..port.sockets import Sockets
from ..settings import Settings
from ..websocket.budgets import TokenBudget
from ..websocket.intake import Intake

LONGEST_EVENT: Final = 256 * 1024
"""Bytes: what the characters of a message may take in JSON."""
MOST_WAITING: Final = 16
"""Events that may wait to be obeyed, and LONGEST_EVENT characters; more bytes are read only then."""


class WyomingConnection(asyncio.Protocol):
    """A socket that speaks in events: `recv` gives the peer's, `send` writes the server's.

    began: called once the first event is whole; before that the peer has head_timeout, and counts as a
    stranger. on_flood: as FairConnection has it.
    """

    def __init__(
        self,
        settings: Settings,
        deliveries: Deliveries,
        sockets: Sockets,
        began: Callable[[WyomingConnection], None],
    ) -> None:
        self._settings = settings
        self._deliveries = deliveries
        self._sockets = sockets
        self._began = began
        self._reader = EventReader(min(LONGEST_EVENT, settings.max_message_bytes))
        self._events: deque[str] = deque()
        self._waiting = 0  # characters of these
        self._broken: BadFrame | None = None  # what came behind the events cannot be read
        self._ended = False  # nothing more comes
        self.known = False
        """Whether an event came."""
        self._come = asyncio.Event()  # there is something for `recv`
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = asyncio.Event()
        self._closing = False
        self._deadline: asyncio.TimerHandle | None = None  # of the first event
        self.on_flood: Callable[[Throttled], None] | None = None
        self.read_at = 0.0

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = plain = cast(asyncio.Transport, transport)
        loop = asyncio.get_running_loop()
        self.delivery = self._deliveries.connect(plain)
        self._intake = Intake(loop, plain, self._feed, self._settings, self._flooded)
        if not self._sockets.accept(self, plain.abort):
            plain.abort()
            return
        self._deadline = loop.call_later(self._settings.head_timeout, plain.abort)

    def data_received(self, data: bytes) -> None:
        self.read_at = time.monotonic()
        if not self._closing:  # what still comes of a peer that is parted with is dropped
            self._intake.take(data)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._sockets.leave(self)
        self._deliveries.disconnect(self.delivery)
        self._drop_deadline()
        self._intake.end()
        self._end_reading()
        self._lost.set()
        self._writable.set()

    # What the server calls.

    def share(self, token: TokenBudget) -> None:
        """Spend from this budget as well."""
        self._intake.share(token)

    async def recv(self) -> str:
        """The next event, as EventReader has it. Cancel-safe.

        Raises BadFrame, and ConnectionClosed once nothing more comes.
        """
        while not self._events:
            if self._broken is not None:
                raise self._broken
            if self._ended or self._closing:
                raise ConnectionClosed(None, None)
            self._come.clear()
            await self._come.wait()
        event = self._events.popleft()
        self._waiting -= len(event)
        if not self._full:
            self._intake.go_on("queue")
        return event

    async def send(self, frames: Sequence[Frame], seconds: float = 0.0) -> None:
        """Write these events, as FrameWriter says."""
        data = b"".join(part for frame in frames for part in (frame.text, frame.attachment or b""))
        if not data:
            return
        if self._transport.is_closing():
            raise ConnectionClosed(None, None)
        self.delivery.sound(len(data), seconds)
        with self.delivery.awaited():
            self._transport.write(data)
            await self._writable.wait()
        if self.delivery.lost:
            raise ConnectionClosed(None, None)

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Say that nothing more comes, once the peer has taken everything, and wait until it is gone.

        A close out of order is told in an error. A peer that has everything has close_timeout to go.
        """
        if not self._closing:
            self._closing = True
            self._end_reading()
            if code != CloseCode.NORMAL_CLOSURE and not self._transport.is_closing():
                self._transport.write(event_frame(Error(reason)).text)
            self._intake.end()  # what still comes is read and dropped, so that the peer's end is seen
            if not (self._transport.is_closing() or self._transport.is_reading()):
                self._transport.resume_reading()
            await self.delivery.taken()
            if not self._transport.is_closing():
                self._transport.write_eof()
        try:
            async with asyncio.timeout(self._settings.close_timeout):
                await self._lost.wait()
        except TimeoutError:
            self._transport.abort()
            await self._lost.wait()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _feed(self, data: bytes) -> None:
        try:
            for event in self._reader.feed(data):
                self._intake.frame(control=False)
                self._events.append(event)
                self._waiting += len(event)
        except BadFrame as error:
            self._broken = error
            self._intake.hold("broken")
        if self._events or self._broken:
            self._come.set()
            self._know()
        if self._full:
            self._intake.hold("queue")

    @property
    def _full(self) -> bool:
        return len(self._events) >= MOST_WAITING or self._waiting >= LONGEST_EVENT

    def _know(self) -> None:
        if self.known:
            return
        self.known = True
        self._drop_deadline()
        if self._events:
            self._sockets.know(self)
        self._began(self)

    def _end_reading(self) -> None:
        self._ended = True
        self._come.set()

    def _flooded(self, error: Throttled) -> None:
        if self.on_flood is not None:
            self.on_flood(error)
        else:
            self.delivery.cut(error.message)

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

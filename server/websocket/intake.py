"""What one WebSocket may have the server read: fair turns, and budgets of frames a second.

The library parses all that a read brings before anything else runs: 256 KiB hold 40,000 pings. Here bytes
are parsed in turns, between which all others have theirs. What is over a budget stays unread, so that TCP
holds the client back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from websockets.frames import DATA_OPCODES, PING, Frame
from websockets.protocol import Event

from cosyserve.protocol.errors import Throttled

from ..delivery.patient import PatientConnection
from .budgets import Budget, FrameLimits, TokenBudget, Turn

FRAMES_PER_TURN: Final = 32
BYTES_PER_TURN: Final = 64 * 1024
SLICE: Final = 512
"""Bytes parsed between two looks at the limits: at most 85 frames more than allowed."""
UNREAD_PONGS: Final = 16
"""Pongs that may wait for a client to read; more pings are read only then."""


class Intake:
    """The bytes of one connection on their way to its parser.

    feed: parses bytes, and calls `frame` for each frame in them. flooded: called once if the client has
    been over a budget for the flood timeout; nothing is read from then on.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        feed: Callable[[bytes], None],
        limits: FrameLimits,
        flooded: Callable[[Throttled], None],
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._feed = feed
        self._flood_timeout = limits.flood_timeout
        self._flooded = flooded
        self._messages = Budget(limits.max_messages_per_second, loop.time)
        self._control = Budget(limits.max_control_frames_per_second, loop.time)
        self._token: TokenBudget | None = None  # once the client is known
        self._unparsed = bytearray()  # at most what one read brings: nothing is read meanwhile
        self._frames = 0  # of this turn
        self._next: Turn | None = None  # the next turn
        self._held: set[str] = set()  # why nothing is parsed for now
        self._reading = True

    def take(self, data: bytes) -> None:
        """Parse what has been read, now or in later turns."""
        if self._next is not None or self._held or self._unparsed:
            self._unparsed += data
        # For every message: so no method is asked whether a budget is overdrawn.
        elif (
            len(data) <= SLICE
            and self._messages.left >= 0
            and self._control.left >= 0
            and (token := self._token) is not None
            and token.messages.left >= 0
            and token.control.left >= 0
        ):
            self._feed(data)  # all that a usual client ever needs
        else:
            self._unparsed += data
            self._turn()

    def frame(self, *, control: bool) -> None:
        """Take note of a frame."""
        self._frames += 1
        token = self._token
        if control:
            self._control.left -= 1
            if token is not None:
                token.control.left -= 1
        else:
            self._messages.left -= 1
            if token is not None:
                token.messages.left -= 1

    def share(self, token: TokenBudget) -> None:
        """Spend from the budget of a token as well from now on."""
        self._token = token

    def hold(self, why: str) -> None:
        """Parse and read nothing until `go_on` is called with the same word."""
        self._held.add(why)
        self._read_if_due()

    def go_on(self, why: str) -> None:
        self._held.discard(why)
        if not self._held and self._next is None:
            if self._unparsed:
                self._next = self._loop.call_soon(self._turn)
            else:
                self._read_if_due()

    def end(self) -> None:
        """Take note that nothing more comes; what is not parsed yet is dropped."""
        self._unparsed.clear()
        self._held.add("the end")
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _turn(self) -> None:
        self._next = None
        self._frames = parsed = 0
        while self._unparsed and not self._held:
            if self._frames >= FRAMES_PER_TURN or parsed >= BYTES_PER_TURN:
                self._next = self._loop.call_soon(self._turn)
                break
            if wait := self._overdrawn():
                self._wait(wait)
                break
            if self._token is not None and self._token.wait():
                self._next = self._token.queue(self._turn)
                break
            piece = bytes(self._unparsed[:SLICE])
            del self._unparsed[:SLICE]
            parsed += len(piece)
            self._feed(piece)
        self._read_if_due()

    def _overdrawn(self) -> float:
        """Seconds until both budgets are balanced."""
        return self._messages.wait() or self._control.wait()

    def _wait(self, seconds: float) -> None:
        for budget, what in ((self._messages, "messages"), (self._control, "control frames")):
            if budget.behind() >= self._flood_timeout:
                self.hold("flood")
                self._flooded(Throttled(f"at most {budget.rate:g} {what} a second are allowed"))
                return
        self._next = self._loop.call_later(seconds, self._turn)

    def _read_if_due(self) -> None:
        due = not (self._unparsed or self._held)
        if due != self._reading and not self._transport.is_closing():
            self._reading = due
            if due:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()


class FairConnection(PatientConnection):
    """A connection that gets no more of the server than its turns and its budgets.

    on_flood: called with what to tell the client, who is to be parted with; without it the connection is cut.
    read_at: `time.monotonic()` when something was last read.
    """

    def __init__(self, *args: Any, limits: FrameLimits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._intake: Intake | None = None
        self._unread_pongs = 0
        self._waits_for_reader = ExitStack()
        self.on_flood: Callable[[Throttled], None] | None = None
        self.read_at = 0.0

    def share(self, token: TokenBudget) -> None:
        """Spend from the budget of a token as well, whose connection this proved to be."""
        assert self._intake is not None
        self._intake.share(token)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        feed = super().data_received
        self._intake = intake = Intake(self.loop, self.transport, feed, self._limits, self._flooded)
        # The library's queue would pause and resume reading on its own account.
        self.recv_messages.pause = lambda: intake.hold("queue")
        self.recv_messages.resume = lambda: intake.go_on("queue")

    async def handshake(self, *args: Any, **kwargs: Any) -> None:
        """Do the opening handshake. What comes behind the head is parsed only after the answer.

        The library would close the connection for a malformed frame, or at the end of what comes, and then
        not know how to send the answer.
        """
        assert self._intake is not None
        try:
            await super().handshake(*args, **kwargs)
        finally:
            self._intake.go_on("handshake")

    def data_received(self, data: bytes) -> None:
        """Take what was read. A head must come by itself."""
        assert self._intake is not None
        self.read_at = time.monotonic()
        self._intake.take(data)

    def process_event(self, event: Event) -> None:
        assert self._intake is not None
        if not isinstance(event, Frame):
            self._intake.hold("handshake")
        else:
            self._intake.frame(control=event.opcode not in DATA_OPCODES)
            if event.opcode is PING and self.paused:
                self._pong_waits(self._intake)
        super().process_event(event)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread_pongs = 0
        self._waits_for_reader.close()
        if self._intake is not None:
            self._intake.go_on("pongs")

    def eof_received(self) -> None:
        if self._intake is not None:
            self._intake.end()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._intake is not None:
            self._intake.end()
        self._waits_for_reader.close()
        super().connection_lost(exc)

    def _pong_waits(self, intake: Intake) -> None:
        """A pong was written behind bytes that the client does not read: who only pings is cut off."""
        self._unread_pongs += 1
        if self._unread_pongs == UNREAD_PONGS:
            self._waits_for_reader.enter_context(self.delivery.awaited())
            intake.hold("pongs")

    def _flooded(self, error: Throttled) -> None:
        if self.on_flood is not None:
            self.on_flood(error)
        else:  # it floods before its handler runs
            self.delivery.cut(error.message)

"""One connection's delivery: its pace, its stall limit, and the wait for its last byte."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from .kernel import Gauge, SocketState, keep_unsent_below

log = structlog.get_logger(__name__)

UNTOLD_PACE: Final = 8_000.0
"""Bytes a second, where nothing tells how long a body plays: MP3 of 64 kbit/s."""

LARGEST_STEP: Final = 128 * 1024
"""Bytes. A kernel that has run out of room tells of new room only once much of it is free: steps of up
to 110 KB were measured between Linux and Linux. Until then nobody can see its client read."""

SLOWEST_READER: Final = 0.5
"""Of the stream's own pace. A slower one may need a longer stall limit."""

QUEUED_SECONDS: Final = 1.0
SMALLEST_QUEUE, USUAL_QUEUE, LARGEST_QUEUE = 4 * 1024, 16 * 1024, 128 * 1024
TRANSPORT_BUFFER: Final = 4 * 1024
"""Bytes. The transport need hold nothing in reserve: what counts as written the kernel should have."""

_LOOKS: Final = 8  # in a stall limit
_FIRST_WAIT, _LONGEST_WAIT = 0.001, 0.05


class Delivery:
    """What one connection has still to take. `end` is to be called once the connection is lost.

    stall_limit: seconds in which the peer may take no byte while something is waited for, besides the
    time that a slow reader needs for one step of its window; then the connection is aborted.
    Memory is bounded by who writes: nobody here keeps a byte.
    """

    def __init__(self, transport: asyncio.Transport, stall_limit: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._stall_limit = stall_limit
        self._gauge = Gauge(transport)
        self._lost = False
        self._pace = 0.0  # bytes a second; 0 is not known
        self._queue = USUAL_QUEUE
        self._read_until = 0.0
        self._step = 0  # bytes, the largest that was seen; at most what the peer's kernel can hold
        self._waiting = 0  # how many wait for the peer now
        self._taken = 0  # as of the last look
        self._moved = 0.0  # when it was last seen to grow, or when waiting began; loop time
        self._next_look: asyncio.TimerHandle | None = None
        transport.set_write_buffer_limits(TRANSPORT_BUFFER)
        self.look()  # now the peer offers all its room

    @property
    def lost(self) -> bool:
        """Whether nothing can be written any more."""
        return self._lost

    @property
    def stall_limit(self) -> float:
        """Seconds without a byte taken that make a stall at this stream's pace."""
        slowest = SLOWEST_READER * (self._pace or UNTOLD_PACE)
        return self._stall_limit + min(self._step, LARGEST_STEP) / slowest

    @property
    def read_until(self) -> float:
        """When the slowest reader would be through with all sound that was written; loop time."""
        return self._read_until

    def look(self) -> SocketState | None:
        """How things stand; None if the connection is lost."""
        if self._lost:
            return None
        try:
            reading = self._gauge.read()
        except OSError:
            return None
        self._step = max(self._step, reading.window, reading.taken - self._taken)
        if reading.taken != self._taken or not reading.unsent:
            self._moved = self._loop.time()
        self._taken = reading.taken
        return reading

    # What those who write tell.

    def sound(self, size: int, seconds: float) -> None:
        """`size` bytes were written that play for `seconds`; chooses the kernel's queue by their pace."""
        if seconds <= 0:
            return
        self._read_until = max(self._read_until, self._loop.time()) + seconds / SLOWEST_READER
        pace = size / seconds
        self._pace += (pace - self._pace) * (0.25 if self._pace else 1.0)
        queue = 1 << round(self._pace * QUEUED_SECONDS).bit_length()
        queue = min(max(queue, SMALLEST_QUEUE), LARGEST_QUEUE)
        if queue != self._queue and not self._lost:
            self._queue = queue
            keep_unsent_below(self._transport.get_extra_info("socket"), queue)

    def answered(self, read_until: float) -> None:
        """The peer answered what was sent when `read_until` was this: all before it is read."""
        now = self._loop.time()
        self._read_until = now + max(0.0, self._read_until - max(read_until, now))

    def end(self) -> None:
        """The connection is lost."""
        self._lost = True
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None

    # Waiting for the peer.

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Within it, a peer that takes nothing for the stall limit is cut off."""
        if not self._waiting:
            self._moved = self._loop.time()
        self._waiting += 1
        if self._next_look is None and not self._lost:
            self._look_soon()
        try:
            yield
        finally:
            self._waiting -= 1

    async def taken(self) -> None:
        """Wait until the peer has taken every byte, or the connection is lost. Cancel-safe.

        No kernel wakes anybody for an acknowledgement, so this looks again and again.
        """
        wait, seen = _FIRST_WAIT, -1
        with self.awaited():
            while (reading := self.look()) is not None:
                # Below TLS a transport may hold bytes that nobody can see. It hands them on as soon
                # as the kernel has room, so what is empty twice, with nothing taken since, is empty.
                if reading.unsent:
                    seen = -1
                elif reading.taken == seen:
                    return
                else:
                    seen, wait = reading.taken, _FIRST_WAIT
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)

    def cut(self, reason: str) -> None:
        """Abort the connection and say why."""
        if self._lost:
            return
        reading = self.look()
        unsent = 0 if reading is None else reading.unsent
        log.warning("connection_cut", reason=reason, unsent=unsent, pace=round(self._pace))
        self._transport.abort()
        self.end()

    def _look_soon(self) -> None:
        # A timer for each look, not for each write: most writes are over at once.
        self._next_look = self._loop.call_later(self._stall_limit / _LOOKS, self._look_for_stall)

    def _look_for_stall(self) -> None:
        self._next_look = None
        if not self._waiting or self.look() is None:
            return
        still = self._loop.time() - self._moved
        if still >= self.stall_limit:
            self.cut(f"the client took nothing for {still:.1f} s")
        else:
            self._look_soon()

"""One connection's delivery: its pace, its stall limit, and the wait for its last byte."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from .kernel import GONE, Gauge, SocketState, keep_unsent_below

log = structlog.get_logger(__name__)

UNKNOWN_PACE: Final = 8_000.0
"""Bytes a second if the playing time of a body is unknown: MP3 of 64 kbit/s."""

LARGEST_STEP: Final = 128 * 1024
"""Bytes. A kernel that ran out of room announces new room only when much of it is free: steps of up to
110 KB were measured between Linux and Linux. Until then nobody can see that its client reads."""

SLOWEST_READER: Final = 0.5
"""Of the stream's own pace. A slower reader needs a longer stall limit in the settings."""

QUEUED_SECONDS: Final = 1.0
"""How much sound the kernel's queue should hold."""
SMALLEST_QUEUE, USUAL_QUEUE, LARGEST_QUEUE = 4 * 1024, 16 * 1024, 128 * 1024
TRANSPORT_BUFFER: Final = 4 * 1024
"""Bytes. The transport needs no reserve: written bytes should be in the kernel."""

_LOOKS: Final = 8  # per stall limit
_FIRST_WAIT, _LONGEST_WAIT = 0.001, 0.05


class Delivery:
    """The delivery of one connection. Call `end` when the connection is lost.

    stall_limit: seconds without a byte taken after which the connection is aborted, if somebody waits
    for the peer; the time that a slow reader needs for one step of its window is added.
    Memory is bounded by the writers: no byte is kept here.
    """

    def __init__(self, transport: asyncio.Transport, stall_limit: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._stall_limit = stall_limit
        self._gauge = Gauge(transport)
        self._lost = False  # whether the connection is lost
        self._pace = 0.0  # bytes a second; 0 is unknown
        self._queue = USUAL_QUEUE  # bytes, the kernel's current limit
        self._read_until = 0.0  # loop time; see `read_until`
        self._step = 0  # bytes; the largest step seen, at most what the peer's kernel can hold
        self._waiting = 0  # how many callers wait for the peer now
        self._taken = 0  # SocketState.taken of the last look
        self._moved = 0.0  # loop time when the peer was last seen to take bytes, or waiting began
        self._next_look: asyncio.TimerHandle | None = None  # set while somebody waits
        transport.set_write_buffer_limits(TRANSPORT_BUFFER)
        self.look()  # an idle peer offers its largest window

    @property
    def lost(self) -> bool:
        """Whether the connection is lost."""
        return self._lost

    @property
    def stall_limit(self) -> float:
        """Seconds without a byte taken that count as a stall at this stream's pace."""
        slowest = SLOWEST_READER * (self._pace or UNKNOWN_PACE)
        return self._stall_limit + min(self._step, LARGEST_STEP) / slowest

    @property
    def read_until(self) -> float:
        """Loop time when the slowest reader has read all sound written so far."""
        return self._read_until

    def look(self) -> SocketState | None:
        """The connection's state now; None if it is lost."""
        if self._lost:
            return None
        try:
            reading = self._gauge.read()
        except GONE:
            return None
        self._step = max(self._step, reading.window, reading.taken - self._taken)
        if reading.taken != self._taken or not reading.unsent:
            self._moved = self._loop.time()
        self._taken = reading.taken
        return reading

    # For writers

    def sound(self, size: int, seconds: float) -> None:
        """Take note that `size` bytes were written that play for `seconds`; adapts the kernel's queue."""
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
        """Take note that the peer answered something sent when `read_until` had this value."""
        now = self._loop.time()
        self._read_until = now + max(0.0, self._read_until - max(read_until, now))

    def end(self) -> None:
        """Take note that the connection is lost."""
        self._lost = True
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None

    # Waiting for the peer

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """A context in which a peer that takes nothing for the stall limit is cut off."""
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
        """Wait until the peer has taken every byte or the connection is lost. Cancel-safe.

        Kernels give no notice of an acknowledgement, so this polls.
        """
        wait, seen = _FIRST_WAIT, -1
        with self.awaited():
            while (reading := self.look()) is not None:
                # The transport below TLS may hold bytes that are not visible here. It passes them on as soon
                # as the kernel has room: if all is empty twice and nothing was taken between, it is empty.
                if reading.unsent:
                    seen = -1
                elif reading.taken == seen:
                    return
                else:
                    seen, wait = reading.taken, _FIRST_WAIT
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)

    def cut(self, reason: str) -> None:
        """Abort the connection, and log why."""
        if self._lost:
            return
        reading = self.look()
        unsent = 0 if reading is None else reading.unsent
        log.warning("connection_cut", reason=reason, unsent=unsent, pace=round(self._pace))
        self._transport.abort()
        self.end()

    def _look_soon(self) -> None:
        # One timer per look rather than per write: most writes finish at once.
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

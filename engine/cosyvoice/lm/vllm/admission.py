"""Who may enter vLLM, so that it never stalls.

A session of vLLM that waits for text keeps its request slot and its keys and values, and is never
preempted: only what runs is. So vLLM by itself comes to a stop in two ways. Where sessions that wait
hold all slots, nobody new is let in. Where they fill the cache, those whose text comes need one block
more, none is free, and as nothing runs there is nothing to preempt: all wait for each other.

Here every stream has its worst case reserved before it enters, in whole blocks, so what is inside can
always go on without preemption; the others wait, first come, first served. A stream that waits for
text gives its place back when others have need of it (`KvLease.park`), so no stream waits for an idle
client.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ....interface import EngineDied, EngineError
from ..interface import LmTooLong

_SPARE_TOKENS: Final = 1
"""A step may be scheduled before the last one's token is known; its place is taken all the same."""
_TICK: Final = 0.01
"""Seconds by which a timer may be early."""


@dataclass(frozen=True, slots=True)
class KvCapacity:
    """blocks: for all requests together, of `block_tokens` ids each. slots: requests at once."""

    blocks: int
    block_tokens: int
    slots: int

    def needed(self, tokens: int) -> int:
        """Blocks for this many ids."""
        return -(-(tokens + _SPARE_TOKENS) // self.block_tokens)


class KvLease:
    """A stream's place. Made by KvBudget.reserve."""

    def __init__(self, budget: KvBudget, blocks: int) -> None:
        self.blocks = blocks
        self._budget = budget
        self._recall: Callable[[], None] | None = None
        self._parked_at: float | None = None

    @property
    def parked_at(self) -> float | None:
        """Since when it waits for text and can be called back; seconds of the loop's clock."""
        return self._parked_at

    def shrink(self, tokens: int) -> None:
        """The worst case is smaller now; a larger one changes nothing."""
        self._budget.shrink(self, tokens)

    def park(self, recall: Callable[[], None]) -> None:
        """The stream has nothing to compute until text comes.

        recall: called once, on the event loop, if others need the place: abort the request and
        `release`; when text comes, reserve again and begin a request with the whole context.
        """
        self._recall = recall
        if self._parked_at is None:
            self._parked_at = self._budget.now()
        self._budget.parked_one()

    def unpark(self) -> None:
        """Text came: the place is needed. Idempotent."""
        self._recall = self._parked_at = None

    def release(self) -> None:
        """Once the request has ended or its abort was sent. Idempotent."""
        self.unpark()
        self._budget.release(self)

    def call_back(self) -> None:
        """The budget's side of `park`."""
        recall, self._recall = self._recall, None
        self._parked_at = None
        if recall is not None:
            recall()


@dataclass(slots=True)
class KvCounts:
    """waited: streams that had to wait. recalled: parked streams that gave their place to others."""

    waited: int = 0
    recalled: int = 0


@dataclass(eq=False, slots=True)
class _Waiter:
    blocks: int
    place: asyncio.Future[KvLease]


class KvBudget:
    """The account of one engine's slots and blocks. For one event loop.

    patience: seconds that a stream may be parked before it must give way to others.
    """

    def __init__(self, capacity: KvCapacity, patience: float = 5.0) -> None:
        self.capacity = capacity
        self.counts = KvCounts()
        self._patience = patience
        self._leases: dict[KvLease, None] = {}
        """Streams that have a place, in order of their coming."""
        self._leaving: set[KvLease] = set()
        """Those that were called back and have not left."""
        self._waiters: deque[_Waiter] = deque()
        """Streams that wait for a place, the first in line first."""
        self._free_blocks = capacity.blocks
        """Blocks that nobody holds or is promised."""
        self._timer: asyncio.TimerHandle | None = None
        """Runs out when the next parked stream must give way to those who wait."""
        self._closed: EngineError | None = None
        """Why there are no places any more."""

    @property
    def free_blocks(self) -> int:
        return self._free_blocks

    @property
    def streams(self) -> int:
        """Streams that have a place."""
        return len(self._leases)

    @property
    def parked(self) -> int:
        return sum(1 for lease in self._leases if lease.parked_at is not None)

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    async def reserve(self, tokens: int, *, first: bool = False) -> KvLease:
        """A place with room for `tokens` ids; waits for its turn. Cancel-safe.

        first: before the others who wait, for a stream that was called back in the midst of its
        speech. Raises LmTooLong if it could never fit, and what `close` was given.
        """
        blocks = self.capacity.needed(tokens)
        if blocks > self.capacity.blocks:
            raise LmTooLong("the text is too long for the speech model's cache")
        if self._closed is not None:
            raise self._closed
        waiter = _Waiter(blocks, asyncio.get_running_loop().create_future())
        if first:
            self._waiters.appendleft(waiter)
        else:
            self._waiters.append(waiter)
        self._serve()
        if not waiter.place.done():
            self.counts.waited += 1
        try:
            return await waiter.place
        except asyncio.CancelledError:
            self._give_up(waiter)
            raise

    def close(self, error: EngineError | None = None) -> None:
        """The engine is gone: whoever waits, and whoever comes, gets the error. Idempotent."""
        self._closed = self._closed or error or EngineDied("the speech model died")
        self._stop_timer()
        waiters, self._waiters = self._waiters, deque()
        for waiter in waiters:
            if not waiter.place.done():
                waiter.place.set_exception(self._closed)

    # Leases' side

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def shrink(self, lease: KvLease, tokens: int) -> None:
        blocks = self.capacity.needed(tokens)
        if lease in self._leases and blocks < lease.blocks:
            self._free_blocks += lease.blocks - blocks
            lease.blocks = blocks
            self._serve()

    def parked_one(self) -> None:
        if self._waiters:
            self._watch()

    def release(self, lease: KvLease) -> None:
        if lease in self._leases:
            del self._leases[lease]
            self._leaving.discard(lease)
            self._free_blocks += lease.blocks
            self._serve()

    # Waiters

    def _give_up(self, waiter: _Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            self._serve()  # a smaller one behind it may fit
        elif not waiter.place.cancelled() and waiter.place.exception() is None:
            waiter.place.result().release()  # given in the same turn as the cancellation

    def _serve(self) -> None:
        """Let in whoever fits, in order; the first who does not fit holds up those behind it."""
        while self._waiters and self._fits(self._waiters[0].blocks):
            waiter = self._waiters.popleft()
            if waiter.place.done():
                continue
            lease = KvLease(self, waiter.blocks)
            self._leases[lease] = None
            self._free_blocks -= waiter.blocks
            waiter.place.set_result(lease)
        if self._waiters:
            self._watch()
        else:
            self._stop_timer()

    def _fits(self, blocks: int) -> bool:
        return blocks <= self._free_blocks and len(self._leases) < self.capacity.slots

    # Calling back

    def _watch(self) -> None:
        """Set the timer for when the next parked stream must give way."""
        self._stop_timer()
        parked = [lease.parked_at for lease in self._leases if lease.parked_at is not None]
        if parked and self._closed is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(min(parked) + self._patience, self._call_back)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _call_back(self) -> None:
        """Call back those who have been parked longest, as many as the first in line needs."""
        self._timer = None
        due = self.now() - self._patience + _TICK
        parked = [lease for lease in self._leases if lease.parked_at is not None]
        for lease in sorted(parked, key=lambda lease: lease.parked_at or 0.0):
            if lease.parked_at is None or lease.parked_at > due or not self._first_needs_more():
                break
            self.counts.recalled += 1
            self._leaving.add(lease)
            lease.call_back()
        if self._waiters:
            self._watch()

    def _first_needs_more(self) -> bool:
        """Whether the first in line does not fit even when those who were called back have left."""
        if not self._waiters:
            return False
        blocks = self._free_blocks + sum(lease.blocks for lease in self._leaving)
        streams = len(self._leases) - len(self._leaving)
        return self._waiters[0].blocks > blocks or streams >= self.capacity.slots

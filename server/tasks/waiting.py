"""Which task yields its place when all are taken: the one that has done least with it for longest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from cosyserve.protocol.errors import TTSError

_SOUND: Final = 4.0
"""Seconds of waiting that a second of sound makes good: a task whose speech falls to a quarter of real time
is of no use to a listener."""
_RESTING: Final = 2.0
"""Seconds without text and sound after which a task does not count as speaking."""


class WaitingLimits(Protocol):
    """The settings that say which tasks wait."""

    @property
    def preempt_after(self) -> float: ...
    @property
    def preempt_below(self) -> float: ...


class Holder(Protocol):
    """A place that a task holds. name: the caller's."""

    @property
    def name(self) -> str: ...


HolderT = TypeVar("HolderT", bound=Holder)


@dataclass(slots=True)
class _Wait:
    """since: when it would have begun if it had got and given nothing since. active: when it last did."""

    since: float
    active: float
    give_up: Callable[[TTSError], None]


class Waiting(Generic[HolderT]):
    """The tasks whose text is not whole. clock: gives seconds.

    A task waits from its beginning on, and what it gets and gives makes up for that: so one that is kept
    alive by a character now and then waits nearly as long as one that is silent.
    """

    def __init__(self, limits: WaitingLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._waits: dict[HolderT, _Wait] = {}

    def add(self, holder: HolderT, give_up: Callable[[TTSError], None]) -> None:
        """`give_up` is called with the error that ends the task, if its place is taken."""
        now = self._clock()
        self._waits[holder] = _Wait(now, now, give_up)

    def active(self, holder: HolderT, characters: int, seconds: float) -> None:
        """Take note of text that has come, and of sound that has gone out."""
        if (wait := self._waits.get(holder)) is not None:
            slowest = self._limits.preempt_below
            worth = _SOUND * seconds
            if characters:
                worth = worth + characters / slowest if slowest else float("inf")
            wait.active = self._clock()
            wait.since = min(wait.active, wait.since + worth)

    def discard(self, holder: HolderT) -> Callable[[TTSError], None] | None:
        """Let it wait no longer; returns its `give_up` if it did."""
        wait = self._waits.pop(holder, None)
        return None if wait is None else wait.give_up

    def resting(self) -> Counter[str]:
        """How many have got and given nothing for so long that they do not count as speaking, by caller."""
        latest = self._clock() - _RESTING
        return Counter(each.name for each, wait in self._waits.items() if wait.active <= latest)

    def first_to_yield(self) -> HolderT | None:
        """Of the caller with most tasks that have waited too long, the one that has waited longest."""
        latest = self._clock() - self._limits.preempt_after
        overdue = {each: wait.since for each, wait in self._waits.items() if wait.since <= latest}
        held = Counter(each.name for each in overdue)
        # Of equals, `max` takes the first, which is the oldest.
        return max(overdue, key=lambda each: (held[each.name], -overdue[each]), default=None)

"""Tasks that nobody has heard yet: they need the engine at once, and all the more the more they are."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic

from .waiting import HolderT

_TEXT_IS_NEAR: Final = 0.25
"""Seconds after its beginning in which a task's text is expected: most clients send it at once."""
_AT_ONCE: Final = 0.05
"""Seconds from the first to the last piece of a text that was there as a whole."""


@dataclass(slots=True)
class _FirstWait:
    """since: when the text came. among: how many had text then. whole: whether all of it came then."""

    since: float
    among: int
    whole: bool = False


class Unheard(Generic[HolderT]):
    """The tasks that wait for their first sound, or will in a moment.

    One without text counts for a moment only: its text may be long in coming.

    heard: told of each that waited for the engine alone how many waited when its text came, itself
    included, and for how many seconds it has waited. clock: gives seconds.
    """

    def __init__(
        self, heard: Callable[[int, float], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell = heard
        self._clock = clock
        self._empty: dict[HolderT, float] = {}  # with the times at which they no longer count
        self._waits: dict[HolderT, _FirstWait] = {}
        self._counts: Counter[str] = Counter()  # of both, by the caller's name

    def counts(self) -> Counter[str]:
        """How many there are, by the caller's name."""
        now = self._clock()
        while self._empty:
            oldest = next(iter(self._empty))
            if self._empty[oldest] > now:
                break
            self._discard_empty(oldest)
        return self._counts

    def begin(self, holder: HolderT) -> None:
        self._empty[holder] = self._clock() + _TEXT_IS_NEAR
        self._counts[holder.name] += 1

    def has_text(self, holder: HolderT) -> None:
        """Its first text has come."""
        self._discard_empty(holder)
        self._counts[holder.name] += 1
        self._waits[holder] = _FirstWait(self._clock(), len(self._waits) + 1)

    def has_all_text(self, holder: HolderT) -> None:
        wait = self._waits.get(holder)
        if wait is not None and self._clock() - wait.since <= _AT_ONCE:
            wait.whole = True

    def heard(self, holder: HolderT) -> None:
        """It has its first sound."""
        wait = self._waits.get(holder)
        if wait is not None and wait.whole:
            self._tell(wait.among, self._clock() - wait.since)
        self.discard(holder)

    def discard(self, holder: HolderT) -> None:
        self._discard_empty(holder)
        if self._waits.pop(holder, None) is not None:
            self._counts[holder.name] -= 1

    def _discard_empty(self, holder: HolderT) -> None:
        if self._empty.pop(holder, None) is not None:
            self._counts[holder.name] -= 1

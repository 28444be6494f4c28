"""A day by a clock that may be set while the server runs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

DAY: Final = 86_400.0
"""Seconds."""
LONGEST: Final = 1.5 * DAY
"""Seconds of a day in which the clock was set back."""


def _elapsed() -> float:
    """Seconds by a clock that nobody sets; where the system has one, it goes on while the machine sleeps."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class QuotaDay:
    """The day that runs: it ends at midnight in UTC.

    Within it only a clock that nobody can set counts. When it ends the wall clock says when the next one
    ends, at the midnight that makes it last most nearly 24 hours: a clock that was set, forwards or back,
    makes one day last 12 to 36 hours, and neither ends a day at once nor begins one anew.

    wall: gives UNIX seconds. steady: gives seconds.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = _elapsed
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._ahead = wall() - steady()  # of the steady clock, as it is believed in this day
        self._ends = (math.floor(self.now / DAY) + 1) * DAY  # UNIX seconds, as believed
        self._number = 0

    @property
    def now(self) -> float:
        """UNIX seconds, as they are believed in this day."""
        return self._steady() + self._ahead

    @property
    def ends(self) -> float:
        """UNIX seconds, as they are believed in this day."""
        self._go_on()
        return self._ends

    @property
    def number(self) -> int:
        """Another one in each day."""
        self._go_on()
        return self._number

    @property
    def left(self) -> float:
        """Seconds until it ends."""
        return self.ends - self.now

    def resume(self, ends: float, at: float) -> bool:
        """Go on with a day that ran at `at` and was to end at `ends`, in UNIX seconds as believed then.

        False if it has ended since. Time never goes back for it: if the clock is behind `at`, it is `at`.
        """
        if not 0 < ends - at <= LONGEST or self.now >= ends:
            return False
        self._ahead += max(0.0, at - self.now)
        self._ends = ends
        return True

    def _go_on(self) -> None:
        over = self.now - self._ends
        if over < 0:
            return
        self._number += 1
        wall = self._wall()
        self._ahead = wall - self._steady()
        began = wall - over
        self._ends = (math.floor(began / DAY + 0.5) + 1) * DAY
        while self._ends <= wall:
            self._ends += DAY

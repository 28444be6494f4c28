"""How long each of several streams was computed, where all are computed together."""

from __future__ import annotations

import time
from collections.abc import Callable


class ShareMeter:
    """A clock that runs, per stream, at 1 / (streams under way): the shares add up to the time in which
    any was under way."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._at = 0.0
        self._share = 0.0
        self.busy = 0.0
        """Seconds in which any stream was under way, up to the last reading."""
        self.running = 0

    def begin(self) -> float:
        """One stream more is under way; the reading at which its part begins."""
        reading = self.read()
        self.running += 1
        return reading

    def end(self, begun: float) -> float:
        """It is no longer; its share, in seconds."""
        reading = self.read()
        self.running -= 1
        return reading - begun

    def read(self) -> float:
        now = self._now()
        if self.running:
            self.busy += now - self._at
            self._share += (now - self._at) / self.running
        self._at = now
        return self._share

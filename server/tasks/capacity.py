"""How many tasks the engine keeps up with, learned from how long it takes to speak."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import mean
from typing import Final

WINDOW: Final = 0.5
"""Seconds that are judged together."""
_COUNTS: Final = 10  # of the tasks, in a window
_LEAST_SPEECH: Final = 1.0  # seconds of speech in a window, that one slow chunk may not decide
_WITH_LISTENERS: Final = 0.75
"""Of an engine's throughput, if the same processor has to send what it makes. Measured."""
FIRST_SOUND: Final = 1.2
"""Seconds: so many tasks may wait for their first sound as have it within them."""
_FEW: Final = 8.0
"""So many may wait for it in any case."""
_AT_ONCE: Final = 2 / 3
"""Of the tasks that the engine keeps up with, those that may wait for it until their number is learned.
Measured: a busy engine supplies those who listen already before others begin."""
_SMOOTHING: Final = 0.01  # the newest first sound's share in what is learned
_BEHIND: Final = 1.1  # times the share aimed at: the engine does not keep up
_WITH_EASE: Final = 0.8
_LARGEST_STEP: Final = 1.1  # up, per window: near an engine's limit, shares rise faster than tasks
_SMALLEST_STEP: Final = 0.7  # down, per window: a machine that was held up once is no slower for it


@dataclass(slots=True)
class _Moments:
    """What happened since `began`: seconds waited, seconds of speech, and the tasks at some moments."""

    began: float
    waited: float = 0.0
    speech: float = 0.0
    running: list[int] = field(default_factory=list)


class Capacity:
    """The number of tasks that may speak at once, so that each has its speech before it is played.

    The measure is a task's share of real time: the seconds that it waits for the engine for each second of
    speech. A busy engine divides itself among the tasks, so the share grows with their number, and above 1
    a listener who plays the speech as it comes runs dry. The limit follows the tasks at which the share is
    the one aimed at: down as soon as it is missed, up while a server near its limit meets it with ease.
    Until something was measured, it is `most`, which it never exceeds.

    Of these, so many may wait for their first sound as have it soon: learned from how long they waited, of
    those that came when at least half as many were waiting.

    share: aimed at; None: the limit stays. running: gives the tasks that speak now. clock: gives seconds.
    """

    def __init__(
        self,
        share: float | None,
        most: int,
        running: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._aim = share
        self._most = float(most)
        self._count = running
        self._clock = clock
        self._limit = self._most
        self._soon = self._most * _AT_ONCE
        self._share = 0.0
        self._window = _Moments(clock())

    @property
    def limit(self) -> float:
        """The tasks that may speak at once; at least one."""
        return self._limit

    @property
    def beginnings(self) -> float:
        """The tasks that may wait for their first sound at once."""
        return self._most if self._aim is None else max(_FEW, self._soon)

    @property
    def share(self) -> float:
        """The mean share of real time when it was last measured, 0 before."""
        return self._share

    def calibrate(self, throughput: float) -> None:
        """Begin with what the engine made when it had more to do than it could, and no tasks to begin.

        throughput: seconds of speech per second, all tasks together.
        """
        if self._aim is not None:
            self._limit = self._bounded(throughput * self._aim * _WITH_LISTENERS)
            self._soon = self._limit * _AT_ONCE

    def began(self, among: int, waited: float) -> None:
        """Take note of a task's first sound.

        among: tasks that waited for theirs when it began to wait. waited: seconds, for the engine alone.
        """
        if self._aim is not None and among >= self.beginnings / 2:
            soon = self._bounded(among * FIRST_SOUND / max(waited, 1e-3))
            self._soon += _SMOOTHING * (soon - self._soon)

    def spoke(self, waited: float, seconds: float) -> None:
        """Take note of a chunk of speech that a task had to wait for.

        waited: seconds for the engine alone, not for text. seconds: of speech in the chunk.
        """
        if self._aim is None:
            return
        window, now = self._window, self._clock()
        window.waited += waited
        window.speech += seconds
        if now - window.began >= len(window.running) * WINDOW / _COUNTS:
            window.running.append(self._count())
        if now - window.began >= WINDOW and window.speech >= _LEAST_SPEECH:
            before, self._share = self._share, window.waited / window.speech
            self._adapt(self._aim, mean(window.running), at_ease=max(before, self._share))
            self._window = _Moments(now)

    def _adapt(self, aim: float, running: float, at_ease: float) -> None:
        """Move the limit. running: tasks that had this share. at_ease: at most what it was before, too."""
        if self._share > _BEHIND * aim:
            kept_up = running * aim / self._share
            self._limit = self._bounded(max(kept_up, _SMALLEST_STEP * self._limit))
        elif at_ease < _WITH_EASE * aim and running >= _WITH_EASE * self._limit:
            step = min(_LARGEST_STEP, aim / at_ease) if at_ease else _LARGEST_STEP
            self._limit = self._bounded(max(self._limit, running * step, running + 1))

    def _bounded(self, limit: float) -> float:
        return min(max(1.0, limit), self._most)

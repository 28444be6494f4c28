"""What a listener would have heard: playback in real time of a stream as it was sent."""

from __future__ import annotations

from typing import Final

UNDERRUN_TOLERANCE: Final = 0.1
"""Seconds; a silence up to this long between chunks is not counted."""


class PlaybackClock:
    """A player that starts with the first chunk, holds no reserve, and waits whenever it runs dry.

    Network delay is left out: a constant one shifts everything alike.
    """

    __slots__ = ("_plays_until", "underruns")

    def __init__(self) -> None:
        self._plays_until: float | None = None
        self.underruns = 0

    def chunk_sent(self, at: float, speech_seconds: float) -> bool:
        """Take a chunk sent `at` (seconds of a steady clock); True if it came after an underrun."""
        due = self._plays_until
        late = due is not None and at - due > UNDERRUN_TOLERANCE
        self.underruns += late
        self._plays_until = (at if due is None else max(due, at)) + speech_seconds
        return late

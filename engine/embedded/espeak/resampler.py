"""From espeak-ng's sample rate to that of all sound here, while it is made."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from ..frames import SAMPLE_RATE
from ..sound import WordMark
from . import library

_COMMON: Final = math.gcd(SAMPLE_RATE, library.SAMPLE_RATE)
_STEP: Final = library.SAMPLE_RATE // _COMMON
_PHASES: Final = SAMPLE_RATE // _COMMON
"""So many samples out for each `_STEP` samples in."""
_REACH: Final = 32
"""Samples on each side that have a part in a sample: 1.5 ms."""
_CUTOFF: Final = 0.96
"""Of the old rate's half: 10.6 kHz. Above it espeak-ng's voices have next to nothing."""
_SHARPNESS: Final = 9.0
"""Of the Kaiser window: images are 90 dB down."""


def _filters() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Columns of weights, one for each sample out of a step, over the samples in around it."""
    places = np.arange(-_REACH, _STEP + _REACH)[:, None]
    distance = places - np.arange(_PHASES)[None, :] * (_STEP / _PHASES)
    inside = np.clip(1 - (distance / _REACH) ** 2, 0, None)
    window = np.i0(_SHARPNESS * np.sqrt(inside)) / np.i0(_SHARPNESS) * (inside > 0)
    weights = np.sinc(_CUTOFF * distance) * window
    return np.asarray(weights / weights.sum(axis=0), np.float32)


_FILTERS: Final = _filters()


class Resampler:
    """The resampling of one job: sound and marks in and out. Takes about 1 ms per second of sound.

    The same sound in the same buffers gives the same samples.
    """

    def __init__(self) -> None:
        self._sound = np.zeros(_REACH, np.float32)
        """Sound in that has not played its part yet."""
        self._taken = 0
        self._given = 0
        self._marks: list[WordMark] = []
        """Marks in sound that is not given yet."""

    def feed(self, pcm: bytes, marks: list[WordMark]) -> tuple[bytes, list[WordMark]]:
        """Take a buffer and the marks in it; return the sound that it decides, and the marks in that."""
        self._marks += [mark._replace(sample=mark.sample * _PHASES // _STEP) for mark in marks]
        self._taken += len(pcm) // 2
        return self._resampled(np.frombuffer(pcm, "<i2").astype(np.float32), None)

    def finish(self) -> tuple[bytes, list[WordMark]]:
        """End the job; return the remaining sound and marks."""
        whole = math.ceil(self._taken * _PHASES / _STEP)
        return self._resampled(np.zeros(_STEP + _REACH, np.float32), whole)

    def _resampled(
        self, sound: np.ndarray[tuple[int], np.dtype[np.float32]], whole: int | None
    ) -> tuple[bytes, list[WordMark]]:
        """whole: samples out of the whole job, if it ends here."""
        self._sound = np.concatenate([self._sound, sound])
        steps = (len(self._sound) - 2 * _REACH) // _STEP
        found = np.zeros(0, np.int16)
        if steps > 0:
            rows = np.lib.stride_tricks.sliding_window_view(self._sound, _STEP + 2 * _REACH)
            out = rows[: steps * _STEP : _STEP] @ _FILTERS
            found = np.clip(np.rint(out), -32768, 32767).astype("<i2").reshape(-1)
            self._sound = self._sound[steps * _STEP :]
        if whole is not None:
            found = found[: whole - self._given]
        self._given += len(found)
        ready = [mark for mark in self._marks if whole is not None or mark.sample < self._given]
        del self._marks[: len(ready)]
        return found.tobytes(), ready

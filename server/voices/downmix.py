"""One channel out of several, none of whose sound is lost or cancelled.

The mean of the channels is right for most files. It is not where a channel is silent (the mean has
half the level), nor where two are in opposite phase, as a microphone wired the wrong way round
makes them (the mean is silence). Both are seen only when the whole file has been read; it is then
read once more, with weights.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cosyserve.engine.interface import Samples

Columns = npt.NDArray[Any]  # [channels, samples], full scale at +-1
Weights = npt.NDArray[np.float64]  # [channels], of sum 1

_ACTIVE: Final = 0.01  # of the loudest channel's power, -20 dB: with less a channel is background
_CANCELLED: Final = 0.25  # of the loudest channel's power, -6 dB: the mean has lost more
_AS_LOUD: Final = 0.9  # of the loudest channel's power


def mixed(columns: Columns, weights: Weights | None) -> Samples:
    """One channel; the mean where there are no weights."""
    # What is beyond float32 becomes infinite, and is found out with the rest of what is no number.
    if weights is None or len(weights) != len(columns):
        weights = np.full(len(columns), 1 / len(columns))
    with np.errstate(over="ignore", invalid="ignore"):
        samples: Samples = (weights @ columns).astype(np.float32)
    return samples


class ChannelMeter:
    """The power of each channel, and of their sum, of a file that is read piece by piece."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = False
        self._sums: npt.NDArray[np.float64] = np.zeros(0)  # the last is that of the sum
        self._squares: npt.NDArray[np.float64] = np.zeros(0)

    def add(self, columns: Columns) -> None:
        rows = len(columns) + 1
        if not self._count:
            self._sums, self._squares = np.zeros(rows), np.zeros(rows)
        if rows != len(self._sums):
            self._changed = True
            return
        self._count += columns.shape[1]
        with np.errstate(over="ignore", invalid="ignore"):
            for row, samples in enumerate((*columns, columns.sum(axis=0, dtype=np.float64))):
                self._sums[row] += samples.sum(dtype=np.float64)
                self._squares[row] += np.square(samples, dtype=np.float64).sum()

    def weights(self) -> Weights | None:
        """What to mix the channels with; None where their mean is right."""
        channels = len(self._sums) - 1
        if channels < 2 or self._changed:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            powers = self._squares / self._count - np.square(self._sums / self._count)
        each, of_sum, most = powers[:-1], powers[-1], powers[:-1].max()
        if not np.isfinite(powers).all() or most <= 0:
            return None
        active = each > _ACTIVE * most
        if of_sum / active.sum() ** 2 < _CANCELLED * most:
            # The first of equals, so that it does not depend on how they are rounded.
            active = np.arange(channels) == np.argmax(each > _AS_LOUD * most)
        return None if active.all() else active / active.sum()

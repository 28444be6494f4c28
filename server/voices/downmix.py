"""Downmixing several channels to one without losing or cancelling sound.

The mean of the channels is right for most files. It is wrong if a channel is silent (the mean has half
the level) or if two channels are in opposite phase, as from a miswired microphone (the mean is silence).
Both show only when the whole file has been read; the file is then read again, with weights.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cosyserve.engine.interface import Samples

Columns = npt.NDArray[Any]  # [channels, samples], full scale at +-1
Weights = npt.NDArray[np.float64]  # [channels], of sum 1

# Shares of the loudest channel's power:
_ACTIVE: Final = 0.01  # -20 dB: a channel with less is background
_CANCELLED: Final = 0.25  # -6 dB: if the mean has less, channels cancel each other
_AS_LOUD: Final = 0.9


def mixed(columns: Columns, weights: Weights | None) -> Samples:
    """The weighted sum of the channels; their mean if there are no weights."""
    # Values beyond float32 become infinite; the clip is refused for that later.
    if weights is None or len(weights) != len(columns):
        weights = np.full(len(columns), 1 / len(columns))
    with np.errstate(over="ignore", invalid="ignore"):
        samples: Samples = (weights @ columns).astype(np.float32)
    return samples


class ChannelMeter:
    """The power of each channel and of their sum, for a file that is read piece by piece."""

    def __init__(self) -> None:
        self._count = 0  # samples of each channel
        self._changed = False  # whether the number of channels changed on the way
        self._sums: npt.NDArray[np.float64] = np.zeros(0)  # of each channel, and of their sum
        self._squares: npt.NDArray[np.float64] = np.zeros(0)  # likewise

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
        """The weights for `mixed`; None if the mean is right."""
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
            # The first of about equal ones, so that rounding does not decide.
            active = np.arange(channels) == np.argmax(each > _AS_LOUD * most)
        return None if active.all() else active / active.sum()

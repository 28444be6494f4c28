"""Figures from plain numbers: distributions, and how a listener hears a stream of chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True, slots=True)
class Summary:
    """A distribution in a few figures, all in the unit of its values."""

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


def summarize(values: Sequence[float]) -> Summary | None:
    """None without values. Percentiles between two values are interpolated."""
    if not values:
        return None
    p50, p90, p95, p99 = map(float, np.percentile(values, (50, 90, 95, 99)))
    return Summary(len(values), float(np.mean(values)), p50, p90, p95, p99, max(values))


def gaps(arrivals: Sequence[float]) -> list[float]:
    """Seconds between neighbouring arrivals."""
    return [later - earlier for earlier, later in pairwise(arrivals)]


@dataclass(frozen=True, slots=True)
class Playback:
    """silences: seconds before each chunk but the first. ends_at: end of the last chunk, 0 without any."""

    silences: tuple[float, ...]
    ends_at: float


def play(arrivals: Sequence[float], lengths: Sequence[float]) -> Playback:
    """The listener's clock: a player that starts with the first chunk and holds no reserve.

    arrivals: when the chunks came, in order (s). lengths: how long each one plays (s). A player that
    ran dry continues as soon as the next chunk comes, so a delay is counted once.
    """
    silences = []
    ends_at = 0.0
    for number, (arrival, length) in enumerate(zip(arrivals, lengths, strict=True)):
        if number:
            silences.append(max(0.0, arrival - ends_at))
        ends_at = length + (max(ends_at, arrival) if number else arrival)
    return Playback(tuple(silences), ends_at)

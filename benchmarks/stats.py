"""What the figures mean, as functions of plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor


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


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of the values lie, between neighbours in proportion.

    Raises ValueError without values.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    below = floor(position)
    above = min(below + 1, len(ordered) - 1)
    # This form is exact where both neighbours are equal, so that no rounding leaves their range.
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def summarize(values: Sequence[float]) -> Summary | None:
    """None without values."""
    if not values:
        return None
    ordered = sorted(values)
    p50, p90, p95, p99 = (percentile(ordered, percent) for percent in (50, 90, 95, 99))
    return Summary(len(ordered), sum(ordered) / len(ordered), p50, p90, p95, p99, ordered[-1])


def gaps(arrivals: Sequence[float]) -> list[float]:
    """Seconds between neighbouring arrivals."""
    return [later - earlier for earlier, later in pairwise(arrivals)]


def underruns(arrivals: Sequence[float], lengths: Sequence[float]) -> list[float]:
    """Seconds of silence at each chunk but the first, for a player that starts with the first chunk.

    arrivals: when the chunks came, in order (s). lengths: how long each one plays (s). A player that
    ran dry goes on as soon as the next chunk comes, so a delay is counted once.
    """
    dry = []
    plays_until = 0.0
    for number, (arrival, length) in enumerate(zip(arrivals, lengths, strict=True)):
        if number:
            dry.append(max(0.0, arrival - plays_until))
        plays_until = length + (max(plays_until, arrival) if number else arrival)
    return dry


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The least-squares line's rise of y per x; 0 where x does not vary."""
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    if spread == 0:
        return 0.0
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread

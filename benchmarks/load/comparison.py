"""Two checkouts measured alternately in one run, so that a change of the machine's speed meets both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

Figures = Mapping[str, float]
Measure = Callable[[Path], Awaitable[Figures]]
Round = tuple[Figures, Figures]
"""One measurement of each: this checkout's, the other's."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure in both checkouts (medians of all rounds), and this one's per the other's in each round.

    Rounds, not medians, are divided: what both sides of a round share does not show in their ratio.
    """

    level: str
    figure: str
    this: float
    other: float
    ratio: float
    lowest: float
    highest: float


async def alternately(measure: Measure, this: Path, other: Path, rounds: int) -> list[Round]:
    """Measure both in each round, and change their order from round to round.

    this, other: folders to import the packages from, as `launch.importable` gives them.
    """
    found = []
    for number in range(rounds):
        if number % 2:
            theirs = await measure(other)
            found.append((await measure(this), theirs))
        else:
            ours = await measure(this)
            found.append((ours, await measure(other)))
    return found


def ratios(level: str, rounds: Sequence[Round]) -> list[Ratio]:
    """A ratio for each figure, which all rounds have and which is above 0."""
    compared = []
    for figure in rounds[0][0]:
        pairs = [(ours[figure], theirs[figure]) for ours, theirs in rounds]
        each = [one / another for one, another in pairs]
        compared.append(
            Ratio(
                level,
                figure,
                median(one for one, _ in pairs),
                median(another for _, another in pairs),
                median(each),
                min(each),
                max(each),
            )
        )
    return compared


HEAD = ("level", "figure", "this", "other", "this / other", "lowest", "highest")


def row(ratio: Ratio) -> tuple[str, ...]:
    """A ratio as a row under HEAD."""
    return (
        ratio.level,
        ratio.figure,
        *(f"{value:.4g}" for value in (ratio.this, ratio.other)),
        *(f"{value:.3f}" for value in (ratio.ratio, ratio.lowest, ratio.highest)),
    )

"""The costs of both ways chunk by chunk, the outcome of their comparison, and the tables of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from cosyserve.clients.cli.tables import print_table

from ..report import milliseconds
from .live import FirstChunk, Level
from .models import ChunkCost, ClockKind

FLAT: Final = 1.3
"""Goal: the last chunk costs at most so many times the third."""
SAVING: Final = 8.0
"""Goal: recomputing costs at least so many times as much in all."""

Show = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class CostLine:
    """Seconds of work for the chunk that ends at `position` seconds.

    window: flow with a bounded context, None where there was no such path. fitted: recomputing was not
    measured here (see `side_by_side`). context: bytes held for the utterance after the chunk, with
    room for what is to come.
    """

    position: int
    flow: float
    vocoder: float
    window: float | None
    again_flow: float
    again_vocoder: float
    fitted: bool
    context: int

    @property
    def total(self) -> float:
        return self.flow + self.vocoder

    @property
    def again(self) -> float:
        return self.again_flow + self.again_vocoder


@dataclass(frozen=True, slots=True)
class Outcome:
    """total, again: seconds of all chunks, incremental and recomputed; saving: their ratio.

    flatness: last chunk / third chunk; window_flatness: the same with a bounded context. late_early:
    median of the last three chunks / of chunks 2 to 4, which one disturbance does not move.
    per_second: bytes of context that a second of speech fills.
    """

    total: float
    again: float
    saving: float
    flatness: float
    window_flatness: float | None
    late_early: float
    per_second: float


def side_by_side(
    chunks: Sequence[ChunkCost],
    windowed: Sequence[ChunkCost],
    again: Mapping[int, ChunkCost],
    kind: ClockKind,
) -> list[CostLine]:
    """The table's lines. windowed: as many as chunks, or none. again: by the number of the chunk, from 1.

    Where recomputing was not measured stands the least-squares parabola through what was (a prefix
    costs a linear part and, in its attention, a quadratic one); its vocoder, whose cost does not
    depend on the position, has its mean there.
    """
    at = sorted(again)
    flows = [again[number].flow.by(kind) for number in at]
    vocoders = [again[number].vocoder.by(kind) for number in at]
    parabola = np.polynomial.Polynomial.fit(at, flows, min(2, len(at) - 1))
    lines = []
    for number, chunk in enumerate(chunks, 1):
        other = again.get(number)
        lines.append(
            CostLine(
                number,
                chunk.flow.by(kind),
                chunk.vocoder.by(kind),
                windowed[number - 1].flow.by(kind) if windowed else None,
                other.flow.by(kind) if other else float(parabola(number)),
                other.vocoder.by(kind) if other else sum(vocoders) / len(vocoders),
                fitted=other is None,
                context=chunk.nbytes,
            )
        )
    return lines


def outcome_of(lines: Sequence[CostLine], per_second: float) -> Outcome:
    each = [line.total for line in lines]
    total, again = sum(each), sum(line.again for line in lines)
    late, third = lines[-1], lines[2]
    bounded = None
    if late.window is not None and third.window is not None:
        bounded = (late.window + late.vocoder) / (third.window + third.vocoder)
    return Outcome(
        total=total,
        again=again,
        saving=again / total,
        flatness=each[-1] / each[2],
        window_flatness=bounded,
        late_early=median(each[-3:]) / median(each[1:4]),
        per_second=per_second,
    )


def print_chunks(lines: Sequence[CostLine], show: Show) -> None:
    head = ("chunk", "flow", "vocoder", "sum", "window", "MiB")
    again = ("again flow", "vocoder", "sum", "", "ratio")
    rows = [
        (
            str(line.position),
            *map(show, (line.flow, line.vocoder, line.total)),
            "-" if line.window is None else show(line.window),
            f"{line.context / 2**20:.0f}",
            *map(show, (line.again_flow, line.again_vocoder, line.again)),
            "fitted" if line.fitted else "measured",
            f"{line.again / line.total:.2f}",
        )
        for line in lines
    ]
    print_table((*head, *again), rows)


def outcome_text(outcome: Outcome, window: float, show: Show) -> str:
    lines = [
        f"total {show(outcome.total)}, recomputed {show(outcome.again)}: {outcome.saving:.2f} times "
        f"as much (goal {SAVING:g}: {_met(outcome.saving >= SAVING)})",
        f"last chunk {outcome.flatness:.2f} times the third (goal {FLAT:g}: "
        f"{_met(outcome.flatness <= FLAT)}); median of the last three {outcome.late_early:.2f} times "
        "that of chunks 2 to 4",
    ]
    bounded = outcome.window_flatness
    if bounded is not None:
        lines.append(
            f"with a window of {window:g} s the last is {bounded:.2f} times the third "
            f"(goal {FLAT:g}: {_met(bounded <= FLAT)})"
        )
    lines.append(f"context {outcome.per_second / 2**20:.1f} MiB per second of speech")
    return "\n".join(lines)


def _met(reached: bool) -> str:
    return "met" if reached else "missed"


def print_first_chunks(firsts: Sequence[FirstChunk]) -> None:
    head = ("first hop", "lm ms", "flow", "vocoder", "first sound", "sound s")
    print_table(
        head,
        [
            (
                str(first.hop),
                *map(milliseconds, (first.lm, first.flow, first.vocoder, first.total)),
                f"{first.sound:.2f}",
            )
            for first in firsts
        ],
    )


def print_levels(batches: Sequence[Level]) -> None:
    head = ("streams", "lm ms", "flow", "vocoder", "sum per s", "real time", "context MiB")
    print_table(
        head,
        [
            (
                str(level.streams),
                *map(milliseconds, (level.lm, level.flow, level.vocoder, level.total)),
                "yes" if level.real_time else "no",
                f"{level.nbytes / 2**20:.0f}",
            )
            for level in batches
        ],
    )

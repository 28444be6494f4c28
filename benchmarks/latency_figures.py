"""From the records of tasks to the figures of a latency benchmark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .load.generator import LoadResult
from .load.bench import TaskRecord
from .report import milliseconds
from .stats import Summary, gaps, summarize, underruns

UNDERRUN: Final = 0.1
"""Seconds of silence in the middle of speech that a listener takes for a fault."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One level of load. All summaries in seconds but `real_time_factor`, over the tasks that went well.

    first_package_from_*: to the first chunk's arrival from run-task, the first and the last text
    (negative from the last text where speech began before the text ended).
    gap: between neighbouring chunks of a task. real_time_factor: from the first text to the last
    chunk, per second of speech. continuity: share of all tasks whose real-time player, started with
    the first chunk, was never dry for more than 100 ms; a failed task is none of them.
    throughput: seconds of speech per second. generator_busy: share of a core that the busiest process
    of the load generator used.
    """

    streams: int
    tasks: int
    failed: int
    errors: dict[str, int]
    seconds: float
    first_package_from_run: Summary | None
    first_package_from_first_text: Summary | None
    first_package_from_last_text: Summary | None
    gap: Summary | None
    real_time_factor: Summary | None
    continuity: float
    throughput: float
    generator_busy: float
    generator_processes: int


def figures(streams: int, result: LoadResult) -> Figures:
    """Reduce a level's records."""
    records = result.records
    good = [record for record in records if not record.error]
    errors = Counter(record.error for record in records if record.error)
    speech = sum(sum(record.lengths) for record in good)
    return Figures(
        streams=streams,
        tasks=len(records),
        failed=len(records) - len(good),
        errors=dict(errors.most_common()),
        seconds=result.seconds,
        first_package_from_run=summarize([record.arrivals[0] - record.run_at for record in good]),
        first_package_from_first_text=summarize(first_packages(good)),
        first_package_from_last_text=summarize(
            [record.arrivals[0] - record.last_text_at for record in good]
        ),
        gap=summarize([gap for record in good for gap in gaps(record.arrivals)]),
        real_time_factor=summarize([_real_time_factor(record) for record in good]),
        continuity=sum(map(_continuous, good)) / len(records) if records else 0.0,
        throughput=speech / result.seconds,
        generator_busy=result.busiest,
        generator_processes=result.processes,
    )


def first_packages(records: Sequence[TaskRecord]) -> list[float]:
    """Seconds from the first text to the first chunk of the tasks that went well."""
    return [record.arrivals[0] - record.first_text_at for record in records if not record.error]


def _real_time_factor(record: TaskRecord) -> float:
    return (record.arrivals[-1] - record.first_text_at) / sum(record.lengths)


def _continuous(record: TaskRecord) -> bool:
    return max(underruns(record.arrivals, record.lengths), default=0.0) <= UNDERRUN


HEAD: Final = (
    "streams",
    "tasks",
    "failed",
    "first package p50",
    "p90",
    "p95",
    "p99 ms",
    "from run p50",
    "p99 ms",
    "from last text p50 ms",
    "gap p99 ms",
    "rtf p50",
    "p99",
    "continuous",
    "speech s/s",
)


def row(level: Figures) -> tuple[str, ...]:
    """A level as a line under HEAD; the first package is counted from the first text."""
    first, run = level.first_package_from_first_text, level.first_package_from_run
    factor = level.real_time_factor
    return (
        str(level.streams),
        str(level.tasks),
        str(level.failed),
        *(_shown(first, name) for name in ("p50", "p90", "p95", "p99")),
        *(_shown(run, name) for name in ("p50", "p99")),
        _shown(level.first_package_from_last_text, "p50"),
        _shown(level.gap, "p99"),
        f"{factor.p50:.3f}" if factor else "-",
        f"{factor.p99:.3f}" if factor else "-",
        f"{level.continuity:.1%}",
        f"{level.throughput:.1f}",
    )


def _shown(summary: Summary | None, name: str) -> str:
    return milliseconds(getattr(summary, name) if summary else None)

"""How long a listener waits for speech, and whether it plays without breaks, under rising load.

    cosyserve bench --streams 1,8,32 --tasks 20

Needs a running server, and speaks the public API only: any server of this API can be measured. Each
level runs so many streams at once; its figures become a line of a table, an entry in latency.json
and, with matplotlib (extra `bench`), a curve in latency.png.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from cosyserve.clients import Client, ClientError, InvalidRequest
from cosyserve.clients.cli.options import add_connection_options, make_client, run_command
from cosyserve.clients.cli.tables import print_table

from ..report import conditions, milliseconds, write_report
from ..stats import Summary, gaps, summarize
from ..texts import SENTENCES
from .generator import GeneratorFailed, LoadResult, default_processes, run_load
from .streams import LoadPlan, TaskRecord

UNDERRUN: Final = 0.1
"""Seconds of silence in the middle of speech that a listener takes for a fault."""
BUSY: Final = 0.8
"""Share of a core above which the load generator's own delays show in the figures."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One level of load. Summaries are over the tasks that did not fail, in seconds.

    first_package_from_*: to the arrival of the first chunk from run-task, from the first text and
    from the last text (negative where speech began before the text ended).
    gap: between neighbouring chunks of a task.
    real_time_factor: from the first text to the last chunk, per second of speech (no unit).
    continuity: share of all tasks whose listener never heard a silence of more than UNDERRUN.
    throughput: seconds of speech per second, all streams together.
    generator_busy: share of a core that the busiest process of the load generator used.
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
    """The figures of a level, from the records of its tasks."""
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
    """Seconds from the first text to the first chunk, of the tasks that did not fail."""
    return [record.arrivals[0] - record.first_text_at for record in records if not record.error]


def _real_time_factor(record: TaskRecord) -> float:
    return (record.arrivals[-1] - record.first_text_at) / sum(record.lengths)


def _continuous(record: TaskRecord) -> bool:
    return max(record.playback.silences, default=0.0) <= UNDERRUN


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run with these arguments; returns the exit code (1 also if every task failed)."""
    options = _parser(environ).parse_args(argv)
    found: dict[str, Any] = {}
    code = run_command(_inspect(options, found))
    if code:
        return code
    try:
        levels = _measure(options, found)
    except GeneratorFailed as error:
        print(f"cosyserve: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return int(all(level.failed == level.tasks for level in levels))


def _parser(environ: Mapping[str, str] | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cosyserve bench",
        description="Measure how long a listener waits for speech, and whether it plays without "
        "breaks, under rising load. Each stream is a client that runs its tasks one after another.",
    )
    load = parser.add_argument_group("load")
    load.add_argument(
        "--streams",
        type=_counts,
        default="1,8,32",
        metavar="N,N,...",
        help="streams at once, one level after another (default: 1,8,32)",
    )
    load.add_argument("--tasks", type=_count, default=5, help="of each stream (default: 5)")
    load.add_argument(
        "--warmup", type=int, default=1, help="tasks of each stream that do not count (default: 1)"
    )
    load.add_argument(
        "--paced",
        action="store_true",
        help="hear each task out and pause, as in a conversation (default: flat out)",
    )
    load.add_argument(
        "--pause", type=float, default=1.0, help="mean seconds between paced tasks (default: 1)"
    )
    load.add_argument(
        "--tokens-per-second",
        type=float,
        default=0.0,
        help="pace of the text (default: 0, all at once)",
    )
    load.add_argument("--text-file", type=Path, help="texts to speak, one on each line")
    load.add_argument(
        "--voice", help="id of a reference or a voice (default: the server's first voice)"
    )
    load.add_argument(
        "--format", default="pcm", dest="output_format", help="of the sound (default: pcm)"
    )
    load.add_argument("--sample-rate", type=int, default=24000, help="Hz (default: 24000)")
    load.add_argument("--transport", choices=["binary", "base64"], default="binary")
    load.add_argument("--await-start", action="store_true", help="send no text before task-started")
    load.add_argument(
        "--task-timeout", type=float, default=120.0, metavar="SECONDS", help="default: 120"
    )
    load.add_argument("--seed", type=int, default=0, help="of the pauses")
    load.add_argument(
        "--processes", type=_count, help="of the load generator (default: one per 64 streams)"
    )
    out = parser.add_argument_group("output")
    out.add_argument(
        "--out",
        type=Path,
        default=Path("bench-out"),
        help="folder for latency.json and latency.png (default: bench-out)",
    )
    out.add_argument("--no-plot", action="store_true", help="write no latency.png")
    add_connection_options(parser, environ)
    return parser


async def _inspect(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Find the texts, the server and the voice before any load, so that an error is reported once."""
    found["texts"] = _texts(options.text_file)
    async with make_client(options) as client:
        await client.connect()
        try:
            found["server"] = dict(await client.version())
        except ClientError:
            found["server"] = {}  # another implementation of the API has no /version
        found["voice"] = options.voice or await _first_voice(client)
        await client.synthesize("One.", voice=found["voice"], output_format=options.output_format)


async def _first_voice(client: Client) -> str:
    voices = await client.voices()
    if not voices:
        raise InvalidRequest("this server has no voice of its own: give a reference with --voice")
    return voices[0].id


def _measure(options: argparse.Namespace, found: Mapping[str, Any]) -> list[Figures]:
    plan = LoadPlan(
        url=options.url,
        token=options.token,
        ca_file=options.ca_file,
        voice=found["voice"],
        texts=found["texts"],
        tasks=options.tasks,
        warmup=options.warmup,
        tokens_per_second=options.tokens_per_second,
        paced=options.paced,
        pause=options.pause,
        output_format=options.output_format,
        sample_rate=options.sample_rate,
        transport=options.transport,
        await_start=options.await_start,
        task_timeout=options.task_timeout,
        seed=options.seed,
    )
    around = conditions()
    levels, samples = [], {}
    for streams in options.streams:
        print(f"{streams} streams ...", file=sys.stderr, flush=True)
        processes = options.processes or default_processes(streams)
        result = run_load(plan, streams, processes)
        levels.append(figures(streams, result))
        samples[streams] = first_packages(result.records)
    _report(options, plan, levels, samples, {**around, "server": found["server"]})
    return levels


def _report(
    options: argparse.Namespace,
    plan: LoadPlan,
    levels: Sequence[Figures],
    samples: Mapping[int, Sequence[float]],
    around: Mapping[str, Any],
) -> None:
    print_table(HEAD, [row(level) for level in levels])
    for level in levels:
        if level.errors:
            counts = ", ".join(f"{count} x {name}" for name, count in level.errors.items())
            print(f"{level.streams} streams, failed: {counts}")
        if level.generator_busy > BUSY:
            print(
                f"{level.streams} streams: the load generator used {level.generator_busy:.0%} of a "
                "core and may itself be the bottleneck; use more --processes"
            )
    plan_shown = asdict(replace(plan, token=None, texts=())) | {"texts": len(plan.texts)}
    content = {**around, "plan": plan_shown, "levels": [asdict(level) for level in levels]}
    print(f"wrote {write_report(options.out, 'latency', content)}")
    if not options.no_plot:
        pace = "paced" if plan.paced else "flat out"
        picture = options.out / "latency.png"
        try:
            plot_latency(picture, levels, samples, f"First package, {pace}")
            print(f"wrote {picture}")
        except PlotUnavailable as error:
            print(f"no plot: {error}", file=sys.stderr)


def _texts(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return SENTENCES
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"cannot read {path}: {error}") from None
    texts = tuple(line for line in map(str.strip, lines) if line)
    if not texts:
        raise InvalidRequest(f"{path} holds no text")
    return texts


def _count(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError(value)
    return number


def _counts(value: str) -> tuple[int, ...]:
    return tuple(_count(part) for part in value.split(","))


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
    """A level as a row under HEAD; 'first package' is counted from the first text."""
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


class PlotUnavailable(Exception):
    """matplotlib is not installed."""


def plot_latency(
    path: Path, levels: Sequence[Figures], samples: Mapping[int, Sequence[float]], title: str
) -> None:
    """Draw the distribution of the first package for each level, and its percentiles over the levels.

    samples: seconds to the first package of every task, by number of streams.
    Raises PlotUnavailable, OSError.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise PlotUnavailable("for a plot, install cosyserve[bench]") from None
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for streams, seconds in samples.items():
        ordered = sorted(second * 1000 for second in seconds)
        shares = [(number + 1) / len(ordered) for number in range(len(ordered))]
        left.step(ordered, shares, where="post", label=f"{streams} streams")
    left.set(xlabel="first package (ms)", ylabel="share of tasks", ylim=(0, 1.01))
    measured = [level for level in levels if level.first_package_from_first_text]
    for name in ("p50", "p95", "p99"):
        right.plot(
            [level.streams for level in measured],
            [getattr(level.first_package_from_first_text, name) * 1000 for level in measured],
            marker="o",
            label=name,
        )
    right.set(xlabel="concurrent streams", ylabel="first package (ms)")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(main())

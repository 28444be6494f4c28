"""Latency of a server under load: `cosyserve bench`, or run this file.

It speaks the public API only, so that any server that has it can be measured.
"""

# Absolute imports, because this file can also be run by its path.
from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cosyserve.benchmarks.load.generator import GeneratorFailed, default_processes, run_load
from cosyserve.benchmarks.latency_figures import HEAD, Figures, figures, first_packages, row
from cosyserve.benchmarks.load.bench import LoadPlan
from cosyserve.benchmarks.plot import PlotUnavailable, plot_latency
from cosyserve.benchmarks.report import conditions, write_report
from cosyserve.benchmarks.texts import SENTENCES
from cosyserve.clients import Client, ClientError, InvalidRequest
from cosyserve.clients.cli.options import add_connection_options, make_client, run_command
from cosyserve.clients.table import format_table

BUSY = 0.8
"""Share of a core above which the load generator's own delays show in the figures."""


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
        prog="cosyserve bench", description="Measure a server's latency under load."
    )
    load = parser.add_argument_group("load")
    load.add_argument(
        "--streams", type=_counts, default="1,8,32", metavar="N,N,...", help="levels, in turn"
    )
    load.add_argument("--tasks", type=_count, default=5, help="per stream")
    load.add_argument("--warmup", type=int, default=1, help="tasks per stream that do not count")
    load.add_argument(
        "--paced", action="store_true", help="each stream waits as a listener would; else flat out"
    )
    load.add_argument("--pause", type=float, default=1.0, help="seconds between paced tasks")
    load.add_argument(
        "--tokens-per-second", type=float, default=0.0, help="the text's pace; 0: all at once"
    )
    load.add_argument("--text-file", type=Path, help="texts to speak, one a line")
    load.add_argument("--voice", help="reference id; else the server's first voice")
    load.add_argument("--format", default="pcm", dest="output_format")
    load.add_argument("--sample-rate", type=int, default=24000)
    load.add_argument("--transport", choices=["binary", "base64"], default="binary")
    load.add_argument("--await-start", action="store_true", help="send no text before task-started")
    load.add_argument("--task-timeout", type=float, default=120.0, metavar="SECONDS")
    load.add_argument("--seed", type=int, default=0, help="of the pauses")
    load.add_argument("--processes", type=_count, help="of the load generator; else by streams")
    out = parser.add_argument_group("output")
    out.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for JSON and PNG")
    out.add_argument("--no-plot", action="store_true")
    add_connection_options(parser, environ)
    return parser


async def _inspect(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Find out what is there before any load: errors are told once, and early."""
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
        raise InvalidRequest("this server has no voice of its own: name a reference with --voice")
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
    print(format_table(HEAD, [row(level) for level in levels]))
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


if __name__ == "__main__":
    sys.exit(main())

"""What the server itself adds: from a chunk that is ready in the engine to its bytes at a client.

    python -m cosyserve.benchmarks.load.overhead --streams 1,100,500
    python -m cosyserve.benchmarks.load.overhead --against ../older-checkout

The engine is a clock (timed_engine.py), the server runs in a process of its own, the clients in this
one, all on one machine. With --against a checkout, its server and this checkout's are measured
alternately, their start and their idle memory, too, and the table has the ratios. Needs Linux, where
`time.perf_counter()` is the same in all processes.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Final

import uvloop

from cosyserve.clients import Client, ClientError
from cosyserve.clients.cli.tables import print_table

from ..report import conditions, milliseconds, write_report
from ..stats import Summary, summarize
from . import comparison
from .comparison import Ratio, alternately, ratios
from .launch import ServerDidNotStart, importable, launched_server, timed_server
from .timed_engine import VOICE

THIS: Final = Path(__file__).resolve().parents[2]
"""This checkout."""
WARM_UP: Final = 3
"""Chunks at the start of each stream that do not count: all streams of a level start together."""
SETTLE: Final = 1.0
"""Seconds from a server's start to the reading of its memory."""


@dataclass(frozen=True, slots=True)
class Plan:
    """chunks of chunk_seconds of sound each per stream, one every interval seconds (0: flat out)."""

    streams: int
    chunks: int
    chunk_seconds: float
    interval: float
    transport: str

    @property
    def pace(self) -> str:
        return "real time" if self.interval else "flat out"

    def __str__(self) -> str:
        return f"{self.streams} stream{'s' if self.streams > 1 else ''}, {self.pace}"


@dataclass(frozen=True, slots=True)
class Overhead:
    """One run. added: seconds from ready to received. messages_per_core: events (with their audio)
    that the server sends in a second of its own CPU time. *_busy: CPU seconds per second."""

    plan: Plan
    messages: int
    seconds: float
    added: Summary | None
    messages_per_core: float
    server_busy: float
    client_busy: float


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments; returns the exit code."""
    options = _parser().parse_args(argv)
    around = conditions()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if options.against is None:
                name, content = "overhead", runner.run(_measure_all(options))
            else:
                name, content = "overhead-compared", runner.run(_compare_all(options))
    except (ClientError, ServerDidNotStart, OSError) as error:
        print(f"overhead: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"wrote {write_report(options.out, name, {**around, **content})}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cosyserve.benchmarks.load.overhead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--streams", default="1,100,500", help="at once, in turn (default: 1,100,500)"
    )
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="of speech per stream (default: 10)"
    )
    parser.add_argument(
        "--chunk-seconds", type=float, default=0.2, help="of speech per chunk (default: 0.2)"
    )
    parser.add_argument("--transport", choices=["binary", "base64"], default="binary")
    parser.add_argument(
        "--flat-out-streams",
        type=int,
        default=8,
        help="of a last level without a clock (default: 8; 0 leaves it out)",
    )
    parser.add_argument(
        "--flat-out-chunks", type=int, default=2000, help="per stream of it (default: 2000)"
    )
    parser.add_argument(
        "--against", type=Path, metavar="CHECKOUT", help="compare with the server of this checkout"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="measurements of each checkout (default: 5)"
    )
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for the JSON")
    return parser


def _plans(options: argparse.Namespace) -> Iterator[Plan]:
    size, transport = options.chunk_seconds, options.transport
    chunks = max(WARM_UP + 1, round(options.seconds / size))
    for streams in map(int, options.streams.split(",")):
        yield Plan(streams, chunks, size, size, transport)
    if options.flat_out_streams:
        yield Plan(options.flat_out_streams, options.flat_out_chunks, size, 0.0, transport)


async def _measure_all(options: argparse.Namespace) -> dict[str, Any]:
    runs = []
    for plan in _plans(options):
        _progress(str(plan))
        runs.append(await measure(plan))
    print_table(HEAD, [row(run) for run in runs])
    return {"runs": [asdict(run) for run in runs]}


async def _compare_all(options: argparse.Namespace) -> dict[str, Any]:
    compared: list[Ratio] = []
    with importable(THIS) as this, importable(options.against) as other:
        compare = partial(alternately, this=this, other=other)
        _progress("start and idle memory")
        await compare(_started, rounds=1)  # compiles the modules of both
        compared += ratios("start", await compare(_started, rounds=options.rounds))
        for plan in _plans(options):
            _progress(str(plan))
            found = await compare(partial(_figures, plan), rounds=options.rounds)
            compared += ratios(str(plan), found)
    print_table(comparison.HEAD, [comparison.row(ratio) for ratio in compared])
    return {
        "this": str(THIS),
        "other": str(options.against.resolve()),
        "rounds": options.rounds,
        "ratios": [asdict(ratio) for ratio in compared],
    }


def _progress(level: str) -> None:
    print(f"{level} ...", file=sys.stderr, flush=True)


async def _started(packages: Path) -> dict[str, float]:
    """The start and the idle memory of `cosyserve serve`."""
    async with launched_server("--log-level", "warning", packages=packages) as server:
        await asyncio.sleep(SETTLE)
        return {"seconds to start": server.started_in, "idle MiB": server.memory_kib / 1024}


async def _figures(plan: Plan, packages: Path) -> dict[str, float]:
    """The figures of a run that are compared; the smaller each one is, the better."""
    run = await measure(plan, packages)
    found = {"CPU µs per message": 1e6 / run.messages_per_core}
    if run.added is not None:
        found |= {
            f"added {name} ms": getattr(run.added, name) * 1000 for name in ("p50", "p95", "p99")
        }
    return found


async def measure(plan: Plan, packages: Path | None = None) -> Overhead:
    """Run a server with the timed engine, and the plan's streams against it.

    packages: a folder to import the server from (see `launch.importable`). Raises ServerDidNotStart,
    ClientError, OSError.
    """
    async with timed_server(
        chunks=plan.chunks,
        chunk_seconds=plan.chunk_seconds,
        interval=plan.interval,
        max_tasks=plan.streams + 1,
        packages=packages,
    ) as server:
        began, own_cpu, server_cpu = perf_counter(), process_time(), server.cpu_seconds
        parts = await asyncio.gather(*(_stream(plan, server.url) for _ in range(plan.streams)))
        seconds = perf_counter() - began
        own_cpu, server_cpu = process_time() - own_cpu, server.cpu_seconds - server_cpu
    messages = plan.streams * plan.chunks
    return Overhead(
        plan,
        messages,
        seconds,
        summarize([value for part in parts for value in part]) if plan.interval else None,
        messages_per_core=messages / server_cpu,
        server_busy=server_cpu / seconds,
        client_busy=own_cpu / seconds,
    )


async def _stream(plan: Plan, url: str) -> list[float]:
    """Seconds that the server added to each chunk of one task."""
    added = []
    async with (
        Client(url, timeout=60) as client,
        client.speech(
            voice=VOICE, audio_transport="base64" if plan.transport == "base64" else "binary"
        ) as speech,
    ):
        await speech.feed("text")
        await speech.finish()
        async for chunk in speech:
            added.append(chunk.received_at - chunk.metrics.generate_time)
    return added[WARM_UP:]


HEAD = (
    "streams",
    "pace",
    "messages",
    "added p50",
    "p95",
    "p99",
    "max ms",
    "messages/s/core",
    "server cpu",
    "client cpu",
)


def row(run: Overhead) -> tuple[str, ...]:
    """A run as a row under HEAD."""
    added = run.added
    return (
        str(run.plan.streams),
        run.plan.pace,
        str(run.messages),
        *(
            milliseconds(getattr(added, name) if added else None)
            for name in ("p50", "p95", "p99", "max")
        ),
        f"{run.messages_per_core:.0f}",
        f"{run.server_busy:.0%}",
        f"{run.client_busy:.0%}",
    )


if __name__ == "__main__":
    sys.exit(main())

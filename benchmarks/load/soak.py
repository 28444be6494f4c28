"""How much memory a server keeps: for an idle connection, and over many tasks.

    python -m cosyserve.benchmarks.load.soak --connections 1000 --tasks 10000
    python -m cosyserve.benchmarks.load.soak --mixed 100000

The tasks run one after another on one connection. Those of --mixed run several at once, in all dialects,
transports and formats, and many are left or cancelled by their clients; the exit status is 1 if one of them
failed, or if the server still counts a task or a connection when all are over.

It starts a server of its own, or watches one on this machine (--url with --pid). Needs Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import linear_regression
from time import perf_counter
from typing import Final

import uvloop

from cosyserve.clients import Client, ClientError
from cosyserve.clients.cli.tables import print_table

from ..report import conditions, write_report
from .launch import ServerDidNotStart, children, launched_server, resident_kib
from .mix import EXPECTED, run_mix
from .wire import metrics

SETTLE: Final = 1.0
"""Seconds for the server to finish what it began before its memory is read."""
OPENING: Final = 50
"""Connections that are opened at the same time."""
SAMPLES: Final = 20
"""Readings of the memory while the tasks run."""
GAUGES: Final = ("cosyserve_tasks_running", "cosyserve_connections", "cosyserve_engine_sessions")
FORGOTTEN: Final = 30.0
"""Seconds after which what the server still counts is forgotten for good: longer than a send timeout."""
LOOK: Final = 0.2
"""Seconds between two looks at it."""


@dataclass(frozen=True, slots=True)
class Idle:
    """Resident memory (KiB) of the server before, with, and after so many idle connections."""

    connections: int
    before_kib: int
    with_kib: int
    after_kib: int

    @property
    def each_kib(self) -> float:
        return (self.with_kib - self.before_kib) / self.connections


@dataclass(frozen=True, slots=True)
class Sample:
    """Resident memory (KiB) after so many tasks: the server's and, together, its children's."""

    tasks: int
    seconds: float
    server_kib: int
    children_kib: int


@dataclass(frozen=True, slots=True)
class Mixed:
    """outcomes: of the tasks, by way. remaining: what the server still counted at the end."""

    outcomes: dict[str, dict[str, int]]
    samples: list[Sample]
    remaining: dict[str, int]

    @property
    def clean(self) -> bool:
        """Whether every task ended as it should, and nothing of any remained."""
        found = {outcome for counts in self.outcomes.values() for outcome in counts}
        return found <= EXPECTED and not any(self.remaining.values())


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments; returns the exit code."""
    options = _parser().parse_args(argv)
    if (options.pid is None) != (options.url is None):
        print("soak: --url and --pid go together", file=sys.stderr)
        return 2
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_soak(options))
    except (ClientError, ServerDidNotStart, OSError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cosyserve.benchmarks.load.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--connections", type=int, default=1000, help="idle ones (default: 1000; 0: none)"
    )
    parser.add_argument(
        "--tasks", type=int, default=10_000, help="one after another (default: 10000; 0: none)"
    )
    parser.add_argument("--text", default="Yes.", help="of every task of --tasks")
    parser.add_argument(
        "--mixed",
        type=int,
        nargs="?",
        const=100_000,
        metavar="TASKS",
        help="mixed tasks instead (100000 if no number is given)",
    )
    parser.add_argument("--voice", help="of all tasks (default: the server's first)")
    parser.add_argument("--at-once", type=int, default=8, help="mixed tasks (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="of the mixed tasks (default: 0)")
    parser.add_argument("--url", help="of a server to watch (default: start one)")
    parser.add_argument("--token", help="for the server at --url")
    parser.add_argument("--pid", type=int, help="of the server at --url")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for the JSON")
    return parser


async def _soak(options: argparse.Namespace) -> int:
    around = conditions()
    async with AsyncExitStack() as stack:
        url, pid = options.url, options.pid
        if url is None:
            _allow_files(options.connections + 200)
            server = await stack.enter_async_context(launched_server("--log-level", "warning"))
            url, pid = server.url, server.pid
        client = await stack.enter_async_context(Client(url, token=options.token))
        voice = options.voice or (await client.voices())[0].id
        await client.synthesize(options.text, voice=voice)  # loads what a server loads once
        if options.mixed:
            await client.close()  # its connection would count
            mixed = await measure_mix(
                url, options.token, voice, pid, options.mixed, options.at_once, options.seed
            )
            _print_mixed(mixed)
            content = asdict(mixed) | {"kib_per_1000_tasks": growth(mixed.samples)}
            print(f"wrote {write_report(options.out, 'soak-mixed', {**around, **content})}")
            return int(not mixed.clean)
        idle = None
        if options.connections:
            idle = await measure_idle(url, options.token, pid, options.connections)
            _print_idle(idle)
        samples = []
        if options.tasks:
            samples = await measure_tasks(client, voice, options.text, pid, options.tasks)
            _print_tasks(samples)
    content = {
        **around,
        "idle": asdict(idle) | {"each_kib": idle.each_kib} if idle else None,
        "tasks": [asdict(sample) for sample in samples],
        "kib_per_1000_tasks": growth(samples),
    }
    print(f"wrote {write_report(options.out, 'soak', content)}")
    return 0


async def measure_idle(
    url: str, token: str | None, pid: int, connections: int, settle: float = SETTLE
) -> Idle:
    """Open so many connections, keep them idle, close them; `settle` seconds before each reading."""
    await asyncio.sleep(settle)
    before = resident_kib(pid)
    async with AsyncExitStack() as stack:
        opening = asyncio.Semaphore(OPENING)
        clients = [
            await stack.enter_async_context(Client(url, token=token, timeout=60))
            for _ in range(connections)
        ]

        async def connect(client: Client) -> None:
            async with opening:
                await client.connect()

        await asyncio.gather(*map(connect, clients))
        await asyncio.sleep(settle)
        during = resident_kib(pid)
        await asyncio.gather(*(client.close() for client in clients))
    await asyncio.sleep(settle)
    return Idle(connections, before, during, resident_kib(pid))


async def measure_tasks(
    client: Client, voice: str, text: str, pid: int, tasks: int
) -> list[Sample]:
    """Run so many tasks on one connection, and read the memory 20 times in between."""
    memory = _Memory(pid, tasks)
    for _ in range(tasks):
        async for _ in client.say(text, voice=voice):
            pass
        memory.done()
    return memory.samples


async def measure_mix(
    url: str, token: str | None, voice: str, pid: int, tasks: int, at_once: int, seed: int = 0
) -> Mixed:
    """Run so many tasks of all kinds, and read the memory 20 times in between."""
    memory = _Memory(pid, tasks)
    outcomes = await run_mix(url, token or "", voice, tasks, at_once, memory.done, seed)
    return Mixed(
        {way: dict(counts) for way, counts in outcomes.items()},
        memory.samples,
        await _remaining(url),
    )


class _Memory:
    """Reads the memory of a process SAMPLES times, and before the first of so many tasks."""

    def __init__(self, pid: int, tasks: int) -> None:
        self._pid = pid
        self._tasks = tasks
        self._every = max(1, tasks // SAMPLES)
        self._began = perf_counter()
        self._done = 0
        self.samples = [self._sample()]

    def done(self) -> None:
        """Take note that a task is over."""
        self._done += 1
        if self._done % self._every == 0 or self._done == self._tasks:
            self.samples.append(self._sample())

    def _sample(self) -> Sample:
        workers = sum(map(resident_kib, children(self._pid)))
        seconds = perf_counter() - self._began
        return Sample(self._done, seconds, resident_kib(self._pid), workers)


async def _remaining(url: str) -> dict[str, int]:
    """What the server still counts after a while: all zero, unless something has been forgotten."""
    for _ in range(round(FORGOTTEN / LOOK)):
        counted = await _counted(url)
        if not any(counted.values()):
            break
        await asyncio.sleep(LOOK)
    return counted


async def _counted(url: str) -> dict[str, int]:
    """The gauges of the metrics page that must be zero when nothing runs."""
    counted = dict.fromkeys(GAUGES, 0)
    for name, labels, value in await metrics(url):
        if name in counted:
            own = name == "cosyserve_connections" and labels == 'transport="rest"'
            counted[name] += round(value) - own  # this request is one, too
    return counted


def growth(samples: Sequence[Sample]) -> float | None:
    """KiB that the server grew per 1,000 tasks in the last three quarters; None if too few samples.

    The first quarter fills caches and arenas.
    """
    late = samples[len(samples) // 4 :]
    if len(late) < 2:
        return None
    line = linear_regression([item.tasks for item in late], [item.server_kib for item in late])
    return 1000 * line.slope


def _print_idle(idle: Idle) -> None:
    head = ("idle connections", "before KiB", "with KiB", "after KiB", "each KiB")
    figures = (idle.connections, idle.before_kib, idle.with_kib, idle.after_kib)
    print_table(head, [(*map(str, figures), f"{idle.each_kib:.1f}")])


def _print_tasks(samples: Sequence[Sample]) -> None:
    rows = [
        (str(item.tasks), f"{item.seconds:.0f}", str(item.server_kib), str(item.children_kib))
        for item in samples
    ]
    print_table(("tasks", "seconds", "server KiB", "children KiB"), rows)
    grown = growth(samples)
    if grown is not None:
        print(f"growth: {grown:+.1f} KiB per 1,000 tasks, without the first quarter")


def _print_mixed(mixed: Mixed) -> None:
    kinds = sorted({outcome for counts in mixed.outcomes.values() for outcome in counts})
    rows = [
        (way, *(str(counts.get(kind, 0)) for kind in kinds))
        for way, counts in mixed.outcomes.items()
    ]
    print_table(("tasks", *kinds), rows)
    _print_tasks(mixed.samples)
    print(f"at the end: {', '.join(f'{name} {count}' for name, count in mixed.remaining.items())}")


def _allow_files(count: int) -> None:
    """Raise this process's limit of open files, which the server inherits. Raises OSError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            raise OSError(f"{count} open files are needed; this system allows {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


if __name__ == "__main__":
    sys.exit(main())

"""How much memory a server keeps: for an idle connection, and over many tasks one after another.

    python -m cosyserve.benchmarks.load.soak --connections 1000 --tasks 10000

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

from cosyserve.clients import Client, ClientError
from cosyserve.clients.cli.tables import print_table

from ..report import conditions, write_report
from .launch import ServerDidNotStart, children, launched_server, resident_kib

SETTLE: Final = 1.0
"""Seconds for the server to finish what it began before its memory is read."""
OPENING: Final = 50
"""Connections that are opened at the same time."""
SAMPLES: Final = 20
"""Readings of the memory while the tasks run."""


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


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments; returns the exit code."""
    options = _parser().parse_args(argv)
    if (options.pid is None) != (options.url is None):
        print("soak: --url and --pid go together", file=sys.stderr)
        return 2
    try:
        asyncio.run(_soak(options))
    except (ClientError, ServerDidNotStart, OSError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


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
    parser.add_argument("--text", default="Yes.", help="of every task")
    parser.add_argument("--url", help="of a server to watch (default: start one)")
    parser.add_argument("--token", help="for the server at --url")
    parser.add_argument("--pid", type=int, help="of the server at --url")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for the JSON")
    return parser


async def _soak(options: argparse.Namespace) -> None:
    around = conditions()
    async with AsyncExitStack() as stack:
        url, pid = options.url, options.pid
        if url is None:
            _allow_files(options.connections + 200)
            server = await stack.enter_async_context(launched_server("--log-level", "warning"))
            url, pid = server.url, server.pid
        client = await stack.enter_async_context(Client(url, token=options.token))
        voice = (await client.voices())[0].id
        await client.synthesize(options.text, voice=voice)  # loads what a server loads once
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
    began = perf_counter()

    def sample(done: int) -> Sample:
        workers = sum(resident_kib(child) for child in children(pid))
        return Sample(done, perf_counter() - began, resident_kib(pid), workers)

    samples = [sample(0)]
    every = max(1, tasks // SAMPLES)
    for done in range(1, tasks + 1):
        async for _ in client.say(text, voice=voice):
            pass
        if done % every == 0 or done == tasks:
            samples.append(sample(done))
    return samples


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


def _allow_files(count: int) -> None:
    """Raise this process's limit of open files, which the server inherits. Raises OSError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            raise OSError(f"{count} open files are needed; this system allows {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


if __name__ == "__main__":
    sys.exit(main())

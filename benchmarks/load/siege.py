"""What a hostile client costs everybody else: the server's memory, and the delay of other clients' speech.

    python -m cosyserve.benchmarks.load.siege whole-answers

It starts a server of its own whose engine takes no time, or that of another checkout (--checkout), and lets a
client attack it. Needs Linux.

whole-answers: long answers that are not streamed, asked for all at once; nobody reads them before the last
is there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

from cosyserve.clients.cli.tables import print_table

from ..report import conditions, write_report
from .launch import LaunchedServer, ServerDidNotStart, importable, timed_server
from .timed_engine import VOICE

SAMPLE_RATE: Final = 48_000
BYTES_A_SECOND: Final = 2 * SAMPLE_RATE
PROBES: Final = 20
"""Before the attack, for comparison."""
PAUSE: Final = 0.05
"""Seconds between two probes."""
_PATH: Final = "/api/v1/audio/speech"


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds until other clients had their first sound."""

    probes: int
    median: float
    longest: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Delays:
        return cls(len(seconds), median(seconds), max(seconds))


@dataclass(frozen=True, slots=True)
class Siege:
    """statuses: of the answers to the attack, 0 where none came in time. MiB of the server's memory."""

    statuses: dict[str, int]
    seconds: float
    idle_mib: float
    peak_mib: float
    quiet: Delays
    under_attack: Delays


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        asyncio.run(_run(options))
    except (ServerDidNotStart, OSError) as error:
        print(f"siege: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cosyserve.benchmarks.load.siege",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("attack", choices=["whole-answers"])
    parser.add_argument("--answers", type=int, default=6, help="asked for (default: 6)")
    parser.add_argument(
        "--megabytes", type=float, default=250, help="of sound in each (default: 250)"
    )
    parser.add_argument(
        "--seconds", type=float, default=60, help="after which it ends anyway (default: 60)"
    )
    parser.add_argument("--checkout", type=Path, help="whose server to attack (default: this one)")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for the JSON")
    return parser


async def _run(options: argparse.Namespace) -> None:
    around = conditions()
    with ExitStack() as stack:
        packages = None
        if options.checkout is not None:
            packages = stack.enter_context(importable(options.checkout))
        chunks = max(1, round(options.megabytes * 1e6 / BYTES_A_SECOND))
        async with timed_server(
            chunks=chunks,
            chunk_seconds=1.0,
            interval=0.0,
            max_tasks=options.answers + 10,
            packages=packages,
        ) as server:
            found = await whole_answers(server, options.answers, options.seconds)
    _print(found)
    content = {**around, "attack": options.attack, "megabytes": options.megabytes, **asdict(found)}
    print(f"wrote {write_report(options.out, 'siege', content)}")


async def whole_answers(server: LaunchedServer, answers: int, limit: float) -> Siege:
    """Ask for so many at once, and read none before the last is there or `limit` seconds are over."""
    quiet = [await first_sound(server.url) for _ in range(PROBES)]
    idle = server.memory_kib
    statuses: Counter[int] = Counter()
    delays: list[float] = []
    waiting = asyncio.Barrier(answers)
    began = perf_counter()
    over = asyncio.Event()
    probing = asyncio.create_task(_probe(server.url, delays, over))
    with suppress(TimeoutError):
        async with asyncio.timeout(limit), asyncio.TaskGroup() as attackers:
            for _ in range(answers):
                attackers.create_task(_whole_answer(server.url, waiting, statuses))
    seconds = perf_counter() - began
    over.set()
    if not (await asyncio.wait({probing}, timeout=limit))[0]:
        probing.cancel()
        delays.append(limit)  # the server does not answer any more
    statuses[0] = answers - statuses.total()
    return Siege(
        statuses={str(status): count for status, count in statuses.items() if count},
        seconds=seconds,
        idle_mib=idle / 1024,
        peak_mib=peak_kib(server.pid) / 1024,
        quiet=Delays.of(quiet),
        under_attack=Delays.of(delays),
    )


async def first_sound(url: str) -> float:
    """Seconds from a request of another client to its first sound, which it then leaves."""
    began = perf_counter()
    async with _asked(url, stream=True) as (reader, _):
        await reader.readuntil(b"\ndata: ")
        return perf_counter() - began


def peak_kib(pid: int) -> int:
    """The most KiB of memory that a process ever had resident (Linux). Raises OSError if it has ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise ProcessLookupError(f"process {pid} has ended")


async def _probe(url: str, delays: list[float], over: asyncio.Event) -> None:
    while True:
        delays.append(await first_sound(url))
        if over.is_set():
            return
        await asyncio.sleep(PAUSE)


async def _whole_answer(url: str, waiting: asyncio.Barrier, statuses: Counter[int]) -> None:
    async with _asked(url, stream=False) as (reader, status):
        statuses[status] += 1
        await waiting.wait()
        with suppress(ConnectionError):
            while await reader.read(1 << 16):
                pass


@asynccontextmanager
async def _asked(url: str, *, stream: bool) -> AsyncIterator[tuple[asyncio.StreamReader, int]]:
    """A request for speech, and the status of its answer; no more is read ahead than 64 KiB."""
    spoken = {"text": "A text.", "mode": "fast_replication", "reference_audio_id": VOICE}
    wanted = {**spoken, "output_format": "wav", "sample_rate": SAMPLE_RATE}
    body = json.dumps({"model": "CosyVoice2-0.5B", "input": wanted, "stream": stream}).encode()
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1 << 16)
    try:
        writer.write(
            f"POST {_PATH} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await reader.readuntil(b"\r\n")
        yield reader, int(head.split()[1])
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _print(found: Siege) -> None:
    rows = [
        (name, str(each.probes), f"{1000 * each.median:.1f}", f"{1000 * each.longest:.1f}")
        for name, each in (("quiet", found.quiet), ("under attack", found.under_attack))
    ]
    print_table(("others", "probes", "median ms", "longest ms"), rows)
    told = ", ".join(f"{count} of {status}" for status, count in sorted(found.statuses.items()))
    print(f"answers by status: {told}; after {found.seconds:.1f} s")
    print(f"memory: {found.idle_mib:.0f} MiB before, {found.peak_mib:.0f} MiB at the most")


if __name__ == "__main__":
    sys.exit(main())

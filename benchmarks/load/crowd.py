"""What happens when far more ask for speech at once than the machine can carry.

    python -m cosyserve.benchmarks.load.crowd --streams 1000

First it looks for what the machine carries: the most streams, asked for at once of a server that refuses
nobody, whose listeners hear the first sound within a second and no gap, but for one in a hundred. Then the
whole crowd asks a server with its defaults, several times: how many it takes, how continuous they are, how
soon and how honestly it refuses the others, and how it is afterwards. It starts its own servers, with the
embedded voice. Needs Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

import uvloop

from cosyserve.clients import Client
from cosyserve.clients.cli.tables import print_table

from ..report import conditions, milliseconds, write_report
from ..stats import Summary, summarize
from ..texts import SENTENCES
from .launch import LaunchedServer, ServerDidNotStart, launched_server
from .listener import BareListener, connected
from .wire import metrics

TEXT: Final = " ".join(SENTENCES[:2])
"""About 8 s of speech."""
CONTINUOUS: Final = 0.99
"""The share of listeners that are served well."""
_IN_TIME: Final = 1.0  # seconds to the first sound of such a listener
_SOON: Final = 0.1  # seconds to the first sound of a server that has recovered
_PROBES: Final = 0.1  # seconds between two of them
_LONGEST: Final = 90.0  # seconds that a crowd is given
_TOKENS: Final = 8
_SECRET: Final = "secret-of-token-"
_OPENING: Final = 100  # connections that are opened at the same time
_NARROW: Final = 0.03  # the capacity is known to this part of it


@dataclass(frozen=True, slots=True)
class Crowd:
    """How it went for one crowd.

    streams: that asked. continuous: the share of those that were taken and heard no gap of over 100 ms.
    failed: ended otherwise. first_sound: seconds, of those that were taken. refused_after: seconds from
    run-task to its task-failed, at the client. refused_soon: the share of these that the server, by its own
    clock, answered within 0.1 s of reading the run-task. retried, retaken: refused streams that asked again
    after the seconds that they were told, and how many of these were taken. recovered: seconds from the last
    sound to the first of a new task within 100 ms of its text. memory: MiB of the server with its workers.
    """

    streams: int
    taken: int
    continuous: float
    failed: int
    seconds: float
    first_sound: Summary | None
    refused_after: Summary | None
    refused_soon: float | None
    retried: int
    retaken: int
    recovered: float
    memory_mib: float


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m cosyserve.benchmarks.load.crowd",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--streams", type=int, default=1000, help="that ask (default: 1000)")
    parser.add_argument("--rounds", type=int, default=3, help="crowds one by one (default: 3)")
    parser.add_argument("--voice", help="of the embedded engine (default: its first)")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for the JSON")
    options = parser.parse_args(argv)
    around = conditions()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            capacity, crowds = runner.run(_measure(options))
    except (ServerDidNotStart, OSError) as error:
        print(f"crowd: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"this machine carries {capacity} streams at once")
    print_table(HEAD, [row(crowd, capacity) for crowd in crowds])
    content = {**around, "capacity": capacity, "crowds": [asdict(crowd) for crowd in crowds]}
    print(f"wrote {write_report(options.out, 'crowd', content)}")
    return 0


async def _measure(options: argparse.Namespace) -> tuple[int, list[Crowd]]:
    most = options.streams
    tokens = [f"--token=t{number}={_SECRET}{number}" for number in range(_TOKENS)]
    limits = (f"--max-tasks={most + 8}", f"--max-tasks-per-token={most + 8}")
    quiet = (*tokens, *limits, "--log-level=warning")
    async with launched_server(*quiet, "--max-realtime-share=none") as server:
        voice = options.voice or await _first_voice(server.url)
        await ask(server, voice, 1)
        capacity = await carried(server, voice, most)
    async with launched_server(*quiet) as server:
        await asyncio.sleep(1)  # it tries itself out
        crowds = []
        for number in range(options.rounds):
            print(f"crowd {number + 1} ...", file=sys.stderr, flush=True)
            crowds.append(await crowd(server, voice, most))
    return capacity, crowds


async def carried(server: LaunchedServer, voice: str, most: int) -> int:
    """The most streams at once, up to `most`, that are served well but for one in a hundred."""
    fits, too_many = 1, most + 1
    while too_many - fits > max(1, _NARROW * fits):
        streams = (fits + too_many) // 2
        listeners = await ask(server, voice, streams)
        well = [each.continuous and each.first_sound <= _IN_TIME for each in listeners]
        share = sum(well) / streams
        print(f"{streams} streams: {share:.1%} served well", file=sys.stderr, flush=True)
        if share >= CONTINUOUS:
            fits = streams
        else:
            too_many = streams
    return fits


async def crowd(server: LaunchedServer, voice: str, streams: int) -> Crowd:
    """Let so many ask at once, and the refused ones again when they were told to."""
    began, (soon_before, before) = perf_counter(), await _refusals(server.url)
    listeners = await ask(server, voice, streams)
    soon, refusals = await _refusals(server.url)
    recovered = await _recovery(server, voice)
    taken = [each for each in listeners if each.finished]
    refused = [each for each in listeners if each.retry_after is not None]
    retried = await _again(server, voice, refused)
    return Crowd(
        streams=streams,
        taken=len(taken),
        continuous=sum(each.continuous for each in taken) / len(taken) if taken else 0.0,
        failed=streams - len(taken) - len(refused),
        seconds=perf_counter() - began,
        first_sound=summarize([each.first_sound for each in taken]),
        refused_after=summarize([each.answered for each in refused]),
        refused_soon=(soon - soon_before) / (refusals - before) if refusals > before else None,
        retried=len(retried),
        retaken=sum(each.finished for each in retried),
        recovered=recovered,
        memory_mib=server.memory_kib / 1024,
    )


async def ask(server: LaunchedServer, voice: str, streams: int) -> list[BareListener]:
    """Connect so many, let all of them ask at the same moment, and wait until each has its last word."""
    listeners: list[BareListener] = []
    for begin in range(0, streams, _OPENING):
        some = range(begin, min(begin + _OPENING, streams))
        listeners += await asyncio.gather(*(_connected(server, number) for number in some))
    for listener in listeners:
        listener.ask(voice, TEXT)
    async with asyncio.timeout(_LONGEST):
        for listener in listeners:
            await listener.over.wait()
    for listener in listeners:
        listener.close()
    return listeners


async def _connected(server: LaunchedServer, number: int) -> BareListener:
    return await connected(server.url, f"{_SECRET}{number % _TOKENS}")


async def _again(
    server: LaunchedServer, voice: str, refused: Sequence[BareListener]
) -> list[BareListener]:
    """New listeners for these, each of which asks when the one before was told to, from now on."""

    async def one(number: int, before: BareListener) -> BareListener:
        assert before.retry_after is not None
        listener = await _connected(server, number)
        await asyncio.sleep(before.retry_after)
        listener.ask(voice, TEXT)
        async with asyncio.timeout(_LONGEST):
            await listener.over.wait()
        listener.close()
        return listener

    return await asyncio.gather(*(one(*each) for each in enumerate(refused)))


async def _refusals(url: str) -> tuple[float, float]:
    """WebSocket tasks refused so far: within 0.1 s of their arrival, and in all."""
    name, soon, refusals = "cosyserve_task_refusal_seconds", 0.0, 0.0
    for sample, labels, value in await metrics(url):
        if sample == f"{name}_count":
            refusals += value
        elif sample == f"{name}_bucket" and 'le="0.1"' in labels:
            soon += value
    return soon, refusals


async def _first_voice(url: str) -> str:
    async with Client(url, token=f"{_SECRET}0") as client:
        return (await client.voices())[0].id


async def _recovery(server: LaunchedServer, voice: str) -> float:
    """Seconds until a new task has its first sound soon."""
    began = perf_counter()
    while True:
        (listener,) = await ask(server, voice, 1)
        soon = listener.finished and listener.first_sound < _SOON
        if soon or perf_counter() - began > _LONGEST:
            return listener.asked_at - began
        await asyncio.sleep(_PROBES)


HEAD = (
    "streams", "taken", "of capacity", "continuous", "failed", "first sound p50", "p99 ms",
    "refused p50", "p99 ms", "in 0.1 s", "retaken", "recovered s", "MiB",
)  # fmt: skip


def row(found: Crowd, capacity: int) -> tuple[str, ...]:
    """A crowd as a row under HEAD."""
    return (
        str(found.streams),
        str(found.taken),
        f"{found.taken / capacity:.0%}",
        f"{found.continuous:.1%}",
        str(found.failed),
        *_times(found.first_sound),
        *_times(found.refused_after),
        "-" if found.refused_soon is None else f"{found.refused_soon:.1%}",
        f"{found.retaken} of {found.retried}",
        f"{found.recovered:.1f}",
        f"{found.memory_mib:.0f}",
    )


def _times(found: Summary | None) -> tuple[str, str]:
    return ("-", "-") if found is None else (milliseconds(found.p50), milliseconds(found.p99))


if __name__ == "__main__":
    sys.exit(main())

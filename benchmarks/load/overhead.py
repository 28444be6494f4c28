"""What the server itself adds: from a chunk that is ready in the engine to its bytes at a client.

The engine is a clock (timed_engine.py), the server runs in a process of its own, the clients in this
one, all on one machine. Needs Linux, where `time.perf_counter()` is the same in all processes.
"""

# Absolute imports, because this file can also be run by its path.
from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import uvloop

from cosyserve.benchmarks.load.bench import conditions, milliseconds, write_report
from cosyserve.benchmarks.load.timed_engine import VOICE, TimedEngine
from cosyserve.benchmarks.stats import Summary, summarize
from cosyserve.clients import Client, ClientError
from cosyserve.clients.cli.voices import format_table

PATIENCE = 60
"""Seconds that the server process has to start and to answer."""
WARM_UP = 3
"""Chunks at the start of each stream that do not count: all streams of a level start together."""


@dataclass(frozen=True, slots=True)
class Plan:
    """chunks of chunk_seconds of sound each per stream, one every interval seconds (0: flat out)."""

    streams: int
    chunks: int
    chunk_seconds: float
    interval: float
    transport: str


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
    runs = []
    try:
        for plan in _plans(options):
            print(f"{plan.streams} streams ...", file=sys.stderr, flush=True)
            runs.append(measure(plan))
    except (ClientError, EOFError, OSError) as error:
        print(f"overhead: {error or 'the server process died'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(format_table(HEAD, [row(run) for run in runs]))
    content = {**around, "runs": [asdict(run) for run in runs]}
    print(f"wrote {write_report(options.out, 'overhead', content)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="overhead.py", description=__doc__)
    parser.add_argument("--streams", default="1,100,500", help="levels, in turn")
    parser.add_argument("--seconds", type=float, default=10.0, help="of speech per stream")
    parser.add_argument("--chunk-seconds", type=float, default=0.2, help="of speech per chunk")
    parser.add_argument("--transport", choices=["binary", "base64"], default="binary")
    parser.add_argument("--flat-out-streams", type=int, default=8, help="0 leaves this run out")
    parser.add_argument("--flat-out-chunks", type=int, default=2000, help="per stream")
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    return parser


def _plans(options: argparse.Namespace) -> Iterator[Plan]:
    size, transport = options.chunk_seconds, options.transport
    chunks = max(WARM_UP + 1, round(options.seconds / size))
    for streams in map(int, options.streams.split(",")):
        yield Plan(streams, chunks, size, size, transport)
    if options.flat_out_streams:
        yield Plan(options.flat_out_streams, options.flat_out_chunks, size, 0.0, transport)


def measure(plan: Plan) -> Overhead:
    """Run a server with the timed engine, and the plan's streams against it."""
    with _server_process(plan) as pipe:
        url = _answer(pipe)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            began, own_cpu, server_cpu = perf_counter(), process_time(), _server_cpu(pipe)
            added = runner.run(_listen(plan, url))
            seconds = perf_counter() - began
            own_cpu, server_cpu = process_time() - own_cpu, _server_cpu(pipe) - server_cpu
    messages = plan.streams * plan.chunks
    return Overhead(
        plan,
        messages,
        seconds,
        summarize(added) if plan.interval else None,
        messages_per_core=messages / server_cpu,
        server_busy=server_cpu / seconds,
        client_busy=own_cpu / seconds,
    )


async def _listen(plan: Plan, url: str) -> list[float]:
    parts = await asyncio.gather(*(_stream(plan, url) for _ in range(plan.streams)))
    return [value for part in parts for value in part]


async def _stream(plan: Plan, url: str) -> list[float]:
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


def _server_cpu(pipe: Connection) -> float:
    pipe.send("cpu")
    return float(_answer(pipe))


def _answer(pipe: Connection) -> Any:
    """What the server process says. Raises EOFError if it has died, TimeoutError if it says nothing."""
    if not pipe.poll(PATIENCE):
        raise TimeoutError(f"the server process has said nothing for {PATIENCE} s")
    return pipe.recv()


@contextmanager
def _server_process(plan: Plan) -> Iterator[Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(plan, theirs))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(plan: Plan, pipe: Connection) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_until_closed(plan, pipe))


async def _serve_until_closed(plan: Plan, pipe: Connection) -> None:
    """Serve; answer each message on the pipe with the CPU seconds so far, until it is closed."""
    from cosyserve.server.app import serve
    from cosyserve.server.observe.logs import configure_logging
    from cosyserve.server.settings import load_settings

    configure_logging("warning", "console")
    engine = TimedEngine(plan.chunks, plan.chunk_seconds, plan.interval)
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            {
                "host": "127.0.0.1",
                "port": 0,
                "references": folder,
                "max_tasks": plan.streams + 1,
                "max_tasks_per_token": plan.streams + 1,
                "log_level": "warning",
            }
        )
        async with serve(settings, engine=engine) as server:
            pipe.send(server.url)
            while True:
                try:
                    await asyncio.to_thread(pipe.recv)
                except EOFError:
                    return
                pipe.send(process_time())


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
    """A run as a line under HEAD."""
    added = run.added
    return (
        str(run.plan.streams),
        "real time" if run.plan.interval else "flat out",
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

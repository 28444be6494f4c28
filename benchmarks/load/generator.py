"""The load generator: processes that start their streams together, and the records of all of them."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from time import perf_counter, process_time
from typing import Final

import uvloop

from .streams import LoadPlan, TaskRecord, run_streams

STREAMS_PER_PROCESS: Final = 64
START_TIMEOUT: Final = 300.0
"""Seconds for all processes to connect and warm up."""


class GeneratorFailed(Exception):
    """A process of the load generator died, and its records are lost."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """The records of all tasks, and the wall time that they took (s).

    busiest: share of a core that the busiest process used. Near 1, the load generator itself is the
    bottleneck: use more processes or another machine.
    """

    records: list[TaskRecord]
    seconds: float
    busiest: float
    processes: int


def default_processes(streams: int) -> int:
    """One per 64 streams, as far as there are cores for them."""
    wanted = -(-streams // STREAMS_PER_PROCESS)
    return max(1, min(wanted, len(os.sched_getaffinity(0))))


def run_load(plan: LoadPlan, streams: int, processes: int) -> LoadResult:
    """Run `streams` streams in so many processes. Raises GeneratorFailed."""
    shares = [range(number, streams, processes) for number in range(min(processes, streams))]
    alone = len(shares) == 1
    parts = [_run_share(plan, shares[0], None)] if alone else _run_processes(plan, shares)
    records = [record for part in parts for record in part.records]
    return LoadResult(
        records,
        seconds=max(part.seconds for part in parts),
        busiest=max(part.busiest for part in parts),
        processes=len(shares),
    )


def _run_share(plan: LoadPlan, streams: Sequence[int], barrier: Barrier | None) -> LoadResult:
    began = (perf_counter(), process_time())

    async def ready() -> None:
        nonlocal began
        if barrier is not None:
            await asyncio.to_thread(barrier.wait, START_TIMEOUT)
        began = (perf_counter(), process_time())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        records = runner.run(run_streams(plan, streams, ready))
    seconds = perf_counter() - began[0]
    return LoadResult(records, seconds, (process_time() - began[1]) / seconds, 1)


def _run_processes(plan: LoadPlan, shares: Sequence[Sequence[int]]) -> list[LoadResult]:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(shares))
    pipes, processes = [], []
    try:
        for share in shares:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_child, args=(plan, share, barrier, theirs))
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
        return [_result(pipe, barrier) for pipe in pipes]
    finally:
        for process in processes:
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()
        for pipe in pipes:
            pipe.close()


def _child(plan: LoadPlan, share: Sequence[int], barrier: Barrier, pipe: Connection) -> None:
    # An interrupt goes to all processes of the terminal; the first one reports it.
    with suppress(KeyboardInterrupt):
        pipe.send(_run_share(plan, share, barrier))
    pipe.close()


def _result(pipe: Connection, barrier: Barrier) -> LoadResult:
    try:
        result = pipe.recv()
    except EOFError:
        barrier.abort()
        raise GeneratorFailed("a process of the load generator died") from None
    assert isinstance(result, LoadResult)
    return result

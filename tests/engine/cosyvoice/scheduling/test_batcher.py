"""Whose hop is next: a stand-in computes, the scheduling is the real one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import numpy as np
import pytest

from cosyserve.engine.cosyvoice.scheduling.batcher import LM_PRIORITY, Batcher, SharedThread
from cosyserve.engine.cosyvoice.scheduling.chunker import Hop
from cosyserve.engine.cosyvoice.scheduling.hops import HopJob, HopResult, HopRunner, UtteranceHops
from cosyserve.engine.interface import EngineDied, EngineError

FAR = 1e9


class Runner:
    """Writes down its batches; the first one waits for `gate`."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.fails: set[str] = set()

    def run(self, jobs: Sequence[HopJob]) -> list[HopResult | EngineError]:
        self.begun.set()
        self.gate.wait(20)
        self.batches.append([name_of(job) for job in jobs])
        return [
            EngineDied("no") if name_of(job) in self.fails else HopResult(np.ones(3, np.float32))
            for job in jobs
        ]


async def turns() -> None:
    """Let the event loop do all that it can without waiting."""
    for _ in range(10):
        await asyncio.sleep(0)


def name_of(job: HopJob) -> str:
    return cast(str, job.utterance)


class Bench:
    def __init__(self, batcher: Batcher, thread: SharedThread, runner: Runner) -> None:
        self.batcher = batcher
        self.thread = thread
        self.runner = runner
        self.done: list[str] = []
        self.failed: list[str] = []
        self.changed = asyncio.Event()

    def submit(self, name: str, deadline: float = 0.0, tokens: int = 25) -> HopJob:
        job = HopJob(
            utterance=cast(UtteranceHops, name),
            hop=Hop(tuple(range(tokens)), early=False, final=False),
            asked=asyncio.get_running_loop().time(),
            deadline=deadline,
            done=lambda result: self._note(self.done, name),
            failed=lambda error: self._note(self.failed, name),
        )
        self.batcher.submit(job)
        return job

    def _note(self, to: list[str], name: str) -> None:
        to.append(name)
        self.changed.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.done) + len(self.failed) < count:
                self.changed.clear()
                await self.changed.wait()

    async def block(self) -> None:
        """Have the device busy with a hop of its own, so that others gather."""
        self.submit("block")
        await asyncio.to_thread(self.runner.begun.wait, 20)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    thread, runner = SharedThread("cpu"), Runner()
    batcher = Batcher(thread, max_batch=3)
    await batcher.start(lambda: cast(HopRunner, runner))
    yield Bench(batcher, thread, runner)
    runner.gate.set()
    await batcher.stop()
    await thread.close()


async def test_the_earliest_deadlines_go_first_and_together(bench: Bench) -> None:
    await bench.block()
    for name, deadline in (("d", 4.0), ("b", 2.0), ("a", 1.0), ("c", 3.0)):
        bench.submit(name, deadline)
    bench.runner.gate.set()
    await bench.until(5)
    assert bench.runner.batches == [["block"], ["a", "b", "c"], ["d"]]
    assert (bench.batcher.counts.batches, bench.batcher.counts.rows) == (3, 5)


async def test_nobody_urgent_waits_for_a_long_hop(bench: Bench) -> None:
    await bench.block()
    bench.submit("urgent", 1.0, tokens=25)
    bench.submit("long", 2.0, tokens=100)
    bench.submit("short", 3.0, tokens=18)
    bench.runner.gate.set()
    await bench.until(4)
    assert bench.runner.batches[1:] == [["urgent", "short"], ["long"]]


async def test_a_cancelled_hop_is_not_computed(bench: Bench) -> None:
    await bench.block()
    bench.batcher.cancel(bench.submit("a"))
    bench.submit("b")
    bench.runner.gate.set()
    await bench.until(2)
    assert bench.runner.batches == [["block"], ["b"]]
    assert bench.done == ["block", "b"]


async def test_the_result_of_a_hop_cancelled_while_it_runs_is_dropped(bench: Bench) -> None:
    job = bench.submit("a")
    await asyncio.to_thread(bench.runner.begun.wait, 20)
    bench.batcher.cancel(job)
    bench.runner.gate.set()
    bench.submit("b")
    await bench.until(1)
    assert bench.done == ["b"]


async def test_a_failure_is_its_own_only(bench: Bench) -> None:
    bench.runner.fails.add("b")
    await bench.block()
    bench.submit("a")
    bench.submit("b")
    bench.runner.gate.set()
    await bench.until(3)
    assert (bench.done, bench.failed) == (["block", "a"], ["b"])
    assert bench.batcher.counts.failed == 1


async def test_a_far_hop_waits_for_the_tokens_of_a_listener_who_waits(bench: Bench) -> None:
    bench.runner.gate.set()
    step, begun = threading.Event(), threading.Event()

    def lm_step() -> None:
        begun.set()
        step.wait(20)

    bench.batcher.needs_tokens("new session", 0.0)
    running: asyncio.Future[Any] = bench.thread.submit(lm_step, LM_PRIORITY)
    await asyncio.to_thread(begun.wait, 20)
    bench.submit("later", FAR)
    await turns()
    assert bench.batcher.waiting == 1
    bench.submit("now", 0.0)
    await turns()
    assert bench.batcher.waiting == 0
    step.set()
    await running
    await bench.until(2)
    assert sorted(bench.done) == ["later", "now"]


async def test_it_goes_at_once_when_the_tokens_have_come(bench: Bench) -> None:
    step = threading.Event()
    bench.runner.gate.set()
    bench.batcher.needs_tokens("new session", 0.0)
    running: asyncio.Future[Any] = bench.thread.submit(lambda: step.wait(20), LM_PRIORITY)
    bench.submit("later", FAR)
    await turns()
    assert bench.batcher.waiting == 1
    bench.batcher.needs_tokens("new session", None)
    await turns()
    assert bench.batcher.waiting == 0
    step.set()
    await running
    await bench.until(1)


async def test_what_waits_fails_when_the_engine_stops(bench: Bench) -> None:
    await bench.block()
    bench.submit("a")
    stopping = asyncio.create_task(bench.batcher.stop())
    await asyncio.sleep(0)
    bench.runner.gate.set()
    await stopping
    assert (bench.done, bench.failed) == (["block"], ["a"])
    await bench.batcher.stop()

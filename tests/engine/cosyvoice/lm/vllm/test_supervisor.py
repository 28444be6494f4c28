"""Engines that die and are built again, on a clock that is set by hand."""

from __future__ import annotations

import asyncio
import logging
from itertools import pairwise

import pytest

from cosyserve.engine.cosyvoice.lm.vllm.supervisor import Backoff, RestartPolicy, Supervisor
from cosyserve.engine.interface import EngineNotReady

POLICY = RestartPolicy(
    first_delay=1.0, longest_delay=8.0, stable=100.0, breaker_failures=6, breaker_window=1000.0
)


def test_the_first_death_is_answered_at_once_and_then_ever_later() -> None:
    backoff = Backoff(POLICY)
    backoff.up(0.0)
    assert [backoff.failed(float(t)) for t in range(5)] == [0.0, 1.0, 2.0, 4.0, 8.0]
    assert backoff.in_a_row == 5
    assert not backoff.breaker_open


def test_a_stable_engine_clears_the_account() -> None:
    backoff = Backoff(POLICY)
    for t in range(6):
        delay = backoff.failed(float(t))
    assert backoff.breaker_open
    assert delay == 8.0
    backoff.up(10.0)
    assert backoff.failed(109.0) == 8.0  # it lived too short
    backoff.up(200.0)
    assert backoff.failed(300.0) == 0.0
    assert not backoff.breaker_open


def test_rare_deaths_do_not_open_the_breaker() -> None:
    backoff = Backoff(POLICY)
    for i in range(50):
        backoff.up(i * 300.0)
        assert backoff.failed(i * 300.0 + 50.0) <= 8.0
    assert not backoff.breaker_open


def test_the_breaker_never_lets_it_be_tried_sooner_than_at_the_longest_interval() -> None:
    backoff = Backoff(POLICY)
    now, starts = 0.0, []
    for _ in range(40):
        now += backoff.failed(now)
        starts.append(now)
    gaps = [later - sooner for sooner, later in pairwise(starts[6:])]
    assert set(gaps) == {8.0}


class FakeEngine:
    def __init__(self) -> None:
        self.dead = asyncio.Event()
        self.failed = 0
        self.closed = 0

    async def died(self) -> None:
        await self.dead.wait()

    def fail(self) -> None:
        self.failed += 1

    async def close(self) -> None:
        self.closed += 1


class Bench:
    """A supervisor whose engines, clock and sleeps are in the test's hands."""

    def __init__(self) -> None:
        self.engines: list[FakeEngine] = []
        self.slept: list[float] = []
        self.now = 0.0
        self.broken: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.building = 0
        self.supervisor = Supervisor(self.build, POLICY, clock=lambda: self.now, sleep=self.sleep)

    async def build(self) -> FakeEngine:
        assert all(engine.closed for engine in self.engines), "two engines at once"
        self.building += 1
        await self.gate.wait()
        self.building -= 1
        if self.broken:
            raise self.broken.pop()
        self.engines.append(FakeEngine())
        return self.engines[-1]

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    async def settle(self, turns: int = 50) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_a_dead_engine_is_cleared_away_and_replaced(bench: Bench) -> None:
    await bench.supervisor.start()
    first = bench.supervisor.need()
    bench.gate.clear()
    first.dead.set()
    await bench.settle()
    assert (first.failed, first.closed) == (1, 1)
    assert bench.supervisor.current is None
    with pytest.raises(EngineNotReady, match="started again"):
        bench.supervisor.need()
    bench.gate.set()
    await bench.settle()
    assert bench.supervisor.need() is bench.engines[1]
    assert bench.slept == [0.0]
    counts = bench.supervisor.counts
    assert (counts.deaths, counts.rebuilds, counts.failed_starts) == (1, 1, 0)
    await bench.supervisor.stop()
    assert bench.engines[1].closed == 1
    with pytest.raises(EngineNotReady, match="not running"):
        bench.supervisor.need()


async def test_what_does_not_start_is_tried_later_and_later(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.supervisor.start()
    bench.broken = [RuntimeError("no memory")] * 7
    with caplog.at_level(logging.ERROR):
        bench.engines[0].dead.set()
        await bench.settle(500)
    assert bench.supervisor.current is bench.engines[1]
    assert bench.slept == [0.0, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0]
    assert bench.supervisor.breaker_open
    assert bench.supervisor.failures_in_a_row == 8
    assert bench.supervisor.counts.failed_starts == 7
    again = [record for record in caplog.records if "again and again" in record.message]
    assert len(again) == 1
    await bench.supervisor.stop()


async def test_the_first_start_is_not_tried_again(bench: Bench) -> None:
    bench.broken = [EngineNotReady("no such model")]
    with pytest.raises(EngineNotReady, match="no such model"):
        await bench.supervisor.start()
    await bench.supervisor.stop()
    await bench.supervisor.start()
    await bench.supervisor.stop()


async def test_stopping_while_it_is_rebuilt_leaves_nothing(bench: Bench) -> None:
    await bench.supervisor.start()
    bench.gate.clear()
    bench.engines[0].dead.set()
    await bench.settle()
    assert bench.building == 1
    stopping = asyncio.create_task(bench.supervisor.stop())
    await bench.settle()
    assert not stopping.done()  # the build runs in a thread, which cannot be stopped
    bench.gate.set()
    await stopping
    assert [(engine.failed, engine.closed) for engine in bench.engines] == [(1, 1), (1, 1)]
    assert bench.supervisor.current is None


async def test_stopping_does_not_wait_for_the_next_try() -> None:
    made: list[FakeEngine] = []

    async def build() -> FakeEngine:
        if made:
            raise RuntimeError("no memory")
        made.append(FakeEngine())
        return made[0]

    slept = asyncio.Event()

    async def sleep(seconds: float) -> None:
        if seconds:
            slept.set()
            await asyncio.Event().wait()

    supervisor = Supervisor(build, POLICY, sleep=sleep)
    await supervisor.start()
    made[0].dead.set()
    await slept.wait()
    async with asyncio.timeout(5):
        await supervisor.stop()
    assert supervisor.counts.failed_starts == 1


async def test_an_engine_that_cannot_be_cleared_away_is_replaced_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.supervisor.start()
    first = bench.supervisor.need()

    async def close() -> None:
        first.closed += 1
        raise OSError("stuck")

    monkeypatch.setattr(first, "close", close)
    first.dead.set()
    await bench.settle()
    assert bench.supervisor.need() is bench.engines[1]
    await bench.supervisor.stop()


async def test_start_and_stop_twice(bench: Bench) -> None:
    await bench.supervisor.start()
    await bench.supervisor.start()
    assert len(bench.engines) == 1
    await bench.supervisor.stop()
    await bench.supervisor.stop()
    assert bench.engines[0].failed == 1
    await bench.supervisor.start()
    assert len(bench.engines) == 2
    await bench.supervisor.stop()

"""One computation per key, whoever asks, whoever leaves."""

from __future__ import annotations

import asyncio

import pytest

from cosyserve.engine.single_flight import SingleFlight


class Work:
    """Counts its beginnings, and goes on when it is let."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = 0
        self.gate = asyncio.Event()
        self.error = error

    async def __call__(self) -> int:
        self.begun += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.begun


async def turn() -> None:
    await asyncio.sleep(0)


async def test_callers_of_one_key_share_the_work() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work, other = Work(), Work()
    callers = [asyncio.create_task(flights.run("a", work)) for _ in range(3)]
    callers.append(asyncio.create_task(flights.run("b", other)))
    await turn()
    assert "a" in flights
    assert "c" not in flights
    work.gate.set()
    other.gate.set()
    assert await asyncio.gather(*callers) == [1, 1, 1, 1]
    assert (work.begun, other.begun) == (1, 1)
    assert "a" not in flights


async def test_nothing_is_remembered() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work()
    work.gate.set()
    assert [await flights.run("a", work), await flights.run("a", work)] == [1, 2]


async def test_a_caller_that_leaves_does_not_end_the_work() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work()
    leaving, staying = (asyncio.create_task(flights.run("a", work)) for _ in range(2))
    await turn()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    work.gate.set()
    assert await staying == 1


async def test_a_failure_goes_to_all_who_wait() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work(ValueError("no"))
    callers = [asyncio.create_task(flights.run("a", work)) for _ in range(2)]
    await turn()
    work.gate.set()
    found = await asyncio.gather(*callers, return_exceptions=True)
    assert [str(error) for error in found] == ["no", "no"]


async def test_work_without_callers_goes_on_and_is_waited_for() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work(ValueError("nobody hears this"))
    caller = asyncio.create_task(flights.run("a", work))
    await turn()
    caller.cancel()
    settled = asyncio.create_task(flights.settled())
    await turn()
    assert not settled.done()
    work.gate.set()
    await settled
    assert "a" not in flights

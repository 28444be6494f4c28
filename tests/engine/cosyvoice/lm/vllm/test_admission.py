"""Who may enter vLLM: order, cancellation, the end of an engine, and places called back."""

from __future__ import annotations

import asyncio
import random
from functools import partial

import pytest

from cosyserve.engine.cosyvoice.lm import LmTooLong
from cosyserve.engine.cosyvoice.lm.vllm.admission import KvBudget, KvCapacity, KvLease
from cosyserve.engine.interface import EngineDied

CAPACITY = KvCapacity(blocks=10, block_tokens=32, slots=4)
LONG = 3600.0


def tokens(blocks: int) -> int:
    """As many as just fit into so many blocks."""
    return blocks * 32 - 1


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_blocks_are_counted_whole_and_with_one_place_to_spare() -> None:
    assert [CAPACITY.needed(n) for n in (1, 31, 32, 63, 64)] == [1, 1, 2, 2, 3]


async def test_what_could_never_fit_is_refused() -> None:
    budget = KvBudget(CAPACITY)
    with pytest.raises(LmTooLong):
        await budget.reserve(tokens(11))
    lease = await budget.reserve(tokens(10))
    assert (budget.free_blocks, budget.streams) == (0, 1)
    lease.release()
    lease.release()
    assert (budget.free_blocks, budget.streams) == (10, 0)


async def test_slots_are_counted_too() -> None:
    budget = KvBudget(CAPACITY)
    leases = [await budget.reserve(1) for _ in range(4)]
    fifth = asyncio.create_task(budget.reserve(1))
    await settle()
    assert not fifth.done()
    assert budget.counts.waited == 1
    leases[0].release()
    assert (await fifth).blocks == 1


async def test_first_come_first_served_even_if_a_later_one_would_fit() -> None:
    budget = KvBudget(CAPACITY)
    held = await budget.reserve(tokens(8))
    order: list[str] = []

    async def come(name: str, blocks: int, first: bool = False) -> KvLease:
        lease = await budget.reserve(tokens(blocks), first=first)
        order.append(name)
        return lease

    tasks = [asyncio.create_task(come("large", 4)), asyncio.create_task(come("small", 1))]
    await settle()
    assert order == []
    tasks.append(asyncio.create_task(come("again", 4, first=True)))
    await settle()
    held.release()
    await asyncio.gather(*tasks)
    assert order == ["again", "large", "small"]


async def test_a_cancelled_waiter_holds_nothing_and_holds_up_nobody() -> None:
    budget = KvBudget(CAPACITY)
    held = await budget.reserve(tokens(8))
    large = asyncio.create_task(budget.reserve(tokens(4)))
    small = asyncio.create_task(budget.reserve(tokens(1)))
    await settle()
    large.cancel()
    await settle()
    assert small.done()
    held.release()
    (await small).release()
    assert (budget.free_blocks, budget.streams, budget.waiting) == (10, 0, 0)


async def test_a_place_given_in_the_turn_of_its_cancellation_is_given_back() -> None:
    budget = KvBudget(CAPACITY)
    held = await budget.reserve(tokens(10))
    waiter = asyncio.create_task(budget.reserve(tokens(10)))
    await settle()
    held.release()
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert (budget.free_blocks, budget.streams) == (10, 0)


async def test_shrinking_lets_the_next_one_in_and_growing_is_no_shrinking() -> None:
    budget = KvBudget(CAPACITY)
    held = await budget.reserve(tokens(8))
    waiter = asyncio.create_task(budget.reserve(tokens(5)))
    held.shrink(tokens(9))
    await settle()
    assert not waiter.done()
    held.shrink(tokens(5))
    assert (await waiter).blocks == 5
    held.release()
    assert budget.free_blocks == 5


async def test_the_engines_end_is_told_to_whoever_waits_and_whoever_comes() -> None:
    budget = KvBudget(CAPACITY)
    held = await budget.reserve(tokens(10))
    waiter = asyncio.create_task(budget.reserve(1))
    await settle()
    budget.close(EngineDied("gone"))
    with pytest.raises(EngineDied, match="gone"):
        await waiter
    with pytest.raises(EngineDied, match="gone"):
        await budget.reserve(1)
    held.park(lambda: None)
    held.release()


async def test_a_parked_stream_gives_way_to_those_who_wait() -> None:
    budget = KvBudget(CAPACITY, patience=0.0)
    recalled: list[int] = []
    leases: list[KvLease] = []
    called = asyncio.Event()

    def recall(i: int) -> None:
        recalled.append(i)
        called.set()

    def park(i: int) -> None:
        leases[i].park(partial(recall, i))

    for _ in range(4):
        leases.append(await budget.reserve(tokens(2)))
    for i in (2, 0, 1):
        park(i)
    waiter = asyncio.create_task(budget.reserve(tokens(3)))
    await called.wait()
    await settle()
    assert recalled == [2]  # the longest parked, and no more than are needed
    assert not waiter.done()  # its abort is under way
    leases[2].release()
    assert (await waiter).blocks == 3
    assert budget.counts.recalled == 1


async def test_a_stream_that_speaks_is_never_called_back() -> None:
    budget = KvBudget(CAPACITY, patience=0.0)
    recalled: list[str] = []
    speaking = await budget.reserve(tokens(5))
    parked = await budget.reserve(tokens(5))
    speaking.park(lambda: recalled.append("speaking"))
    speaking.unpark()
    waiter = asyncio.create_task(budget.reserve(tokens(1)))
    await settle()
    parked.park(lambda: (recalled.append("parked"), parked.release())[0])
    await waiter
    assert recalled == ["parked"]


async def test_patience() -> None:
    budget = KvBudget(CAPACITY, patience=LONG)
    held = await budget.reserve(tokens(10))
    held.park(lambda: pytest.fail("too early"))
    waiter = asyncio.create_task(budget.reserve(1))
    await settle()
    assert not waiter.done()
    assert (budget.parked, budget.waiting) == (1, 1)
    waiter.cancel()
    budget.close()


@pytest.mark.parametrize("seed", range(5))
async def test_everybody_speaks_in_the_end_whoever_parks_or_gives_up(seed: int) -> None:
    """Streams that park for ever, unless they are called back, cannot keep the others out."""
    random_ = random.Random(seed)
    budget = KvBudget(CAPACITY, patience=0.0)
    spoken: set[int] = set()

    async def stream(i: int) -> None:
        lease = await budget.reserve(random_.randrange(1, tokens(10)))
        assert budget.free_blocks >= 0
        assert budget.streams <= CAPACITY.slots
        await asyncio.sleep(0)
        if i % 3 == 0:
            called = asyncio.Event()
            lease.park(called.set)
            if i < 30:
                await called.wait()
                lease.release()
                lease = await budget.reserve(10, first=True)
        spoken.add(i)
        lease.release()

    tasks = [asyncio.create_task(stream(i)) for i in range(40)]
    await asyncio.sleep(0)
    for i in (5, 17, 31):
        tasks[i].cancel()
    keep = asyncio.create_task(_keep_asking(budget))
    await asyncio.gather(*tasks, return_exceptions=True)
    keep.cancel()
    await asyncio.gather(keep, return_exceptions=True)
    assert spoken >= set(range(40)) - {5, 17, 31}
    assert (budget.free_blocks, budget.streams, budget.waiting) == (10, 0, 0)


async def _keep_asking(budget: KvBudget) -> None:
    """Others who want a place, so that the last parked ones are called back too."""
    while True:
        (await budget.reserve(tokens(10))).release()
        await asyncio.sleep(0)

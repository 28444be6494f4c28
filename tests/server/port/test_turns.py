import asyncio
from functools import partial

from cosyserve.server.port.turns import HEADS_PER_TURN, HeadTurns


async def test_a_few_heads_have_a_turn_and_all_keep_their_order() -> None:
    turns, acted = HeadTurns(asyncio.get_running_loop()), list[int]()
    at_once = [turns.enter(partial(acted.append, n)) for n in range(2 * HEADS_PER_TURN + 1)]
    assert at_once == [True] * HEADS_PER_TURN + [False] * (HEADS_PER_TURN + 1)
    for end in (HEADS_PER_TURN, 2 * HEADS_PER_TURN, 2 * HEADS_PER_TURN + 1):
        assert acted == list(range(end))
        await asyncio.sleep(0)


async def test_a_head_in_line_goes_before_one_that_comes_later() -> None:
    turns, acted = HeadTurns(asyncio.get_running_loop()), list[int]()
    for n in range(HEADS_PER_TURN + 2):
        turns.enter(partial(acted.append, n))
    await asyncio.sleep(0)  # room is left in this turn
    assert turns.enter(partial(acted.append, -1))
    assert acted == [*range(HEADS_PER_TURN + 2), -1]


async def test_a_turn_without_a_head_leaves_nothing_to_run() -> None:
    turns = HeadTurns(asyncio.get_running_loop())
    for _ in range(3):
        assert turns.enter(lambda: None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert turns._next is None

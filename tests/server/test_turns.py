"""Turns: so many in each round of the event loop, in rotation."""

from __future__ import annotations

import asyncio
from functools import partial

from cosyserve.server.turns import Turns


async def test_what_is_ready_comes_between_two_turns() -> None:
    turns, order = Turns(1), list[str]()
    loop = asyncio.get_running_loop()

    def begin(name: str) -> None:
        order.append(name)
        loop.call_soon(order.append, f"sound of {name}")

    for name in "abc":
        turns.enter("the same", partial(begin, name))
    for _ in range(4):
        await asyncio.sleep(0)
    assert order == ["a", "b", "sound of a", "c", "sound of b", "sound of c"]


async def test_turns_are_awaited_in_the_order_in_which_they_are_taken() -> None:
    turns, order = Turns(1), list[str]()

    async def begin(name: str) -> None:
        await turns.take("the same")
        order.append(name)

    await asyncio.gather(*(begin(name) for name in "abc"))
    assert order == [*"abc"]


async def test_who_leaves_does_not_hold_up_the_others() -> None:
    turns = Turns(1)
    first, second, third, fourth = (asyncio.create_task(turns.take("")) for _ in range(4))
    await asyncio.sleep(0)
    second.cancel()
    third.cancel()
    await fourth
    await turns.take("")
    assert (first.cancelled(), second.cancelled(), third.cancelled()) == (False, True, True)


async def test_a_few_have_a_turn_at_once_and_all_keep_their_order() -> None:
    turns, acted = Turns(8), list[int]()
    at_once = [turns.enter("", partial(acted.append, n)) for n in range(17)]
    assert at_once == [True] * 8 + [False] * 9
    for end in (8, 16, 17):
        assert acted == list(range(end))
        await asyncio.sleep(0)


async def test_one_in_line_goes_before_one_that_comes_later() -> None:
    turns, acted = Turns(8), list[int]()
    for n in range(10):
        turns.enter("", partial(acted.append, n))
    await asyncio.sleep(0)  # room is left in this round
    assert turns.enter("", partial(acted.append, -1))
    assert acted == [*range(10), -1]


async def test_those_who_ask_have_turns_in_rotation() -> None:
    turns, acted = Turns(1), list[str]()
    for who in ("a", "a", "a", "a", "b", "b", "c"):
        turns.enter(who, partial(acted.append, who))
    for _ in range(7):
        await asyncio.sleep(0)
    assert acted == ["a", "a", "b", "c", "a", "b", "a"]


async def test_a_round_without_a_turn_leaves_nothing_to_run() -> None:
    turns = Turns(8)
    for _ in range(3):
        assert turns.enter("", lambda: None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert turns._next is None

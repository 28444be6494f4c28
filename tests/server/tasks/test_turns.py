"""Turns: one in each round of the event loop."""

from __future__ import annotations

import asyncio

from cosyserve.server.tasks.turns import Turns


async def test_what_is_ready_comes_between_two_turns() -> None:
    turns, order = Turns(), list[str]()
    loop = asyncio.get_running_loop()

    async def begin(name: str) -> None:
        await turns.take()
        order.append(name)
        loop.call_soon(order.append, f"sound of {name}")

    await asyncio.gather(*(begin(name) for name in "abc"))
    assert order == ["a", "sound of a", "b", "sound of b", "c", "sound of c"]


async def test_who_leaves_does_not_hold_up_the_others() -> None:
    turns = Turns()
    first, second, third = (asyncio.create_task(turns.take()) for _ in range(3))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    await third
    await turns.take()
    assert first.cancelled()
    assert second.cancelled()

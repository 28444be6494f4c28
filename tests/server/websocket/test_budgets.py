"""Budgets of frames: of one connection, and of all connections of a token."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from cosyserve.server.websocket.budgets import BURST_SECONDS, Budget, TokenBudget
from cosyserve.server.websocket.intake import FRAMES_PER_TURN, SLICE
from support.peers.line import FRAME, Limits, Line, Loop
from support.peers.peers import Peer, message, run_task, text

from ..conftest import Served

TURN = FRAMES_PER_TURN + SLICE // FRAME + 1
"""Frames that one turn parses at most."""


def test_a_budget_tells_when_it_is_balanced_again() -> None:
    loop = Loop()
    budget = Budget(10, loop.time)
    budget.left -= round(10 * BURST_SECONDS)
    assert budget.wait() == 0
    budget.left -= 1
    assert budget.wait() == pytest.approx(0.1)
    loop.now += 0.1
    assert budget.wait() == 0
    assert budget.behind() == pytest.approx(0.1)
    loop.now += BURST_SECONDS
    budget.left -= 1
    assert budget.behind() == 0


def lines(count: int, *, control: bool) -> tuple[Loop, list[Line]]:
    """Connections of one token, with far more for each of them than for all."""
    loop = Loop()
    limits = Limits(1_000_000, 1_000_000, 1000, 1000)
    any_loop: Any = loop
    token = TokenBudget("alice", any_loop, limits)
    found = [Line(limits, loop, control=control) for _ in range(count)]
    for line in found:
        line.intake.share(token)
    return loop, found


def flood(line: Line) -> None:
    if line.reading:
        line.intake.take(bytes(FRAME * 1000))


@pytest.mark.parametrize("control", [False, True])
def test_connections_of_a_token_share_its_budget_evenly(control: bool) -> None:
    loop, found = lines(10, control=control)
    while loop.now < 20:
        for line in found:
            flood(line)
        loop.turn()
        parsed = [line.parsed for line in found]
        assert sum(parsed) <= 1000 * (BURST_SECONDS + loop.now) + TURN
    assert sum(parsed) >= 1000 * 20
    assert max(parsed) - min(parsed) <= 1000 * BURST_SECONDS + TURN  # the first ones had the burst
    assert not any(line.floods for line in found)


def test_one_that_seldom_sends_waits_for_one_turn_of_each_other() -> None:
    loop, (quiet, *floods) = lines(20, control=False)
    while loop.now < 5:
        for line in floods:
            flood(line)
        loop.turn()
    before = sum(line.parsed for line in floods)
    quiet.intake.take(bytes(FRAME))
    while not quiet.parsed:
        loop.turn()
        for line in floods:
            flood(line)
    assert sum(line.parsed for line in floods) - before <= len(floods) * TURN


def test_who_leaves_leaves_the_line() -> None:
    loop, found = lines(2, control=False)
    while any(line.reading for line in found):
        for line in found:
            flood(line)
    for line in found:
        line.intake.end()
    parsed = [line.parsed for line in found]
    while not loop.idle:
        loop.turn()
    assert [line.parsed for line in found] == parsed


async def test_a_token_that_floods_over_many_connections_is_held_and_others_are_not(
    served: Served,
) -> None:
    async with served(max_messages_per_second_per_token=25) as (server, engine):
        async with (
            Peer.of(server, engine) as alice,
            Peer.of(server, engine, "bob-secret") as bob,
            alice.socket() as first,
            alice.socket() as second,
            bob.socket() as other,
        ):
            with capture_logs() as logged:
                for socket in (first, second):
                    await socket.send(*(message("x", "flood") for _ in range(100)))
                await first.until("task-failed")
                await other.send(run_task("t"), text("finish-task", "t", "one"))
                await other.until("task-finished")
                assert server.services.budgets.of("alice").wait() > 0
                for socket in (first, second):  # a close would wait its turn
                    socket.raw.transport.abort()
    assert [line["caller"] for line in logged if line["event"] == "token_floods"] == ["alice"]

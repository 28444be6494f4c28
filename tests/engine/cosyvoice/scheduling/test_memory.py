"""Admission by bytes."""

from __future__ import annotations

import pytest

from cosyserve.engine.cosyvoice.flow import RECOMPUTE
from cosyserve.engine.cosyvoice.options import MemoryOverflow
from cosyserve.engine.cosyvoice.scheduling.memory import MemoryBudget, SessionCosts
from cosyserve.engine.interface import EngineBusy

COSTS = SessionCosts.of(
    token_bytes=10, chunk_tokens=25, expected_seconds=12.0, window_seconds=2.0
)  # exact 3000, window 1000, recompute 250


def book(budget: int, overflow: MemoryOverflow = "window") -> MemoryBudget:
    return MemoryBudget(budget, COSTS, overflow)


def test_a_session_that_fits_is_exact_and_its_end_makes_room() -> None:
    made = book(3000, "refuse")
    lease = made.admit(0)
    assert lease.policy.keeps_all
    assert made.leased == 3000
    with pytest.raises(EngineBusy):
        made.admit(0)
    made.close(lease)
    made.close(lease)
    assert made.admit(0).policy.keeps_all
    assert made.counts.refused == 1


def test_an_exact_session_takes_at_once_what_is_reserved_for_it() -> None:
    assert book(3000).admit(0).policy.room == 2 * 300


def test_what_a_session_keeps_besides_is_reserved_with_it() -> None:
    costs = SessionCosts.of(10, 25, 12.0, 2.0, fixed_bytes=7)
    assert (costs.exact, costs.window, costs.recompute) == (3007, 1007, 257)


def test_the_prompt_counts() -> None:
    with pytest.raises(EngineBusy):
        book(3000, "refuse").admit(1)


def test_beyond_the_budget_a_window() -> None:
    made = book(4500)
    made.admit(0)
    lease = made.admit(0)
    assert lease.policy.window == 100
    assert made.counts.windowed == 1
    with pytest.raises(EngineBusy):
        made.admit(0)


def test_beyond_the_budget_recompute() -> None:
    made = book(3300, "recompute")
    made.admit(0)
    assert made.admit(0).policy == RECOMPUTE
    assert made.counts.recomputed == 1


def test_what_others_take_is_not_given_twice_but_may_be_freed() -> None:
    idle = [2000]

    def make_room(nbytes: int) -> None:
        idle[0] -= min(nbytes, idle[0])

    made = MemoryBudget(4000, COSTS, "refuse", lambda: idle[0], make_room)
    assert made.admit(0).policy.keeps_all
    assert idle == [1000]


def test_a_session_that_outgrows_its_share_is_narrowed_only_where_room_is_short() -> None:
    roomy, short = book(10_000), book(3000)
    lease = roomy.admit(0)
    assert roomy.must_narrow(lease, 5000) is None
    assert roomy.leased == 5000
    lease = short.admit(0)
    assert short.must_narrow(lease, 2900) is None
    policy = short.must_narrow(lease, 3100)
    assert policy is not None
    assert policy.window == 100
    assert lease.policy is policy
    assert short.must_narrow(lease, 3200) is None
    assert short.counts.narrowed == 1


@pytest.mark.parametrize("overflow", ["recompute", "refuse"])
def test_nothing_is_narrowed_without_a_window(overflow: MemoryOverflow) -> None:
    made = book(3000, overflow)
    assert made.must_narrow(made.admit(0), 9000) is None

"""How many tasks the engine keeps up with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.server.tasks.capacity import FIRST_SOUND, WINDOW, Capacity

AIM = 0.85
STEP = WINDOW / 25


class Machine:
    """An engine that makes so much speech per second, shared by the tasks that are let in.

    wanted: tasks that want to speak. capacity: takes note of what they wait.
    """

    def __init__(self, throughput: float, most: int = 1000, aim: float | None = AIM) -> None:
        self.now = 0.0
        self.throughput = throughput
        self.wanted = 0
        self.speaking = 0
        self.capacity = Capacity(aim, most, lambda: self.speaking, lambda: self.now)

    def run(self, wanted: int, seconds: float) -> None:
        """So many tasks want to speak: each has its speech as soon as the engine can make it."""
        end = self.now + seconds
        while self.now < end:
            room = min(wanted, int(self.capacity.limit))
            # They all begin at once, and end one after another.
            self.speaking = max(room, min(wanted, self.speaking) - 1)
            self.now += STEP
            for _ in range(self.speaking):
                self.capacity.spoke(STEP, STEP * self.throughput / self.speaking)


@pytest.mark.parametrize("throughput", [1.5, 3.0, 40.0, 400.0])
def test_a_busy_server_finds_what_it_carries(throughput: float) -> None:
    machine = Machine(throughput)
    machine.run(wanted=1000, seconds=60)
    assert 0.7 * throughput <= machine.capacity.limit <= max(1.0, throughput)


def test_a_machine_that_became_slower_takes_fewer_and_then_more_again() -> None:
    machine = Machine(100.0)
    machine.run(wanted=1000, seconds=30)
    machine.throughput = 20.0
    machine.run(wanted=1000, seconds=30)
    assert machine.capacity.limit <= 20
    machine.throughput = 100.0
    machine.run(wanted=1000, seconds=60)
    assert machine.capacity.limit >= 70


def test_one_that_is_not_kept_busy_takes_all_that_come() -> None:
    machine = Machine(400.0)
    machine.run(wanted=50, seconds=30)
    assert machine.speaking == 50


def test_a_moment_in_which_the_machine_stood_still_costs_little() -> None:
    machine = Machine(400.0)
    machine.capacity.calibrate(400.0)
    before = machine.capacity.limit
    machine.speaking = 1
    machine.now += 5 * WINDOW
    machine.capacity.spoke(waited=5 * WINDOW, seconds=1.0)
    assert machine.capacity.limit >= 0.7 * before


def test_one_task_is_always_taken() -> None:
    machine = Machine(0.1)
    machine.run(wanted=10, seconds=600)
    assert (machine.speaking, machine.capacity.limit) == (1, 1.0)


def test_without_an_aim_there_is_no_limit_but_the_setting() -> None:
    machine = Machine(1.0, most=20, aim=None)
    machine.capacity.calibrate(1.0)
    machine.run(wanted=50, seconds=30)
    assert (machine.speaking, machine.capacity.limit) == (20, 20.0)


def test_what_the_start_found_counts_until_more_is_known() -> None:
    capacity = Capacity(AIM, 500, lambda: 0)
    assert capacity.limit == 500
    capacity.calibrate(100.0)
    assert capacity.limit == pytest.approx(85 * 0.75)  # the rest is for sending
    assert capacity.beginnings == pytest.approx(85 * 0.75 * 2 / 3)
    capacity.calibrate(0.5)
    assert capacity.limit == 1
    capacity.calibrate(5000.0)
    assert capacity.limit == 500


@pytest.mark.parametrize("a_second", [20, 100, 300])
def test_so_many_begin_as_have_their_first_sound_within_moments(a_second: int) -> None:
    capacity = Capacity(AIM, 500, lambda: 0)
    for _ in range(60):
        crowd = int(capacity.beginnings)
        for number in range(1, crowd + 1):
            capacity.began(number, number / a_second)
    assert capacity.beginnings == pytest.approx(FIRST_SOUND * a_second, rel=0.1)


def test_what_few_tasks_wait_says_nothing_about_many() -> None:
    capacity = Capacity(AIM, 500, lambda: 0)
    capacity.calibrate(200.0)
    before = capacity.beginnings
    for _ in range(100):
        capacity.began(3, 5.0)
    assert capacity.beginnings == before


def test_a_few_may_begin_however_slow_the_engine_is() -> None:
    capacity = Capacity(AIM, 500, lambda: 0)
    for _ in range(1000):
        capacity.began(500, 600.0)
    assert capacity.beginnings == 8


@given(st.lists(st.tuples(st.floats(0, 1e3), st.floats(0, 1e3), st.integers(0, 500)), max_size=50))
def test_the_limit_stays_between_one_and_the_setting(
    chunks: list[tuple[float, float, int]],
) -> None:
    now = 0.0
    speaking = [0]
    capacity = Capacity(AIM, 500, lambda: speaking[0], lambda: now)
    for waited, seconds, running in chunks:
        now += 0.1
        speaking[0] = running
        capacity.spoke(waited, seconds)
        capacity.began(running, waited)
        assert 1 <= capacity.limit <= 500
        assert 8 <= capacity.beginnings <= 500

"""A day lasts a day, whatever happens to the clock."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from cosyserve.server.quotas.day import DAY, QuotaDay

NOON = 20_000 * DAY + DAY / 2
HOUR = 3600.0


@dataclass
class Clocks:
    """The wall's, which can be set, and a steady one."""

    wall: float = NOON
    steady: float = 5.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def day(self) -> QuotaDay:
        return QuotaDay(lambda: self.wall, lambda: self.steady)


def test_it_ends_at_midnight_in_utc() -> None:
    clocks = Clocks()
    day = clocks.day()
    assert (day.number, day.left) == (0, DAY / 2)
    clocks.pass_(DAY / 2 - 1)
    assert (day.number, day.left) == (0, 1)
    clocks.pass_(1)
    assert (day.number, day.left) == (1, DAY)
    clocks.pass_(3.25 * DAY)  # nobody asked meanwhile
    assert (day.number, day.left) == (2, 0.75 * DAY)


@pytest.mark.parametrize("jump", [-400 * DAY, -DAY, -HOUR, HOUR, DAY, 400 * DAY])
def test_a_clock_that_is_set_neither_ends_a_day_nor_prolongs_it(jump: float) -> None:
    clocks = Clocks()
    day = clocks.day()
    clocks.wall += jump
    assert (day.number, day.left) == (0, DAY / 2)
    clocks.pass_(DAY / 2)
    assert day.number == 1
    assert DAY / 2 <= day.left <= 1.5 * DAY
    assert (clocks.wall + day.left) % DAY == 0  # by the clock as it is set now


@pytest.mark.parametrize("back", [-400 * DAY, -DAY, -2 * HOUR, 2 * HOUR])
def test_a_clock_that_is_set_for_a_while_leaves_no_trace(back: float) -> None:
    clocks = Clocks()
    day = clocks.day()
    clocks.wall += back
    assert day.number == 0
    clocks.wall -= back
    clocks.pass_(DAY / 2)
    assert (day.number, day.left) == (1, DAY)


def test_a_restart_goes_on_with_the_day() -> None:
    clocks = Clocks()
    before = clocks.day()
    kept = before.ends, before.now
    clocks.wall, clocks.steady = clocks.wall + HOUR, 0.0
    after = clocks.day()
    assert after.resume(*kept)
    assert after.left == DAY / 2 - HOUR
    clocks.wall += DAY
    assert not clocks.day().resume(*kept)


@pytest.mark.parametrize("back", [HOUR, DAY, 400 * DAY])
def test_a_restart_with_a_clock_that_went_back_goes_on_where_the_day_was(back: float) -> None:
    clocks = Clocks()
    kept = clocks.day().ends, clocks.day().now
    clocks.wall -= back
    after = clocks.day()
    assert after.resume(*kept)
    assert (after.number, after.left) == (0, DAY / 2)
    clocks.pass_(DAY / 2)
    assert after.number == 1
    assert after.left <= 1.5 * DAY


def test_days_that_cannot_be_are_not_resumed() -> None:
    clocks = Clocks()
    assert not clocks.day().resume(NOON + 2 * DAY, NOON)
    assert not clocks.day().resume(NOON + 1, NOON + 2)

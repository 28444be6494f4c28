"""The tree of errors is the one that is drawn, and each has its code and status."""

from __future__ import annotations

import http
import re

import pytest

from cosyserve.protocol import errors
from cosyserve.protocol.errors import InvalidState, Throttled, TTSError

TREE = re.compile(r"^[│ ]*[├└]── (\w+) ", re.MULTILINE)


def classes() -> list[type[TTSError]]:
    return [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, TTSError) and each is not TTSError
    ]


def test_the_drawn_tree_is_the_real_one() -> None:
    assert errors.__doc__ is not None
    drawn = TREE.findall(errors.__doc__)
    assert drawn == [each.__name__ for each in TTSError.__subclasses__()]
    assert drawn == [each.__name__ for each in classes()]


@pytest.mark.parametrize("each", classes(), ids=lambda each: each.__name__)
def test_every_error_has_a_code_and_a_status_of_its_own(each: type[TTSError]) -> None:
    assert "code" in vars(each)
    assert "status" in vars(each)
    others = {errors.BadFrame: "InvalidParameter", errors.RouteNotFound: "NotFound"}
    assert each.code == others.get(each, each.__name__)
    assert 400 <= http.HTTPStatus(each.status) < 600


def test_an_error_can_be_given_its_task() -> None:
    error = errors.InvalidParameter("speed: 9")
    assert (error.task_id, error.starting, error.task_goes_on) == (None, False, False)
    assert error.for_task("t", starting=True) is error
    assert (error.task_id, error.starting, str(error)) == ("t", True, "speed: 9")


def test_an_invalid_state_may_leave_the_task_running() -> None:
    assert not InvalidState("x").task_goes_on
    assert InvalidState("x", task_goes_on=True).task_goes_on


def test_throttled_says_when_to_try_again() -> None:
    error = Throttled("busy", 7)
    assert error.retry_after == 7
    assert "7 s" in error.message

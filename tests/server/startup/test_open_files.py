"""The limit of open files."""

from __future__ import annotations

import pytest

from cosyserve.server.startup import open_files
from cosyserve.server.startup.open_files import BESIDES, affordable, make_room


class Limits:
    """A system's limits of open files; `most` is what it really lets, where that is less."""

    RLIMIT_NOFILE = 7
    RLIM_INFINITY = -1

    def __init__(self, soft: int, hard: int, most: int | None = None) -> None:
        self.soft, self.hard, self.most = soft, hard, most

    def getrlimit(self, which: int) -> tuple[int, int]:
        return self.soft, self.hard

    def setrlimit(self, which: int, limits: tuple[int, int]) -> None:
        assert limits[1] == self.hard
        if self.most is not None and limits[0] > self.most:
            raise ValueError("not allowed")
        self.soft = limits[0]


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "then"),
    [
        (1024, 65536, 4000, 4000 + BESIDES),
        (1024, -1, 4000, 4000 + BESIDES),
        (-1, -1, 4000, -1),
        (65536, 65536, 4000, 65536),
        (2048, 65536, 10, 2048),
    ],
)
def test_the_soft_limit_becomes_what_is_needed_and_never_less(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, connections: int, then: int
) -> None:
    limits = Limits(soft, hard)
    monkeypatch.setattr(open_files, "resource", limits)
    assert make_room(connections) is None
    assert limits.soft == then


def test_a_hard_limit_that_is_too_low_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(1024, 2048)
    monkeypatch.setattr(open_files, "resource", limits)
    notice = make_room(4000)
    assert limits.soft == 2048
    assert notice is not None
    assert notice.startswith(f"max_connections: 4000 connections need {4000 + BESIDES} open files")
    assert f"may have 2048, enough for about {2048 - BESIDES}; allowed: " in notice
    assert "\n" not in notice


def test_a_system_that_lets_less_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(256, -1, most=256)
    monkeypatch.setattr(open_files, "resource", limits)
    notice = make_room(4000)
    assert notice is not None
    assert "may have 256, enough for about 0" in notice


def test_a_system_without_such_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_files, "resource", None)
    assert make_room(1_000_000) is None


@pytest.mark.parametrize(
    ("soft", "connections", "then"),
    [(4096, 4000, 4096 - BESIDES), (65536, 4000, 4000), (-1, 4000, 4000), (256, 4000, 128)],
)
def test_no_more_connections_than_there_are_files_for(
    monkeypatch: pytest.MonkeyPatch, soft: int, connections: int, then: int
) -> None:
    monkeypatch.setattr(open_files, "resource", Limits(soft, soft))
    assert affordable(connections) == then

"""Which task yields its place: those that are kept alive by almost nothing, and none that is of use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from cosyserve.protocol.errors import TTSError
from cosyserve.server.tasks.admission import TaskTicket
from cosyserve.server.tasks.waiting import Waiting
from support.peers.peers import Peer, message, run_task, text

from ..conftest import Served


@dataclass
class Limits:
    preempt_after: float = 10.0
    preempt_below: float = 2.0


@dataclass(eq=False)
class Place:
    name: str


@dataclass
class Room:
    """Tasks that wait, with a clock in hand."""

    limits: Limits
    now: float = 0.0

    def __post_init__(self) -> None:
        self.waiting: Waiting[Place] = Waiting(self.limits, lambda: self.now)

    def add(self, name: str) -> Place:
        place = Place(name)
        self.waiting.add(place, self._give_up)
        return place

    def _give_up(self, error: TTSError) -> None:
        raise AssertionError("nobody takes a place here")


Step = Callable[[int], tuple[int, float]]
"""The characters that come and the seconds of sound that go in a second of the clock."""

OF_USE: dict[str, Step] = {
    "a word a second": lambda _: (4, 0.0),
    "a word every two seconds": lambda now: (4 * (now % 2), 0.0),
    "a sentence every nine seconds": lambda now: (60 * (now % 9 == 0), 0.0),
    "speech in real time and no text": lambda _: (0, 1.0),
    "speech at a third of real time": lambda _: (0, 0.33),
    "three seconds of speech every nine": lambda now: (0, 3.0 * (now % 9 == 0)),
}
OF_NO_USE: dict[str, Step] = {
    "silence": lambda _: (0, 0.0),
    "a character a second": lambda _: (1, 0.0),
    "a character every nine seconds": lambda now: (now % 9 == 0, 0.0),
    "speech at a tenth of real time": lambda _: (0, 0.1),
    "a spoken letter every three seconds": lambda now: (2 * (now % 3 == 0), 0.4 * (now % 3 == 0)),
}


def _seconds_kept(step: Step, limits: Limits) -> int | None:
    room = Room(limits)
    place = room.add("ann")
    for now in range(1, 600):
        room.now = now
        if room.waiting.first_to_yield() is not None:
            return now
        room.waiting.active(place, *step(now))
    return None


@pytest.mark.parametrize("step", OF_USE.values(), ids=OF_USE)
def test_a_task_of_use_keeps_its_place(step: Step) -> None:
    assert _seconds_kept(step, Limits()) is None


@pytest.mark.parametrize("step", OF_NO_USE.values(), ids=OF_NO_USE)
def test_a_task_that_is_only_kept_alive_yields(step: Step) -> None:
    found = _seconds_kept(step, Limits())
    assert found is not None
    assert 10 <= found <= 120


def test_any_text_counts_in_full_if_the_settings_say_so() -> None:
    step = OF_NO_USE["a character every nine seconds"]
    assert _seconds_kept(step, Limits(preempt_below=0)) is None


def test_those_who_trickle_yield_before_those_who_feed() -> None:
    room = Room(Limits())
    fed, trickling = [room.add("ann") for _ in range(2)]
    for now in range(1, 60):
        room.now = now
        room.waiting.active(fed, 4, 0.0)
        room.waiting.active(trickling, 1, 0.0)
    assert room.waiting.first_to_yield() is trickling
    room.waiting.discard(trickling)
    assert room.waiting.first_to_yield() is None


async def test_only_characters_that_can_be_spoken_count(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[dict[str, Any]] = []
    real = TaskTicket.active

    def note(ticket: TaskTicket, **what: Any) -> None:
        heard.append(what)
        real(ticket, **what)

    monkeypatch.setattr(TaskTicket, "active", note)
    async with served() as (server, engine), Peer.of(server, engine) as peer:
        async with peer.socket() as socket:
            await socket.send(run_task("t"), text("continue-task", "t", " a \n  bc  "))
            await socket.send(text("continue-task", "t", " \n "), message("finish-task", "t"))
            await socket.until("task-finished")
    assert [each for each in heard if "characters" in each] == [{"characters": 3}]
    assert sum(each.get("seconds", 0.0) for each in heard) == pytest.approx(0.1)

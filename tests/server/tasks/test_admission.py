"""Admission: every limit, what is given back, and draining."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cosyserve.protocol.errors import EngineUnavailable, Throttled
from cosyserve.server.auth import Caller
from cosyserve.server.tasks.admission import (
    MAX_RETRY_AFTER,
    Admission,
    ConnectionTicket,
    TaskTicket,
    Ticket,
)

ANN, BOB = Caller("ann"), Caller("bob")


@dataclass
class Limits:
    max_connections: int = 2
    max_tasks: int = 4
    max_tasks_per_token: int = 3
    max_tasks_per_connection: int = 2
    max_uploads: int = 2
    max_realtime_share: float | None = None
    preempt_after: float = 10.0
    preempt_below: float = 2.0
    tokens: tuple[str, ...] = ("the only one",)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_limit_in_all() -> None:
    admission = Admission(Limits())
    tickets = [admission.enter(ANN) for _ in range(3)] + [admission.enter(BOB)]
    with pytest.raises(Throttled, match="4 tasks in all"):
        admission.enter(BOB)
    tickets[0].release()
    admission.enter(BOB)
    assert admission.tasks == 4
    with pytest.raises(Throttled, match="4 tasks in all"):
        admission.enter(ANN)


def test_limit_per_token_leaves_others_alone() -> None:
    admission = Admission(Limits())
    for _ in range(3):
        admission.enter(ANN)
    with pytest.raises(Throttled, match="3 tasks for this token"):
        admission.enter(ANN)
    admission.enter(BOB)


def test_limit_per_connection_leaves_others_alone() -> None:
    admission = Admission(Limits())
    first, second = admission.connect(ANN), admission.connect(ANN)
    ticket = admission.enter(ANN, first)
    admission.enter(ANN, first)
    with pytest.raises(Throttled, match="2 tasks on this connection"):
        admission.enter(ANN, first)
    assert (first.tasks, admission.tasks) == (2, 2)
    admission.enter(ANN, second)
    ticket.release()
    assert (first.tasks, second.tasks) == (1, 1)


def test_a_refusal_takes_no_place() -> None:
    admission = Admission(Limits(max_tasks_per_token=1))
    connection = admission.connect(ANN)
    ticket = admission.enter(ANN, connection)
    with pytest.raises(Throttled):
        admission.enter(ANN, connection)
    assert connection.tasks == 1
    ticket.release()
    assert (connection.tasks, admission.tasks) == (0, 0)


def test_limit_of_connections() -> None:
    admission = Admission(Limits())
    first = admission.connect(ANN)
    with admission.connect(ANN):
        with pytest.raises(Throttled, match="2 connections"):
            admission.connect(ANN)
        assert admission.connections == 2
    first.release()
    assert admission.connections == 0


def test_release_counts_once_also_after_an_error() -> None:
    admission = Admission(Limits())
    other = admission.enter(ANN)
    ticket = admission.enter(ANN)
    with pytest.raises(RuntimeError), ticket:
        raise RuntimeError
    ticket.release()
    assert admission.tasks == 1
    other.release()
    assert admission.tasks == 0


def test_retry_after_follows_how_long_tasks_last() -> None:
    clock = Clock()
    admission = Admission(Limits(max_tasks=1), clock)

    def retry_after() -> int:
        with admission.enter(ANN), pytest.raises(Throttled) as caught:
            admission.enter(BOB)
        return caught.value.retry_after

    assert retry_after() == 1
    for _ in range(100):
        ticket = admission.enter(ANN)
        clock.now += 20
        ticket.release()
    assert 15 <= retry_after() <= 21
    for _ in range(100):
        ticket = admission.enter(ANN)
        clock.now += 1000
        ticket.release()
    assert retry_after() == MAX_RETRY_AFTER


async def test_draining_refuses_and_waits_for_the_running() -> None:
    admission = Admission(Limits())
    ticket = admission.enter(ANN)
    admission.drain()
    assert admission.draining
    with pytest.raises(EngineUnavailable):
        admission.enter(ANN)
    with pytest.raises(EngineUnavailable):
        admission.connect(ANN)
    idle = asyncio.ensure_future(admission.wait_idle())
    await asyncio.sleep(0)
    assert not idle.done()
    ticket.release()
    await idle


async def test_a_place_that_is_free_is_not_idle_before_its_task_is_accounted_for() -> None:
    admission = Admission(Limits(max_tasks=1))
    ticket = admission.enter(ANN)
    ticket.free()
    ticket.free()
    assert admission.tasks == 0
    following = admission.enter(BOB)
    following.release()
    idle = asyncio.ensure_future(admission.wait_idle())
    await asyncio.sleep(0)
    assert not idle.done()
    ticket.release()
    ticket.release()
    await idle
    assert admission.tasks == 0


async def test_idle_from_the_start() -> None:
    await Admission(Limits()).wait_idle()


class Counting(RuleBasedStateMachine):
    """Whatever comes and goes, the counts are those of the tickets held."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = Limits()
        self.admission = Admission(self.limits)
        self.connections: list[ConnectionTicket] = []
        self.tasks: list[tuple[Ticket, Caller, ConnectionTicket | None]] = []

    @rule()
    def connect(self) -> None:
        full = len(self.connections) >= self.limits.max_connections
        try:
            self.connections.append(self.admission.connect(ANN))
        except Throttled:
            assert full
        else:
            assert not full

    @rule(caller=st.sampled_from([ANN, BOB]), data=st.data())
    def enter(self, caller: Caller, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from([None, *self.connections]))
        full = (
            len(self.tasks) >= self.limits.max_tasks
            or self._count(caller=caller) >= self.limits.max_tasks_per_token
            or (place and self._count(place=place) >= self.limits.max_tasks_per_connection)
        )
        try:
            self.tasks.append((self.admission.enter(caller, place), caller, place))
        except Throttled:
            assert full
        else:
            assert not full

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        ticket, _, _ = self.tasks.pop(data.draw(st.integers(0, len(self.tasks) - 1)))
        ticket.release()
        ticket.release()

    @invariant()
    def counts_are_right(self) -> None:
        assert self.admission.tasks == len(self.tasks)
        assert self.admission.connections == len(self.connections)
        for place in self.connections:
            assert place.tasks == self._count(place=place)

    def _count(self, caller: Caller | None = None, place: Ticket | None = None) -> int:
        return sum(
            who is caller or (place is not None and on is place) for _, who, on in self.tasks
        )


TestCounting = Counting.TestCase


async def test_uploads_have_a_limit_of_their_own() -> None:
    admission = Admission(Limits())
    places = [admission.upload(ANN) for _ in range(2)]
    with pytest.raises(Throttled, match="2 uploads at once"):
        admission.upload(ANN)
    places[0].release()
    with admission.upload(ANN):
        pass
    assert admission.tasks == 0


def several(**limits: int) -> Admission:
    return Admission(Limits(**limits, tokens=("ann", "bob", "cid")))  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ["connect", "upload"])
def test_of_several_tokens_none_takes_what_others_need(what: str) -> None:
    limit = 12
    admission = several(max_connections=limit, max_uploads=limit)

    def fill(caller: Caller) -> list[Ticket]:
        places: list[Ticket] = []
        with suppress(Throttled):
            while True:
                places.append(getattr(admission, what)(caller))
        return places

    first = fill(ANN)
    assert len(first) == limit // 2
    second = fill(BOB)
    assert len(second) == limit // 4
    with pytest.raises(Throttled, match="3 places left are for others"):
        getattr(admission, what)(BOB)
    assert len(fill(Caller("cid"))) == 2
    for place in first:
        place.release()
    assert len(fill(BOB)) == 2  # 5 of 12 then, of which 5 are free


@pytest.mark.parametrize("what", ["connect", "upload"])
def test_one_token_alone_takes_all_places(what: str) -> None:
    admission = Admission(Limits(max_connections=12, max_uploads=12))
    for _ in range(12):
        getattr(admission, what)(ANN)
    with pytest.raises(Throttled, match="12"):
        getattr(admission, what)(ANN)


class Waiting:
    """Tasks that wait for text, with a clock in hand; `lost` has those that lost their place."""

    def __init__(self, **limits: int) -> None:
        self.clock = Clock()
        self.admission = Admission(Limits(**limits), self.clock)  # type: ignore[arg-type]
        self.lost: list[str] = []

    def enter(self, caller: Caller, name: str) -> TaskTicket:
        ticket = self.admission.enter(caller)
        ticket.await_text(lambda error: self.lost.append(f"{name} {error.code}"))
        self.clock.now += 1
        return ticket


def test_the_task_that_has_waited_longest_gives_its_place_up() -> None:
    waiting = Waiting()
    first, second = waiting.enter(ANN, "first"), waiting.enter(ANN, "second")
    third, fourth = waiting.enter(BOB, "third"), waiting.enter(BOB, "fourth")
    with pytest.raises(Throttled):  # nobody has waited 10 seconds
        waiting.admission.enter(BOB)
    waiting.clock.now += 10
    first.active(characters=20)
    waiting.enter(BOB, "fifth")
    assert waiting.lost == ["third TaskPreempted"]
    assert waiting.admission.tasks == 4
    third.release()
    second.keep()
    waiting.admission.enter(BOB)
    assert waiting.lost == ["third TaskPreempted", "fourth TaskPreempted"]
    with pytest.raises(Throttled):  # the first was active, the second has its text, two are new
        waiting.admission.enter(ANN)
    fourth.release()
    assert waiting.admission.tasks == 4


def test_who_holds_most_waiting_tasks_gives_up_first() -> None:
    waiting = Waiting(max_tasks=4)
    waiting.enter(BOB, "bob's")
    for name in ("first", "second", "third"):
        waiting.enter(ANN, name)
    waiting.clock.now += 60
    waiting.enter(BOB, "bob's second")
    assert waiting.lost == ["first TaskPreempted"]


def test_a_task_without_text_yields_no_place_that_its_own_limits_refuse() -> None:
    waiting = Waiting(max_tasks=3)
    for name in ("first", "second", "third"):
        waiting.enter(ANN, name)
    waiting.clock.now += 60
    with pytest.raises(Throttled, match="for this token"):
        waiting.admission.enter(ANN)
    assert waiting.lost == []


async def test_a_task_that_lost_its_place_is_waited_for() -> None:
    waiting = Waiting(max_tasks=1, preempt_after=0)
    first = waiting.enter(ANN, "first")
    second = waiting.admission.enter(BOB)
    second.release()
    idle = asyncio.ensure_future(waiting.admission.wait_idle())
    await asyncio.sleep(0)
    assert not idle.done()
    first.release()
    await idle
    assert waiting.admission.tasks == 0


def test_tokens_without_text_leave_places_to_others() -> None:
    admission = several(
        max_connections=100, max_tasks=12, max_tasks_per_token=12, max_tasks_per_connection=12
    )

    def fill(caller: Caller) -> list[TaskTicket]:
        tickets: list[TaskTicket] = []
        connection = admission.connect(caller)
        with suppress(Throttled):
            while True:
                tickets.append(admission.enter(caller, connection))
        return tickets

    first, second = fill(ANN), fill(BOB)
    assert (len(first), len(second)) == (6, 3)
    with pytest.raises(Throttled, match="6 tasks without text; the 3 places left are for others"):
        admission.enter(ANN, admission.connect(ANN))
    assert admission.enter(ANN)  # with its text
    first[0].active(characters=20)
    first[1].keep()
    first[2].release()
    assert len(fill(ANN)) == 0  # it has three without text, and three places are left
    for ticket in first:
        ticket.release()
    assert len(fill(ANN)) == 4
    assert len(fill(Caller("cid"))) == 2


def test_who_has_tasks_without_text_takes_no_place_from_others() -> None:
    clock = Clock()
    admission = Admission(Limits(max_tasks=2, tokens=("ann", "bob")), clock)
    lost: list[str] = []
    for caller in (ANN, BOB):
        ticket = admission.enter(caller, admission.connect(caller))
        ticket.await_text(lambda error, name=caller.name: lost.append(name))
    clock.now += 60
    with pytest.raises(Throttled):
        admission.enter(BOB)
    assert lost == []
    admission.enter(Caller("cid"))
    assert lost == ["ann"]
    admission.enter(BOB)
    assert lost == ["ann", "bob"]


def test_one_token_alone_takes_the_place_of_its_own_task() -> None:
    clock = Clock()
    admission = Admission(Limits(max_tasks=1), clock)
    lost: list[str] = []
    admission.enter(ANN, admission.connect(ANN)).await_text(lambda error: lost.append(error.code))
    clock.now += 60
    admission.enter(ANN, admission.connect(ANN))
    assert lost == ["TaskPreempted"]


def test_no_more_tasks_are_taken_than_the_engine_keeps_up_with() -> None:
    admission = Admission(Limits(max_tasks=10, max_tasks_per_token=10, max_realtime_share=0.5))
    admission.capacity.calibrate(throughput=6.0)
    first, _ = admission.enter(ANN), admission.enter(BOB)
    with pytest.raises(
        Throttled, match="2 tasks are speaking, as many as the engine keeps up with"
    ):
        admission.enter(ANN)
    first.release()
    admission.enter(ANN)


def test_tasks_that_have_long_waited_for_text_do_not_count_as_speaking() -> None:
    clock = Clock()
    limits = Limits(max_tasks=10, max_tasks_per_token=10, max_realtime_share=0.5)
    admission = Admission(limits, clock)
    admission.capacity.calibrate(throughput=3.0)
    task = admission.enter(ANN, admission.connect(ANN))
    task.await_text(lambda _: None)
    with pytest.raises(Throttled):
        admission.enter(BOB)
    clock.now += 3
    admission.enter(BOB)
    task.active(characters=1)
    assert admission.speaking == 2


def test_what_tasks_wait_for_the_engine_is_measured() -> None:
    clock = Clock()
    admission = Admission(Limits(max_realtime_share=0.5), clock)
    task, other = admission.enter(ANN), admission.enter(BOB)
    clock.now += 2
    task.spoke(3.0, 1.0)
    assert (admission.capacity.share, admission.capacity.limit) == (3.0, pytest.approx(2.8))
    other.release()


@pytest.mark.parametrize("carried", [2, 4, 10, 100])
def test_a_token_leaves_others_room_with_the_engine(carried: int) -> None:
    limits = Limits(max_tasks=500, max_tasks_per_token=500, tokens=("ann", "bob"))
    limits.max_realtime_share = 1.0
    admission = Admission(limits)
    admission.capacity.calibrate(throughput=carried / 0.75)
    taken = _enter_all(admission, ANN)
    assert 0.5 * carried <= taken <= max(1, 0.9 * carried)
    admission.enter(BOB)


def test_of_two_greedy_tokens_each_leaves_room_with_the_engine() -> None:
    limits = Limits(max_tasks=500, max_tasks_per_token=500, tokens=("some", "more"))
    limits.max_realtime_share = 1.0
    admission = Admission(limits)
    admission.capacity.calibrate(throughput=100 / 0.75)
    taken = [_enter_all(admission, Caller(name)) for name in ("ann", "carl")]
    assert taken == [90, 9]
    admission.enter(BOB)


def _enter_all(admission: Admission, caller: Caller) -> int:
    """Take all places that others leave to the caller, and be heard; returns how many."""
    before = admission.tasks
    refusal = ""
    while not refusal:
        try:
            _be_heard(admission.enter(caller))
        except Throttled as refused:
            refusal = refused.message
    assert re.search(r"tasks speaking; the .* are for others", refusal)
    return admission.tasks - before


def _be_heard(task: TaskTicket) -> None:
    task.active(characters=10)
    task.active(seconds=1.0)


def test_no_more_tasks_begin_than_have_their_first_sound_soon() -> None:
    clock = Clock()
    admission = Admission(
        Limits(max_tasks=100, max_tasks_per_token=100, max_realtime_share=0.5), clock
    )
    admission.capacity.calibrate(throughput=75 / 0.75 / 0.5)
    tasks = [admission.enter(ANN) for _ in range(50)]
    with pytest.raises(Throttled, match="50 tasks are waiting for their first sound") as refused:
        admission.enter(BOB)
    assert refused.value.retry_after == 1
    _be_heard(tasks[0])
    tasks[1].release()
    assert [admission.enter(BOB).name for _ in range(2)] == ["bob", "bob"]
    with pytest.raises(Throttled):
        admission.enter(BOB)


def test_tasks_whose_text_is_long_in_coming_do_not_keep_others_from_beginning() -> None:
    clock = Clock()
    admission = Admission(
        Limits(max_tasks=100, max_tasks_per_token=100, max_realtime_share=0.5), clock
    )
    admission.capacity.calibrate(throughput=75 / 0.75 / 0.5)
    tasks = [admission.enter(ANN) for _ in range(50)]
    tasks[0].active(characters=1)
    clock.now += 0.3
    for _ in range(20):
        admission.enter(BOB)
    for task in tasks[1:30]:
        task.active(characters=1)
    with pytest.raises(Throttled, match="50 tasks are waiting for their first sound"):
        admission.enter(BOB)


def test_a_token_leaves_others_room_to_begin() -> None:
    limits = Limits(max_tasks=500, max_tasks_per_token=500, tokens=("ann", "bob"))
    limits.max_realtime_share = 1.0
    admission = Admission(limits)
    admission.capacity.calibrate(throughput=150 / 0.75)
    for _ in range(90):
        admission.enter(ANN)
    with pytest.raises(Throttled, match="90 tasks waiting for their first sound; the 10 more"):
        admission.enter(ANN)
    for _ in range(9):
        admission.enter(BOB)


def test_how_long_tasks_wait_for_their_first_sound_is_learned() -> None:
    clock = Clock()
    limits = Limits(max_tasks=500, max_tasks_per_token=500, max_realtime_share=0.5)
    admission = Admission(limits, clock)
    for _ in range(20):
        tasks = [admission.enter(ANN) for _ in range(int(admission.capacity.beginnings))]
        for task in tasks:
            task.active(characters=10)
            task.keep()
        for task in tasks:
            clock.now += 1 / 50
            task.active(seconds=1.0)
            task.release()
    assert admission.capacity.beginnings == pytest.approx(60, rel=0.1)


def test_who_waits_for_more_text_says_nothing_about_the_engine() -> None:
    clock = Clock()
    limits = Limits(max_tasks=500, max_tasks_per_token=500, max_realtime_share=0.5)
    admission = Admission(limits, clock)
    before = admission.capacity.beginnings
    tasks = [admission.enter(ANN) for _ in range(300)]
    for task in tasks:
        task.active(characters=10)
    clock.now += 10
    for task in tasks:
        task.keep()
        task.active(seconds=1.0)
    assert admission.capacity.beginnings == before


def test_of_a_tokens_tasks_those_that_rest_do_not_count_as_speaking() -> None:
    clock = Clock()
    limits = Limits(max_tasks=500, max_tasks_per_token=500, tokens=("ann", "bob"))
    limits.max_realtime_share = 1.0
    admission = Admission(limits, clock)
    admission.capacity.calibrate(throughput=100 / 0.75)
    for _ in range(40):
        admission.enter(ANN).await_text(lambda _: None)
    clock.now += 3
    assert _enter_all(admission, ANN) == 90


def test_a_token_without_a_task_gets_one_even_if_the_engine_is_busy() -> None:
    limits = Limits(max_tasks=500, max_tasks_per_token=500, tokens=("ann", "bob"))
    limits.max_realtime_share = 1.0
    admission = Admission(limits)
    admission.capacity.calibrate(throughput=15)
    for _ in range(9):
        _be_heard(admission.enter(ANN))
    admission.capacity.calibrate(throughput=1)
    admission.enter(BOB)
    with pytest.raises(Throttled, match="as many as the engine keeps up with"):
        admission.enter(BOB)

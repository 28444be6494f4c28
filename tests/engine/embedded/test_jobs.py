"""Which job is next: listeners are kept supplied, and first sounds come as soon as that allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.embedded.frames import JobFrame, SoundFrame
from cosyserve.engine.embedded.jobs import PATIENCE, Job, JobQueue
from cosyserve.engine.interface import EngineError


class Nobody:
    """A listener that hears nothing."""

    def job_sound(self, job: Job, sound: SoundFrame, waited: float) -> None: ...

    def job_done(self, job: Job, seconds: float) -> None: ...

    def job_failed(self, job: Job, error: EngineError) -> None: ...


FRAME = JobFrame(0, "en", "A sentence.", rate=175, pitch=50, pitch_range=50, volume=100)


def job(deadline: float, *, silent: bool = False, tenant: str = "") -> Job:
    return Job(FRAME, Nobody(), deadline, silent, tenant)


def queue(turn: float = 0.0) -> JobQueue:
    """An empty queue that has learned how long a turn takes."""
    made = JobQueue()
    for _ in range(100):
        made.took(turn)
    return made


def test_who_runs_dry_first_is_next() -> None:
    jobs = queue()
    for deadline in (3.0, 1.0, 2.0):
        jobs.push(job(deadline), now=0.0)
    taken = [jobs.pop(0.0, workers=1) for _ in range(3)]
    assert [each.deadline for each in taken if each] == [1.0, 2.0, 3.0]
    assert jobs.pop(0.0, workers=1) is None


def test_first_jobs_come_in_order_and_before_those_that_can_wait() -> None:
    jobs = queue(turn=0.1)
    later = job(5.0)
    jobs.push(later, now=0.0)
    first = [job(0.0, silent=True) for _ in range(3)]
    for each in first:
        jobs.push(each, now=0.0)
    assert [jobs.pop(0.0, workers=1) for _ in range(4)] == [*first, later]


def test_a_first_job_waits_if_a_listener_would_run_dry() -> None:
    jobs = queue(turn=0.1)
    first, soon = job(0.0, silent=True), job(0.2)
    jobs.push(first, now=0.0)
    jobs.push(soon, now=0.0)
    assert jobs.pop(0.0, workers=1) is soon
    assert jobs.pop(0.1, workers=1) is first


def test_many_listeners_are_counted_together() -> None:
    """Each could wait for another job, but not all of them."""
    jobs = queue(turn=0.1)
    first = job(0.0, silent=True)
    jobs.push(first, now=0.0)
    for _ in range(10):
        jobs.push(job(1.0), now=0.0)
    assert jobs.pop(0.0, workers=1) is not first
    assert jobs.pop(0.0, workers=2) is first


def test_one_that_is_due_late_does_not_hide_those_that_are_due_soon() -> None:
    jobs = queue(turn=0.1)
    first, soon = job(0.0, silent=True), job(0.3)
    for each in (first, soon, job(0.3), *(job(100.0) for _ in range(10))):
        jobs.push(each, now=0.0)
    assert jobs.pop(0.0, workers=1) is soon


def test_nobody_waits_for_a_first_sound_beyond_all_patience() -> None:
    jobs = queue(turn=10.0)
    first = job(0.0, silent=True)
    jobs.push(first, now=0.0)
    for _ in range(5):
        jobs.push(job(PATIENCE + 0.1), now=0.0)
    assert jobs.pop(PATIENCE, workers=1) is first


def test_tenants_take_turns_with_their_first_jobs() -> None:
    jobs = queue()
    for tenant in "aaabb":
        jobs.push(job(0.0, silent=True, tenant=tenant), now=0.0)
    jobs.push(job(0.0, silent=True, tenant="c"), now=0.0)
    taken = [jobs.pop(0.0, workers=1) for _ in range(6)]
    # Those of tenants who had nothing else in the queue, then one of each in turn.
    assert [each.tenant for each in taken if each] == [*"abc", *"aba"]


def test_a_tenants_only_job_does_not_wait_until_another_has_all_he_asked_for() -> None:
    jobs = queue(turn=0.1)
    for _ in range(50):
        jobs.push(job(0.5, tenant="greedy"), now=0.0)
        jobs.push(job(0.0, silent=True, tenant="greedy"), now=0.0)
    for _ in range(10):
        jobs.pop(0.0, workers=1)
    only = job(0.0, silent=True, tenant="modest")
    jobs.push(only, now=0.0)
    assert jobs.pop(0.0, workers=1) is only


def test_many_tenants_with_one_job_each_leave_listeners_most_turns() -> None:
    jobs = queue(turn=0.1)
    for number in range(20):
        jobs.push(job(0.5, tenant="listening"), now=0.0)
        jobs.push(job(0.0, silent=True, tenant=str(number)), now=0.0)
    taken = [jobs.pop(0.0, workers=1) for _ in range(16)]
    assert sum(each.silent for each in taken if each) == 4


def test_discarded_jobs_count_no_more() -> None:
    jobs = queue(turn=0.1)
    first, soon = job(0.0, silent=True), job(0.1)
    jobs.push(first, now=0.0)
    jobs.push(soon, now=0.0)
    jobs.discard(soon)
    assert (len(jobs), jobs.silent) == (1, 1)
    assert jobs.pop(0.0, workers=1) is first
    assert (len(jobs), jobs.silent) == (0, 0)
    assert jobs.pop(0.0, workers=1) is None


def test_a_job_knows_how_long_it_waited() -> None:
    jobs = queue()
    waited = job(0.0, silent=True)
    jobs.push(waited, now=1.0)
    jobs.pop(1.5, workers=1)
    jobs.push(waited, now=2.0)
    jobs.pop(2.25, workers=1)
    assert waited.waited == 0.75


@pytest.mark.parametrize("crowd", [50, 150, 400])
def test_those_who_have_begun_hear_no_gap_however_many_come(crowd: int) -> None:
    """Two workers, a short first job and longer ones behind it, as many listeners as you like."""
    first_cost, first_speech, cost, speech = 0.006, 1.1, 0.015, 3.0
    jobs = queue(cost)
    now, workers, heard, dry = 0.0, 2, 0, []
    for _ in range(crowd):
        jobs.push(job(0.0, silent=True), 0.0)
    while now < PATIENCE - 0.1 and len(jobs):  # the two workers as one that is twice as fast
        taken = jobs.pop(now, workers)
        assert taken is not None
        began, silent = now, taken.silent
        now += (first_cost if silent else cost) / workers
        if silent:
            heard += 1
            taken.silent = False
            taken.deadline = now + first_speech
        else:
            dry.append(now - taken.deadline)
            taken.deadline = max(taken.deadline, now) + speech
        assert began <= now
        jobs.push(taken, now)
    assert heard >= min(crowd, 120)
    assert max(dry, default=0.0) <= 0.0


@given(
    st.lists(
        st.tuples(
            st.floats(0, 5),
            st.booleans(),
            st.sampled_from(["push", "pop", "discard"]),
            st.sampled_from("ab"),
        ),
        max_size=60,
    )
)
def test_the_queue_loses_and_doubles_nothing(
    actions: list[tuple[float, bool, str, str]],
) -> None:
    jobs, queued, now = queue(0.05), list[Job](), 0.0
    for deadline, silent, action, tenant in actions:
        now += 0.01
        if action == "push":
            queued.append(job(now + deadline, silent=silent, tenant=tenant))
            jobs.push(queued[-1], now)
        elif action == "pop":
            taken = jobs.pop(now, workers=2)
            assert (taken is None) == (not queued)
            if taken is not None:
                queued.remove(taken)
        elif queued:
            jobs.discard(queued.pop(0))
        assert len(jobs) == len(queued)
        assert jobs.silent == sum(each.silent for each in queued)

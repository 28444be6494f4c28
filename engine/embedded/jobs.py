"""Jobs, and the queue in which they wait for a worker.

Who listens already is kept supplied; who waits for a first sound has it as soon as that allows.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Protocol

from ..interface import EngineError
from .frames import JobFrame, SoundFrame

PATIENCE: Final = 2.0
"""Seconds after which a first sound is due, whatever becomes of the others."""
_STEP: Final = 0.05
"""Seconds: deadlines this close are counted together."""
_SMOOTHING: Final = 0.1  # the newest turn's share in the mean length of a turn
_CAUTION: Final = 1.25  # times the mean: turns differ, and the processor has other work
_BETWEEN: Final = 3
"""Turns of listeners between two first jobs that go before them although these run dry."""


class JobListener(Protocol):
    """Receiver of a job's speech. Called on the event loop, never after the job was cancelled."""

    def job_sound(self, job: Job, sound: SoundFrame, waited: float) -> None:
        """Take some of the job's sound. waited: seconds that it waited for a worker since the last."""

    def job_done(self, job: Job, seconds: float) -> None:
        """The job is complete. seconds: of work after the last sound."""

    def job_failed(self, job: Job, error: EngineError) -> None: ...


@dataclass(slots=True, eq=False)
class Job:
    """An utterance on its way through the pool.

    frame: what to speak; the pool sets its `number`. deadline: loop time at which the listener runs
    dry, or at which one who has heard nothing began to wait. silent: whether the listener has heard
    nothing yet. given: samples that it has received of this job. waited: seconds in the queue since the
    last sound. queued_at: loop time. tenant: whose listener it is.
    """

    frame: JobFrame
    listener: JobListener
    deadline: float
    silent: bool
    tenant: str = ""
    given: int = 0
    waited: float = 0.0
    queued_at: float = 0.0
    queued: bool = False
    cancelled: bool = False


@dataclass(order=True, slots=True)
class _WaitingJob:
    deadline: float
    order: int
    job: Job = field(compare=False)


class JobQueue:
    """Jobs of listeners, by the time at which these run dry, and first jobs in turns of their tenants.

    A first job goes before all others as long as each of these still has its turn in time. When many come at
    once, the first of them are kept supplied, and the others begin a little later; if all began first,
    then all would run dry soon after. The first job of a tenant who has nothing else in the queue waits
    for a few others at most, however many another has. The queue's length leaves discarded jobs out.

    silent: the number of queued jobs whose listeners have heard nothing yet.
    """

    def __init__(self) -> None:
        self._begun: list[_WaitingJob] = []
        """A heap. Here and in the next two, jobs that were discarded stay until their turn comes."""
        self._first: dict[str, deque[Job]] = {}
        """First jobs, by tenants in the order of their turns."""
        self._lone: deque[Job] = deque()
        """Those of tenants who had nothing else in the queue."""
        self._since_lone = 0
        """Jobs taken since one of these went before listeners."""
        self._tenants: Counter[str] = Counter()
        """Queued jobs by tenant."""
        self._due: Counter[int] = Counter()
        """Queued jobs of listeners who have heard something, by deadline in steps."""
        self._order = count()
        self._length = 0
        self._turn = 0.0
        """Seconds that a job of a listener keeps a worker, smoothed."""
        self.silent = 0

    def __len__(self) -> int:
        return self._length

    def push(self, job: Job, now: float) -> None:
        job.queued_at = now
        if not job.silent:
            heapq.heappush(self._begun, _WaitingJob(job.deadline, next(self._order), job))
        elif not self._tenants[job.tenant]:
            self._lone.append(job)
        else:
            self._first.setdefault(job.tenant, deque()).append(job)
        self._mark(job, True)

    def pop(self, now: float, workers: int) -> Job | None:
        """Take the most urgent job, None if there is none; add the time it waited to `waited`.

        workers: among which the jobs are divided.
        """
        job = self._next(now, workers)
        if job is not None:
            job.waited += now - job.queued_at
            self._mark(job, False)
        return job

    def discard(self, job: Job) -> None:
        """Remove a queued job. Its entry stays until its turn comes."""
        self._mark(job, False)

    def took(self, seconds: float) -> None:
        """Learn how long a job, or a slice of it, kept its worker; of those that were not first ones."""
        self._turn += (seconds - self._turn) * (_SMOOTHING if self._turn else 1.0)

    def _next(self, now: float, workers: int) -> Job | None:
        while self._begun and not self._begun[0].job.queued:
            heapq.heappop(self._begun)
        first = self._next_first()
        if first is None or not self._begun:
            return self._take_first(first) if first else self._take_begun()
        overdue = first.deadline + PATIENCE < self._begun[0].deadline
        lone = bool(self._lone) and self._since_lone >= _BETWEEN
        if overdue or lone or self._supplied(now, workers):
            return self._take_first(first)
        return self._take_begun()

    def _next_first(self) -> Job | None:
        """The first job that is next among these. Drops discarded ones before it."""
        while self._lone and not self._lone[0].queued:
            self._lone.popleft()
        if self._lone:
            return self._lone[0]
        while self._first:
            tenant, jobs = next(iter(self._first.items()))
            while jobs and not jobs[0].queued:
                jobs.popleft()
            if jobs:
                return jobs[0]
            del self._first[tenant]
        return None

    def _take_first(self, job: Job) -> Job:
        if self._lone and self._lone[0] is job:
            self._since_lone = 0
            return self._lone.popleft()
        jobs = self._first.pop(job.tenant)
        self._first[job.tenant] = jobs  # the next turn is another tenant's
        return jobs.popleft()

    def _take_begun(self) -> Job | None:
        self._since_lone += 1
        return heapq.heappop(self._begun).job if self._begun else None

    def _supplied(self, now: float, workers: int) -> bool:
        """Whether each listener has the next job in time if another job goes first."""
        turn = _CAUTION * self._turn / max(1, workers)
        done = now + turn
        if done + turn * self._due.total() <= self._begun[0].deadline:
            return True
        for step in sorted(self._due):
            done += turn * self._due[step]
            if done > step * _STEP:
                return False
        return True

    def _mark(self, job: Job, queued: bool) -> None:
        job.queued = queued
        change = 1 if queued else -1
        self._length += change
        self._tenants[job.tenant] += change
        if not self._tenants[job.tenant]:
            del self._tenants[job.tenant]
        if job.silent:
            self.silent += change
            return
        step = math.floor(job.deadline / _STEP)
        self._due[step] += change
        if not self._due[step]:
            del self._due[step]

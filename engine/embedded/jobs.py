"""Jobs, and the queue in which they wait for a worker."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from ..interface import EngineError
from .frames import JobFrame, SoundFrame


class JobListener(Protocol):
    """Who a job is for. Called on the event loop, and never after the job was cancelled."""

    def job_sound(self, job: Job, sound: SoundFrame, waited: float) -> None:
        """waited: seconds the job waited for a worker since its last sound."""

    def job_done(self, job: Job, seconds: float) -> None:
        """All of it is spoken. seconds: of work after the last sound."""

    def job_failed(self, job: Job, error: EngineError) -> None: ...


@dataclass(slots=True, eq=False)
class Job:
    """A piece of text on its way through the pool.

    frame: what to speak; `number` is the pool's to give. deadline: loop time at which the listener
    runs dry. silent: the listener has heard nothing yet. given: samples it has had of this job.
    """

    frame: JobFrame
    listener: JobListener
    deadline: float
    silent: bool
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
    """Earliest deadline first, equals in the order they came. Its length counts what is still wanted.

    silent: how many of them are for listeners who have heard nothing yet.
    """

    def __init__(self) -> None:
        self._heap: list[_WaitingJob] = []
        self._order = count()
        self._length = 0
        self.silent = 0

    def __len__(self) -> int:
        return self._length

    def push(self, job: Job, now: float) -> None:
        job.queued_at = now
        self._mark(job, True)
        heapq.heappush(self._heap, _WaitingJob(job.deadline, next(self._order), job))

    def pop(self, now: float) -> Job | None:
        """The most urgent job; what it waited is added to `waited`."""
        while self._heap:
            job = heapq.heappop(self._heap).job
            if job.queued:
                job.waited += now - job.queued_at
                self._mark(job, False)
                return job
        return None

    def discard(self, job: Job) -> None:
        """Take out a queued job. Its entry stays until its turn comes, and is then passed over."""
        self._mark(job, False)

    def _mark(self, job: Job, queued: bool) -> None:
        job.queued = queued
        change = 1 if queued else -1
        self._length += change
        self.silent += change * job.silent

"""Jobs, and the queue in which they wait for a worker."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from ..interface import EngineError
from .frames import JobFrame, SoundFrame


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
    dry. silent: whether the listener has heard nothing yet. given: samples that it has received of
    this job. waited: seconds in the queue since the last sound. queued_at: loop time.
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
    """Jobs by deadline, equal ones in the order they came. Its length leaves discarded jobs out.

    silent: the number of queued jobs whose listeners have heard nothing yet.
    """

    def __init__(self) -> None:
        self._heap: list[_WaitingJob] = []
        """Queued jobs, and discarded ones until their turn comes."""
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
        """Take the most urgent job, None if there is none; add the time it waited to `waited`."""
        while self._heap:
            job = heapq.heappop(self._heap).job
            if job.queued:
                job.waited += now - job.queued_at
                self._mark(job, False)
                return job
        return None

    def discard(self, job: Job) -> None:
        """Remove a queued job. Its entry stays in the heap until its turn comes."""
        self._mark(job, False)

    def _mark(self, job: Job, queued: bool) -> None:
        job.queued = queued
        change = 1 if queued else -1
        self._length += change
        self.silent += change * job.silent

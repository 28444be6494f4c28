"""The worker processes: starting and replacing them, and giving them jobs.

The next job is that of the listener who will run dry first.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Protocol, cast

from ..interface import EngineDied, EngineError, EngineNotReady
from .frames import (
    SAMPLE_RATE,
    DoneFrame,
    FrameKind,
    FrameReader,
    JobFrame,
    SoundFrame,
    pack_job,
    pack_quit,
    pack_stop,
    unpack_done,
    unpack_number,
    unpack_sound,
)
from .jobs import Job, JobQueue

_log = logging.getLogger(__name__)

_MODULE = f"{__package__}.worker"


def worker_command(
    library: str, data: str, voice: str, *, natural: bool = False
) -> tuple[str, ...]:
    """The command that starts a worker.

    data: from installation.make_data. voice: of espeak-ng, to load at once. natural: whether to load
    the natural voice, too.
    """
    # -P: a worker must import nothing from whatever directory the server was started in.
    return (sys.executable, "-P", "-m", _MODULE, library, data, voice, "natural" if natural else "")


class WorkerEvents(Protocol):
    """Receiver of what a worker sends: its pool."""

    def worker_started(self, worker: WorkerProcess) -> None:
        """The process runs; it takes no jobs before `worker_ready`."""

    def worker_ready(self, worker: WorkerProcess) -> None: ...

    def worker_sound(self, worker: WorkerProcess, sound: SoundFrame) -> None: ...

    def worker_done(self, worker: WorkerProcess, done: DoneFrame) -> None: ...

    def worker_failed(self, worker: WorkerProcess, number: int) -> None: ...

    def worker_lost(self, worker: WorkerProcess) -> None: ...


class WorkerProcess(asyncio.Protocol):
    """A worker process as the engine sees it: a socket that takes jobs and gives speech.

    Start one with `spawn`. After `worker_lost` nothing more comes, and the process is being reaped.
    Speech is read from the socket as it comes, so a worker never waits for a listener; the length of
    a job's text bounds what it can yield.

    reaped: done when the process has ended, None while the socket is open.
    """

    def __init__(self, events: WorkerEvents, process: subprocess.Popen[bytes]) -> None:
        self._events = events
        self._process = process
        self._reader = FrameReader()
        self._transport: asyncio.WriteTransport | None = None
        self.reaped: asyncio.Future[int] | None = None

    @classmethod
    async def spawn(cls, command: Sequence[str], events: WorkerEvents) -> WorkerProcess:
        """Start a process. Raises OSError. Cancel-safe: leaves no process behind."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = _popen(command, theirs)
        except OSError:
            ours.close()
            raise
        worker = cls(events, process)
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: worker, sock=ours)
        except BaseException:
            ours.close()
            process.kill()
            process.wait()
            raise
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    def give(self, job: JobFrame) -> None:
        """Send a job to a worker that is ready and idle."""
        self._write(pack_job(job))

    def stop_job(self, number: int) -> None:
        """Ask the worker to end the job early; `worker_done` still follows."""
        self._write(pack_stop(number))

    def close(self) -> None:
        """Let the process end by itself, a busy one when it notices the closed socket."""
        self._write(pack_quit())
        if self._transport is not None:
            self._transport.close()

    def kill(self) -> None:
        self._process.kill()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is no subclass of it
        self._events.worker_started(self)

    def data_received(self, data: bytes) -> None:
        try:
            for kind, body in self._reader.feed(data):
                self._handle(kind, body)
        except ValueError:  # garbage: the process is of no use any more
            self.kill()

    def connection_lost(self, exc: Exception | None) -> None:
        loop = asyncio.get_running_loop()
        try:
            self.reaped = loop.run_in_executor(None, _reap, self._process)
        except RuntimeError:  # no thread can be started; a killed process ends without delay
            self._process.kill()
            self.reaped = loop.create_future()
            self.reaped.set_result(self._process.wait())
        self._events.worker_lost(self)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _handle(self, kind: FrameKind, body: bytes) -> None:
        match kind:
            case FrameKind.SOUND:
                self._events.worker_sound(self, unpack_sound(body))
            case FrameKind.DONE:
                self._events.worker_done(self, unpack_done(body))
            case FrameKind.READY:
                self._events.worker_ready(self)
            case FrameKind.FAILED:
                self._events.worker_failed(self, unpack_number(body))
            case FrameKind.JOB | FrameKind.STOP | FrameKind.QUIT:
                raise ValueError("a worker sent what only the engine sends")


def _popen(command: Sequence[str], channel: socket.socket) -> subprocess.Popen[bytes]:
    # Python starts it with vfork: the event loop is held up for about a millisecond.
    return subprocess.Popen(
        command,
        stdin=channel.fileno(),
        stdout=subprocess.DEVNULL,  # espeak-ng prints complaints to both
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _reap(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process whose socket is closed; one that does not end soon is killed."""
    try:
        return process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _end(status: int) -> str:
    """How a process ended, from its return code."""
    if status >= 0:
        return f"it ended with status {status}"
    with suppress(ValueError):  # a real-time signal has no name
        return f"it was ended by {signal.Signals(-status).name}"
    return f"it was ended by signal {-status}"


_SLICE = round(0.15 * SAMPLE_RATE)
_SLICE_FOR_EACH = round(0.02 * SAMPLE_RATE)
"""Samples that a job of espeak-ng may give in one go while listeners who have heard nothing wait, and so
many more for each of them: the longer it takes until its turn comes again. The remainder is synthesised
later, from the start of the job again: that is fast, and speech repeats exactly."""

_START_FAILURES = 3
"""Failed starts in a row after which jobs no longer wait for a first worker."""
_FIRST_DELAY = 0.1
_DOUBLINGS = 7
"""Of the delay between starts that fail: the longest is 12.8 s."""


@dataclass(slots=True, eq=False)
class _WorkerSlot:
    """A worker and its job.

    alarm: kills the worker if the job, or its start, takes too long. overdue: that it has, in words.
    given_at: loop time at which it was given its job. first: whether the job's listener had heard nothing.
    """

    worker: WorkerProcess
    alarm: asyncio.TimerHandle
    overdue: str = ""
    ready: bool = False
    job: Job | None = None
    number: int = 0
    voice: str = ""
    given_at: float = 0.0
    first: bool = False


class WorkerPool:
    """Runs jobs on worker processes, the most urgent first, and replaces workers that die.

    The job of a worker that dies fails with EngineDied; waiting jobs go to another worker. A worker that
    cannot be replaced leaves the others at work: its start is tried again, ever more seldom, and the log
    says how many workers are left. While there is none and none can be started, jobs fail with
    EngineNotReady.

    size: number of processes. job_limit, start_limit: seconds that a job and a start may take.
    restarts: workers started in place of dead ones.
    """

    def __init__(self, size: int, job_limit: float, start_limit: float) -> None:
        self._size = size
        self.job_limit = job_limit
        self._start_limit = start_limit
        self.command: Sequence[str] = ()
        self._slots: dict[WorkerProcess, _WorkerSlot] = {}
        self._queue = JobQueue()
        self._numbers = count(1)
        """Numbers for jobs on workers; each slice of a job gets one."""
        self._running = False
        """Whether workers that die are replaced."""
        self._failures = 0
        """Failed starts since the last one that succeeded."""
        self._changed = asyncio.Event()
        """Set when a worker became ready or ended; `start` and `stop` wait for it."""
        self._tasks: set[asyncio.Task[None]] = set()
        """Starts under way."""
        self._reaping: set[asyncio.Future[int]] = set()
        """Processes that were told to end."""
        self._loss = ""
        """Why the last worker was lost."""
        self._reported: tuple[int, str] | None = None
        """The number of workers left and the reason, as the log last said; None while all run."""
        self.restarts = 0

    @property
    def ready(self) -> bool:
        """Whether a job submitted now would be run, if only by a dead worker's replacement."""
        return self._running and (self.workers > 0 or self._failures < _START_FAILURES)

    @property
    def workers(self) -> int:
        """The number of processes that can take jobs."""
        return sum(slot.ready for slot in self._slots.values())

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self._slots]

    @property
    def queue_depth(self) -> int:
        """The number of jobs that wait for a worker."""
        return len(self._queue)

    async def start(self, command: Sequence[str]) -> None:
        """Start all workers and wait until each runs or has failed. Raises EngineNotReady if none runs."""
        self.command = command
        self._running = True
        self._failures = 0
        self._reported = None
        before = self.restarts
        for _ in range(self._size):
            self._launch(delay=0.0)
        while self.workers + self.restarts - before < self._size:
            self._changed.clear()
            await self._changed.wait()
        if not self.workers:
            await self.stop()
            raise EngineNotReady(f"the workers of the embedded voice do not start: {self._loss}")

    async def stop(self) -> None:
        """End all workers and wait for them; waiting and running jobs fail with EngineNotReady."""
        self._running = False
        for task in self._tasks:
            task.cancel()
        for slot in list(self._slots.values()):
            slot.worker.close()
        self._fail_waiting(EngineNotReady("the engine is stopping"))
        while self._tasks or self._slots or self._reaping:
            self._changed.clear()
            await self._changed.wait()

    def submit(self, job: Job) -> None:
        """Queue a job. Never waits."""
        if not self.ready:
            job.listener.job_failed(job, EngineNotReady("the embedded voice is not running"))
            return
        self._queue.push(job, self._time())
        self._dispatch()

    def cancel(self, job: Job) -> None:
        """Drop a job, waiting or running; its listener hears no more of it. Idempotent."""
        if job.cancelled:
            return
        job.cancelled = True
        if job.queued:
            self._queue.discard(job)
            return
        for slot in self._slots.values():
            if slot.job is job:
                slot.worker.stop_job(slot.number)

    # WorkerEvents

    def worker_started(self, worker: WorkerProcess) -> None:
        alarm = self._alarm(worker, self._start_limit, "start")
        self._slots[worker] = _WorkerSlot(worker, alarm)
        if not self._running:
            worker.close()

    def worker_ready(self, worker: WorkerProcess) -> None:
        slot = self._slots[worker]
        slot.alarm.cancel()
        slot.ready = True
        self._failures = 0
        if self._reported is not None and self.workers == self._size:
            self._reported = None
            _log.info("all %d workers of the embedded voice run again", self._size)
        self._changed.set()
        self._dispatch()

    def worker_sound(self, worker: WorkerProcess, sound: SoundFrame) -> None:
        job = self._job_of(worker, sound.number)
        if job is not None and not job.cancelled:
            waited, job.waited = job.waited, 0.0
            job.given += len(sound.pcm) // 2
            job.silent = False
            job.listener.job_sound(job, sound, waited)

    def worker_done(self, worker: WorkerProcess, done: DoneFrame) -> None:
        job = self._release(worker, done.number)
        if job is not None and not job.cancelled:
            if done.complete:
                job.listener.job_done(job, done.seconds)
            else:
                job.deadline = self._time() + job.given / SAMPLE_RATE
                self._queue.push(job, self._time())
        self._dispatch()

    def worker_failed(self, worker: WorkerProcess, number: int) -> None:
        job = self._release(worker, number)
        if job is not None and not job.cancelled:
            job.listener.job_failed(job, EngineError("the embedded voice cannot speak this text"))
        self._dispatch()

    def worker_lost(self, worker: WorkerProcess) -> None:
        slot = self._slots.pop(worker)
        slot.alarm.cancel()
        self._track_reaping(worker, slot.overdue)
        if slot.job is not None and not slot.job.cancelled:
            reason = (
                EngineDied("the process that was speaking ended unexpectedly")
                if self._running
                else EngineNotReady("the engine is stopping")
            )
            slot.job.listener.job_failed(slot.job, reason)
        if self._running:
            self._replace(started=slot.ready)
        self._changed.set()

    # Workers

    def _launch(self, delay: float) -> None:
        task = asyncio.get_running_loop().create_task(self._spawn(delay))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._changed.set())

    async def _spawn(self, delay: float) -> None:
        await asyncio.sleep(delay)
        try:
            await WorkerProcess.spawn(self.command, self)
        except Exception as error:  # whatever it is, the place of this worker must not stay empty
            self._replace(started=False)
            self._lost(f"it does not start: {error}")
            self._changed.set()

    def _replace(self, *, started: bool) -> None:
        """Start another worker, after a delay that doubles with each failed start."""
        delay = 0.0
        if not started:
            self._failures += 1
            delay = _FIRST_DELAY * 2 ** min(self._failures, _DOUBLINGS)
        self.restarts += 1
        if not self.ready:
            self._fail_waiting(EngineNotReady("the workers of the embedded voice do not start"))
        self._launch(delay)

    def _track_reaping(self, worker: WorkerProcess, overdue: str) -> None:
        def reaped(process: asyncio.Future[int]) -> None:
            self._reaping.discard(process)
            self._lost(overdue or _end(process.result()))
            self._changed.set()

        assert worker.reaped is not None
        self._reaping.add(worker.reaped)
        worker.reaped.add_done_callback(reaped)

    def _lost(self, reason: str) -> None:
        """Tell the log of a worker that was lost. Starts that keep failing alike are told of once."""
        self._loss = reason
        if not self._running or self._reported == (self.workers, reason):
            return
        self._reported = self.workers, reason
        _log.log(
            logging.WARNING if self.workers else logging.ERROR,
            "a worker of the embedded voice was lost, %d of %d are left: %s",
            self.workers,
            self._size,
            reason,
        )

    def _alarm(self, worker: WorkerProcess, seconds: float, what: str) -> asyncio.TimerHandle:
        """Kill the worker unless the handle is cancelled within so many seconds."""

        def ring() -> None:
            self._slots[worker].overdue = f"its {what} took longer than {seconds:g} s"
            worker.kill()

        return asyncio.get_running_loop().call_later(seconds, ring)

    # Jobs

    def _time(self) -> float:
        return asyncio.get_running_loop().time()

    def _dispatch(self) -> None:
        """Give waiting jobs to idle workers, preferably to one that has the voice loaded."""
        idle = [slot for slot in self._slots.values() if slot.ready and slot.job is None]
        while idle and (job := self._queue.pop(self._time(), self.workers)) is not None:
            slot = min(idle, key=lambda slot: slot.voice != job.frame.voice)
            idle.remove(slot)
            self._assign(slot, job)

    def _assign(self, slot: _WorkerSlot, job: Job) -> None:
        slot.job, slot.number, slot.voice = job, next(self._numbers), job.frame.voice
        slot.given_at, slot.first = self._time(), job.silent
        silent = self._queue.silent
        limit = _SLICE + silent * _SLICE_FOR_EACH if silent else 0
        frame = job.frame._replace(
            number=slot.number, skip=job.given, limit=limit, first=job.frame.first and not job.given
        )
        slot.alarm = self._alarm(slot.worker, self.job_limit, "job")
        slot.worker.give(frame)

    def _job_of(self, worker: WorkerProcess, number: int) -> Job | None:
        slot = self._slots[worker]
        return slot.job if slot.number == number else None

    def _release(self, worker: WorkerProcess, number: int) -> Job | None:
        """Note that the worker has ended the job and is idle; return the job."""
        slot = self._slots[worker]
        if slot.number != number:
            return None
        slot.alarm.cancel()
        if not slot.first:
            self._queue.took(self._time() - slot.given_at)
        job, slot.job = slot.job, None
        return job

    def _fail_waiting(self, error: EngineError) -> None:
        while (job := self._queue.pop(self._time(), self.workers)) is not None:
            job.listener.job_failed(job, error)

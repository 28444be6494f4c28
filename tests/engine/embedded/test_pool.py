import asyncio
import logging
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from cosyserve.engine.embedded import pool as pools
from cosyserve.engine.embedded.espeak.installation import find_espeak, make_data, remove_data
from cosyserve.engine.embedded.frames import JobFrame, SoundFrame
from cosyserve.engine.embedded.jobs import Job
from cosyserve.engine.embedded.pool import WorkerPool, WorkerProcess, worker_command
from cosyserve.engine.interface import EngineDied, EngineError, EngineNotReady

SENTENCE = "The birch canoe slid on the smooth planks, and nobody said a word about it."


class Listener:
    """Notes what it hears in a log shared by all."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log
        self.pcm = b""
        self.error: EngineError | None = None
        self.over = asyncio.Event()

    def job_sound(self, job: Job, sound: SoundFrame, waited: float) -> None:
        if not self.pcm:
            self.log.append(f"{self.name} sounds")
        self.pcm += sound.pcm

    def job_done(self, job: Job, seconds: float) -> None:
        self.log.append(f"{self.name} done")
        self.over.set()

    def job_failed(self, job: Job, error: EngineError) -> None:
        self.error = error
        self.over.set()


def make_job(listener: Listener, deadline: float = 0.0, silent: bool = True) -> Job:
    frame = JobFrame(0, "en-us+cosy-f1", SENTENCE, 175, 50, 50, 80)
    return Job(frame, listener, deadline, silent)


def command(data: str) -> tuple[str, ...]:
    return worker_command(find_espeak().library, data, "en-us+cosy-f1")


@pytest_asyncio.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    data = make_data(find_espeak().data)
    pool = WorkerPool(size=1, job_limit=60, start_limit=60)
    await pool.start(command(data))
    yield pool
    await pool.stop()
    remove_data(data)


async def test_all_are_heard_before_any_is_done(pool: WorkerPool) -> None:
    log: list[str] = []
    listeners = [Listener(str(i), log) for i in range(50)]
    for listener in listeners:
        pool.submit(make_job(listener))
    assert pool.queue_depth == 49
    await asyncio.gather(*(listener.over.wait() for listener in listeners))
    assert pool.queue_depth == 0
    assert log[0] == "0 sounds"
    # The first got its worker while nobody waited, so it alone spoke to the end.
    sounds = [entry for entry in log if entry.endswith("sounds")]
    assert sounds == [f"{i} sounds" for i in range(50)]
    assert [entry for entry in log[:51] if entry.endswith("done")] == ["0 done"]
    assert len({listener.pcm for listener in listeners}) == 1


async def test_the_earliest_deadline_goes_first_and_equals_in_order(pool: WorkerPool) -> None:
    log: list[str] = []
    deadlines = {"running": 0.0, "late": 9.0, "soon": 1.0, "later": 9.0, "sooner": 0.5}
    listeners = {name: Listener(name, log) for name in deadlines}
    for name, deadline in deadlines.items():
        pool.submit(make_job(listeners[name], deadline, silent=False))
    await asyncio.gather(*(listener.over.wait() for listener in listeners.values()))
    assert [entry.split()[0] for entry in log if entry.endswith("done")] == [
        *("running", "sooner", "soon", "late", "later"),
    ]


async def test_a_cancelled_job_is_heard_no_more_wherever_it_is(pool: WorkerPool) -> None:
    log: list[str] = []
    running, queued, other = (Listener(name, log) for name in ("running", "queued", "other"))
    jobs = [make_job(listener) for listener in (running, queued, other)]
    for job in jobs:
        pool.submit(job)
    for job in jobs[:2]:
        pool.cancel(job)
        pool.cancel(job)
    assert pool.queue_depth == 1
    await other.over.wait()
    assert log == ["other sounds", "other done"]
    pool.cancel(jobs[2])
    assert pool.queue_depth == 0


async def test_when_a_worker_is_killed_only_its_job_fails(pool: WorkerPool) -> None:
    running, queued = Listener("running", []), Listener("queued", [])
    [pid] = pool.pids
    os.kill(pid, signal.SIGSTOP)  # so that it has not spoken before it is killed
    pool.submit(make_job(running))
    pool.submit(make_job(queued))
    os.kill(pid, signal.SIGKILL)
    await asyncio.gather(running.over.wait(), queued.over.wait())
    assert isinstance(running.error, EngineDied)
    assert queued.error is None
    assert queued.pcm
    assert pool.ready
    assert pool.restarts == 1
    assert pool.pids != [pid]


async def test_a_job_that_hangs_is_ended(pool: WorkerPool) -> None:
    pool.job_limit = 0.2
    listener = Listener("hung", [])
    [pid] = pool.pids
    os.kill(pid, signal.SIGSTOP)
    pool.submit(make_job(listener))
    await listener.over.wait()
    assert isinstance(listener.error, EngineDied)
    after = Listener("after", [])
    pool.job_limit = 60
    pool.submit(make_job(after))
    await after.over.wait()
    assert after.error is None


async def test_a_command_that_fails_is_not_ready() -> None:
    pool = WorkerPool(size=2, job_limit=60, start_limit=60)
    with pytest.raises(EngineNotReady, match="it ended with status 0"):
        await pool.start([sys.executable, "-c", ""])
    assert not pool.ready
    assert not pool.pids


async def test_while_workers_cannot_be_replaced_jobs_fail_at_once(pool: WorkerPool) -> None:
    pool.command = [sys.executable, "-c", ""]
    waiting = Listener("waiting", [])
    [pid] = pool.pids
    os.kill(pid, signal.SIGSTOP)
    first = Listener("first", [])
    pool.submit(make_job(first))
    pool.submit(make_job(waiting))
    os.kill(pid, signal.SIGKILL)
    await waiting.over.wait()
    assert isinstance(first.error, EngineDied)
    assert isinstance(waiting.error, EngineNotReady)
    assert not pool.ready
    late = Listener("late", [])
    pool.submit(make_job(late))
    assert isinstance(late.error, EngineNotReady)


async def test_stop_fails_what_is_left_and_leaves_no_process() -> None:
    data = make_data(find_espeak().data)
    pool = WorkerPool(size=2, job_limit=60, start_limit=60)
    await pool.start(command(data))
    pids = pool.pids
    assert len(pids) == 2
    listeners = [Listener(str(i), []) for i in range(5)]
    for listener in listeners:
        pool.submit(make_job(listener))
    await pool.stop()
    await pool.stop()
    assert all(isinstance(listener.error, EngineNotReady) for listener in listeners)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    remove_data(data)
    await pool.start(command(data := make_data(find_espeak().data)))
    assert pool.ready
    await pool.stop()
    remove_data(data)


class WatchedPool(WorkerPool):
    """Four workers whose command fails while a file does not exist; tests wait for what befalls them."""

    def __init__(self, allowed: Path) -> None:
        super().__init__(size=4, job_limit=60, start_limit=60)
        self.allowed = allowed
        self.losses = asyncio.Semaphore(0)
        self.starts = asyncio.Semaphore(0)

    def command_for(self, data: str) -> list[str]:
        script = f"test -e {self.allowed} || exit 3; exec {shlex.join(command(data))}"
        return ["/bin/sh", "-c", script]

    def worker_lost(self, worker: WorkerProcess) -> None:
        super().worker_lost(worker)
        self.losses.release()

    def worker_ready(self, worker: WorkerProcess) -> None:
        super().worker_ready(worker)
        self.starts.release()


@pytest_asyncio.fixture
async def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WatchedPool]:
    monkeypatch.setattr(pools, "_FIRST_DELAY", 0.001)
    data = make_data(find_espeak().data)
    pool = WatchedPool(tmp_path / "allowed")
    pool.allowed.touch()
    await pool.start(pool.command_for(data))
    await times(4, pool.starts)
    yield pool
    await pool.stop()
    remove_data(data)


async def times(number: int, event: asyncio.Semaphore) -> None:
    for _ in range(number):
        await event.acquire()


async def heard(pool: WorkerPool) -> Listener:
    listener = Listener("a", [])
    pool.submit(make_job(listener))
    await listener.over.wait()
    return listener


async def test_a_worker_that_cannot_be_replaced_leaves_the_others_at_work(
    watched: WatchedPool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, pools.__name__)
    watched.allowed.unlink()
    os.kill(watched.pids[0], signal.SIGKILL)
    await times(1 + 10, watched.losses)
    assert watched.workers == 3
    assert watched.ready
    assert (await heard(watched)).error is None
    assert [record.getMessage() for record in caplog.records] == [
        "a worker of the embedded voice was lost, 3 of 4 are left: it was ended by SIGKILL",
        "a worker of the embedded voice was lost, 3 of 4 are left: it ended with status 3",
    ]
    caplog.clear()
    watched.allowed.touch()
    await times(1, watched.starts)
    assert watched.workers == 4
    assert [record.getMessage() for record in caplog.records] == [
        "all 4 workers of the embedded voice run again"
    ]


async def test_without_any_worker_it_is_not_ready_and_recovers_by_itself(
    watched: WatchedPool, caplog: pytest.LogCaptureFixture
) -> None:
    watched.allowed.unlink()
    for pid in watched.pids:
        os.kill(pid, signal.SIGKILL)
    await times(4 + 8, watched.losses)
    assert not watched.ready
    assert isinstance((await heard(watched)).error, EngineNotReady)
    assert any(record.levelno == logging.ERROR for record in caplog.records)
    watched.allowed.touch()
    await times(1, watched.starts)
    assert watched.ready
    assert (await heard(watched)).error is None
    await times(3, watched.starts)
    assert watched.workers == 4


async def test_a_start_goes_on_with_the_workers_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "_FIRST_DELAY", 60.0)
    data = make_data(find_espeak().data)
    pool = WorkerPool(size=2, job_limit=60, start_limit=60)
    # Only one process can make the folder.
    script = f"mkdir {tmp_path / 'one'} || exit 3; exec {shlex.join(command(data))}"
    await pool.start(["/bin/sh", "-c", script])
    assert pool.workers == 1
    assert (await heard(pool)).error is None
    await pool.stop()
    remove_data(data)


async def test_starts_are_tried_again_however_many_have_failed(
    watched: WatchedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "_failures", 5000)  # a power of two that no float can hold
    watched.allowed.unlink()
    os.kill(watched.pids[0], signal.SIGKILL)
    await times(3, watched.losses)
    watched.allowed.touch()
    await times(1, watched.starts)
    assert watched.workers == 4

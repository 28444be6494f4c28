"""The one thread that owns the device. Everything that touches torch while serving runs on it, in turn."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from ...interface import EngineDied

T = TypeVar("T")


class DeviceClosed(EngineDied):
    """The device thread has ended; nothing runs on it any more."""


@dataclass(order=True, slots=True)
class _Job:
    priority: int
    number: int
    run: Callable[[], Any] = field(compare=False)
    future: asyncio.Future[Any] = field(compare=False)
    loop: asyncio.AbstractEventLoop = field(compare=False)


class DeviceThread:
    """A thread that runs jobs one at a time, the lowest priority number first, then in order of arrival.

    Jobs run under torch.inference_mode. An idle thread sleeps; it does not poll. Jobs may be given
    from any event loop.
    """

    def __init__(self, device: torch.device | str = "cpu", name: str = "device") -> None:
        self.device = torch.device(device)
        self._jobs: list[_Job] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._closing = False
        self._busy_seconds = 0.0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def busy_seconds(self) -> float:
        """Seconds spent in jobs so far."""
        return self._busy_seconds

    @property
    def queue_depth(self) -> int:
        """Jobs that wait."""
        return len(self._jobs)

    def submit(self, job: Callable[[], T], priority: int = 0) -> asyncio.Future[T]:
        """Run `job` on the thread; await the future for its result or its exception.

        Cancelling the future drops a job that has not begun; one that runs goes on, its result is
        dropped. Call it in a running event loop. Raises DeviceClosed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._changed:
            if self._closing:
                raise DeviceClosed("the device is closed")
            heapq.heappush(self._jobs, _Job(priority, next(self._numbers), job, future, loop))
            self._changed.notify()
        return future

    async def close(self) -> None:
        """End the thread after the job that runs; jobs that wait fail with DeviceClosed. Idempotent."""
        with self._changed:
            self._closing = True
            waiting, self._jobs = self._jobs, []
            self._changed.notify()
        for job in waiting:
            _deliver(job, None, DeviceClosed("the device is closed"))
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        with torch.inference_mode():
            while (job := self._next()) is not None:
                self._do(job)
                del job  # else an idle thread would keep the last job's tensors alive

    def _next(self) -> _Job | None:
        with self._changed:
            while not self._jobs and not self._closing:
                self._changed.wait()
            return heapq.heappop(self._jobs) if self._jobs else None

    def _do(self, job: _Job) -> None:
        if job.future.cancelled():
            return
        began = time.perf_counter()
        result, error = None, None
        try:
            result = job.run()
        except BaseException as raised:  # it belongs to whoever gave the job; the thread must live
            error = raised
        self._busy_seconds += time.perf_counter() - began
        _deliver(job, result, error)


def _deliver(job: _Job, result: object, error: BaseException | None) -> None:
    def settle() -> None:
        if job.future.done():
            return
        if error is None:
            job.future.set_result(result)
        else:
            job.future.set_exception(error)

    try:
        job.loop.call_soon_threadsafe(settle)
    except RuntimeError:  # the loop is closed: nobody waits any more
        return

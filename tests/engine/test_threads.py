"""Threads for one kind of work, and waiting for what cannot be stopped."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest

from cosyserve.engine.threads import Threads, uninterrupted

WHO: ContextVar[str] = ContextVar("WHO")


async def test_a_call_runs_on_a_thread_of_the_name_with_the_callers_context() -> None:
    threads = Threads("lookup", 1)
    WHO.set("alice")
    name, who = await threads.run(lambda: (threading.current_thread().name, WHO.get()))
    assert (name, who) == ("lookup_0", "alice")
    with pytest.raises(KeyError):
        await threads.run({}.__getitem__, "missing")
    threads.close()


async def test_more_work_than_threads_waits_and_closing_drops_it() -> None:
    threads, go_on = Threads("few", 2), threading.Event()
    begun = threading.Semaphore(0)

    def block() -> None:
        begun.release()
        assert go_on.wait(60)

    running = [asyncio.create_task(threads.run(block)) for _ in range(3)]
    for _ in range(2):
        await asyncio.to_thread(begun.acquire)
    threads.close()
    with pytest.raises(asyncio.CancelledError):
        await running[2]
    go_on.set()
    await asyncio.gather(*running[:2])
    assert not begun.acquire(blocking=False)
    assert await threads.run(lambda: "again") == "again"
    threads.close()


async def test_cancelling_waits_for_work_that_is_not_interrupted() -> None:
    began, go_on, done = asyncio.Event(), asyncio.Event(), []

    async def work() -> None:
        began.set()
        await go_on.wait()
        done.append("whole")
        raise ValueError("nobody is left to be told")

    waiting = asyncio.create_task(uninterrupted(work()))
    await began.wait()
    waiting.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert done == ["whole"]


async def test_work_that_is_not_interrupted_gives_its_result_and_its_error() -> None:
    async def work(number: int) -> float:
        return 1 / number

    assert await uninterrupted(work(2)) == 0.5
    with pytest.raises(ZeroDivisionError):
        await uninterrupted(work(0))

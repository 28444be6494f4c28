from __future__ import annotations

import asyncio
import threading

import pytest
import torch

from cosyserve.engine.cosyvoice.scheduling.device import DeviceClosed, DeviceThread


class Gate:
    """A job that holds the thread until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.opened.wait(timeout=30)
        return "through"


async def test_jobs_run_in_turn_on_one_thread_in_inference_mode() -> None:
    device = DeviceThread(name="test device")
    seen: list[tuple[int, str, bool]] = []

    def job(number: int) -> int:
        seen.append((number, threading.current_thread().name, torch.is_inference_mode_enabled()))
        return number * number

    results = await asyncio.gather(*(device.submit(lambda n=n: job(n)) for n in range(20)))
    assert results == [n * n for n in range(20)]
    assert seen == [(n, "test device", True) for n in range(20)]
    assert device.busy_seconds > 0
    await device.close()


async def test_a_lower_number_goes_first() -> None:
    device = DeviceThread()
    gate = Gate()
    order: list[str] = []
    jobs = [device.submit(gate)]
    await asyncio.to_thread(gate.entered.wait)
    jobs += [
        device.submit(lambda name=name: order.append(name), priority)  # type: ignore[misc]
        for name, priority in (("late", 5), ("first", -1), ("second", -1), ("middle", 0))
    ]
    assert device.queue_depth == 4
    gate.opened.set()
    await asyncio.gather(*jobs)
    assert order == ["first", "second", "middle", "late"]
    await device.close()


async def test_an_exception_reaches_the_waiter_and_the_thread_lives() -> None:
    device = DeviceThread()

    def fails() -> None:
        raise ZeroDivisionError("of mine")

    with pytest.raises(ZeroDivisionError, match="of mine"):
        await device.submit(fails)
    assert await device.submit(lambda: 7) == 7
    await device.close()


async def test_a_cancelled_job_does_not_begin() -> None:
    device = DeviceThread()
    gate = Gate()
    running = device.submit(gate)
    ran: list[int] = []
    waiting = device.submit(lambda: ran.append(1))
    waiting.cancel()
    gate.opened.set()
    assert await running == "through"
    await device.submit(lambda: None)
    assert not ran
    await device.close()


async def test_close_ends_the_running_job_and_fails_those_that_wait() -> None:
    device = DeviceThread()
    gate = Gate()
    running = device.submit(gate)
    await asyncio.to_thread(gate.entered.wait)
    waiting = device.submit(lambda: None)
    closing = asyncio.create_task(device.close())
    with pytest.raises(DeviceClosed):
        await waiting
    assert not closing.done()
    gate.opened.set()
    await closing
    assert await running == "through"
    with pytest.raises(DeviceClosed):
        device.submit(lambda: None)
    await device.close()


def test_a_result_for_a_closed_loop_is_dropped() -> None:
    device = DeviceThread()
    gate = Gate()

    async def leave_it() -> None:
        device.submit(gate)

    asyncio.run(leave_it())
    gate.opened.set()

    async def after() -> int:
        result = await device.submit(lambda: 3)
        await device.close()
        return result

    assert asyncio.run(after()) == 3

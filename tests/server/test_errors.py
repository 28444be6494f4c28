"""Every error of an engine has its code on the wire."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from cosyserve.engine import interface as engine_errors
from cosyserve.engine.interface import EngineError
from cosyserve.protocol.errors import Throttled
from cosyserve.server.errors import ContractBroken, as_tts_error, must_propagate

CODES = {
    "EngineNotReady": "EngineUnavailable",
    "EngineBusy": "Throttled",
    "EngineDied": "EngineUnavailable",
    "UnsupportedRequest": "InvalidParameter",
    "InvalidReference": "InvalidAudio",
    "EngineError": "InternalError",
}


@pytest.mark.parametrize("name", CODES)
def test_code_and_message(name: str) -> None:
    told = as_tts_error(getattr(engine_errors, name)("this is why"))
    assert told.code == CODES[name]
    assert "this is why" in told.message


def test_every_engine_error_is_listed() -> None:
    assert {each.__name__ for each in EngineError.__subclasses__() if each.__module__.endswith(
        "engine.interface"
    )} | {"EngineError"} == set(CODES)  # fmt: skip


def test_a_subclass_has_its_parents_code() -> None:
    class DeviceGone(engine_errors.EngineDied): ...

    assert as_tts_error(DeviceGone("gone")).code == "EngineUnavailable"


def test_what_nobody_foresaw_is_told_bare() -> None:
    told = as_tts_error(RuntimeError("secret detail"))
    assert told.code == "InternalError"
    assert "secret" not in told.message


def test_busy_says_when_to_come_back() -> None:
    told = as_tts_error(engine_errors.EngineBusy("full"))
    assert isinstance(told, Throttled)
    assert told.retry_after >= 1


def test_what_an_engine_broke_is_in_the_log_and_not_on_the_wire() -> None:
    error = ContractBroken("iteration ended")
    with capture_logs() as lines:
        told = as_tts_error(error)
    assert (told.code, told.message) == ("InternalError", "internal error")
    (line,) = lines
    assert (line["event"], line["broke"]) == ("unexpected_error", "iteration ended")
    assert line["exc_info"] is error


async def test_only_a_cancelled_task_is_to_end() -> None:
    seen: list[bool] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            seen.append(must_propagate(error))
            raise

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task  # the same error here comes from inside: nobody cancels this task
    try:
        await task
    except asyncio.CancelledError as error:
        seen.append(must_propagate(error))
    assert seen == [True, False]


async def test_a_closed_coroutine_is_to_end_only_where_no_task_runs_it() -> None:
    assert not must_propagate(GeneratorExit())
    assert await asyncio.to_thread(must_propagate, GeneratorExit())
    assert must_propagate(KeyboardInterrupt())
    assert not must_propagate(SystemExit())

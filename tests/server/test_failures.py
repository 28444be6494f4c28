"""Every error of an engine has its code on the wire."""

from __future__ import annotations

import pytest

from cosyserve.engine import errors as engine_errors
from cosyserve.engine.errors import EngineError
from cosyserve.protocol.errors import Throttled
from cosyserve.server.failures import as_tts_error

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
        "engine.errors"
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

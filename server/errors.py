"""Where every exception becomes an error with a wire code."""

from __future__ import annotations

import asyncio

import structlog

from cosyserve.engine.interface import (
    EngineBusy,
    EngineDied,
    EngineError,
    EngineNotReady,
    InvalidReference,
    UnsupportedRequest,
)
from cosyserve.protocol.errors import (
    EngineUnavailable,
    InternalError,
    InvalidAudio,
    InvalidParameter,
    Throttled,
    TTSError,
    Unauthorized,
)

log = structlog.get_logger(__name__)


def error_headers(error: TTSError) -> dict[str, str]:
    """The headers of an HTTP answer that tells this error, on REST and at a handshake alike."""
    match error:
        case Throttled():
            return {"Retry-After": str(error.retry_after)}
        case Unauthorized():
            return {"WWW-Authenticate": "Bearer"}
        case _:
            return {}


class ContractBroken(Exception):
    """An engine broke engine.interface; the message says how, for the log and never for a client."""


def goes_on(error: BaseException) -> bool:
    """Whether an exception is no failure of the work it came out of, and has to be raised on.

    It is none if it ends whoever waits for that work: the current asyncio task is being cancelled, its
    coroutine closed without a task that runs it, or the process ends. A CancelledError that comes without
    that is a failure like any other, for it came from inside: what was waited for had been cancelled.
    """
    match error:
        case asyncio.CancelledError():
            task = _current_task()
            return task is not None and task.cancelling() > 0
        case GeneratorExit():
            return _current_task() is None
        case _:
            return isinstance(error, KeyboardInterrupt)


def _current_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs
        return None


def as_tts_error(error: BaseException) -> TTSError:
    """The wire's error for any exception; one that nobody foresaw is logged whole and told bare."""
    match error:
        case TTSError():
            return error
        case EngineDied() | EngineNotReady():
            return EngineUnavailable(str(error))
        case EngineBusy():
            return Throttled(str(error))
        case UnsupportedRequest():
            return InvalidParameter(str(error))
        case InvalidReference():
            return InvalidAudio(str(error))
        case EngineError():
            return InternalError(str(error))
        case _:
            report(error)
            return InternalError("internal error")


def report(error: BaseException) -> None:
    """Log an exception that nobody foresaw, with its traceback; one of an engine's names what it broke."""
    broke = {"broke": str(error)} if isinstance(error, ContractBroken) else {}
    log.error("unexpected_error", exc_info=error, **broke)

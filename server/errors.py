"""From any exception to an error with a wire code."""

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
    QuotaExceeded,
    Throttled,
    TTSError,
    Unauthorized,
)

log = structlog.get_logger(__name__)


def error_headers(error: TTSError) -> dict[str, str]:
    """The headers of an HTTP answer with this error, to a request or an upgrade."""
    match error:
        case Throttled() | QuotaExceeded():
            return {"Retry-After": str(error.retry_after)}
        case Unauthorized():
            return {"WWW-Authenticate": "Bearer"}
        case _:
            return {}


class ContractBroken(Exception):
    """An engine did what `engine.interface` forbids; the message is for the log, never for a client."""


def must_propagate(error: BaseException) -> bool:
    """Whether an exception ends the code that caught it, so that it is no failure of the work it came from.

    Such code is ended when its asyncio task is being cancelled, when its coroutine is closed without a
    task that runs it, or when the process ends. Any other CancelledError is a failure like the rest: the
    work itself had waited for something that was cancelled.
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
    """The wire's error for any exception. An unexpected one is logged whole and sent without its message."""
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
    """Log an unexpected exception with its traceback, and of a ContractBroken what the engine broke."""
    broke = {"broke": str(error)} if isinstance(error, ContractBroken) else {}
    log.error("unexpected_error", exc_info=error, **broke)

"""Where every exception becomes an error with a wire code."""

from __future__ import annotations

import structlog

from cosyserve.engine.errors import (
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


def as_tts_error(error: Exception) -> TTSError:
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
            log.error("unexpected_error", exc_info=error)
            return InternalError("internal error")

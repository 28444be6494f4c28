"""Errors as this dialect's clients know them."""

from __future__ import annotations

from typing import Final

from ..errors import TTSError
from ..fields import JsonObject

_STATUSES: Final = {
    "InvalidParameter": "invalid_parameters",
    "Unauthorized": "invalid_api_key",
    "ModelNotFound": "model_not_found",
    "ReferenceAudioNotFound": "voice_not_found",
    "NotFound": "not_found",
    "MethodNotAllowed": "method_not_allowed",
    "RequestTimeout": "request_timeout",
    "PayloadTooLarge": "payload_too_large",
    "TextTooLong": "max_character_limit_exceeded",
    "UnsupportedMediaType": "unsupported_media_type",
    "InvalidAudio": "invalid_audio",
    "Throttled": "too_many_concurrent_requests",
    "TaskTimeout": "input_timeout_exceeded",
    "EngineUnavailable": "system_busy",
}
INTERNAL: Final = "internal_server_error"

_POLICY_VIOLATION: Final = 1008  # RFC 6455, section 7.4.1
_SERVER_ERROR: Final = 1011


def status_of(code: str) -> str:
    """What a wire code of ours is called here."""
    return _STATUSES.get(code, INTERNAL)


def error_body(error: TTSError) -> JsonObject:
    """The body of an HTTP answer that is an error; its HTTP status is `error.status`."""
    return {"detail": {"status": status_of(error.code), "message": error.message}}


def error_message(code: str, message: str) -> JsonObject:
    """The WebSocket's message for an error with that wire code of ours."""
    status = status_of(code)
    faulty = status in (INTERNAL, "system_busy")
    return {
        "message": message,
        "error": status,
        "code": _SERVER_ERROR if faulty else _POLICY_VIOLATION,
    }

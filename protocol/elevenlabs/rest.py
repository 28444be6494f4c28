"""Bodies of ElevenLabs' HTTP API, and the names that its clients know errors by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import pybase64

from ..errors import TTSError
from ..fields import JsonObject, body_object, number, optional, required
from ..parameters import SpeechParameters
from ..text import TextLimits
from .alignment import CharacterSpans, in_seconds
from .parameters import StreamOptions, refuse_dictionaries, speed_of, stream_options

_STATUSES: Final = {
    "InvalidParameter": "invalid_parameters",
    "Unauthorized": "invalid_api_key",
    "Forbidden": "forbidden",
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


Category = Literal["premade", "cloned"]


@dataclass(frozen=True, slots=True)
class TextToSpeech:
    """A call of `POST /v1/text-to-speech/{voice_id}` and its kin."""

    options: StreamOptions
    text: str
    speed: float = 1.0

    @property
    def parameters(self) -> SpeechParameters:
        return self.options.speech(self.speed)

    @property
    def content_type(self) -> str:
        return self.options.output.audio_format.content_type


def parse_speech(
    voice: str, query: Mapping[str, str], body: bytes, limits: TextLimits
) -> TextToSpeech:
    """Read a speech call. Raises InvalidParameter, ModelNotFound, TextTooLong."""
    fields = body_object(body)
    refuse_dictionaries(fields)
    text = required(fields, "text", str)
    limits.check(text)
    asked = {name: query[name] for name in ("output_format",) if name in query}
    for name in ("model_id", "apply_text_normalization"):
        if (value := optional(fields, name, str)) is not None:
            asked[name] = value
    if fields.get("seed") is not None:
        seed = number(fields, "seed", "")  # JSON may write it as a string, or with a decimal point
        asked["seed"] = f"{seed:.0f}" if seed.is_integer() else str(seed)
    return TextToSpeech(stream_options(voice, asked), text, speed_of(fields))


def timed_speech(data: bytes, found: CharacterSpans | None) -> JsonObject:
    """Sound with the characters heard in it, under both names: the text is not normalized."""
    times = None if found is None else in_seconds(found)
    return {
        "audio_base64": pybase64.b64encode_as_string(data),
        "alignment": times,
        "normalized_alignment": times,
    }


def voice_object(voice_id: str, name: str, category: Category, gender: str = "") -> JsonObject:
    """A voice as `GET /v1/voices/{voice_id}` shows it."""
    return {
        "voice_id": voice_id,
        "name": name,
        "category": category,
        "labels": {"gender": gender} if gender else {},
        "samples": None,
        "description": None,
        "preview_url": None,
        "settings": None,
        "available_for_tiers": [],
        "high_quality_base_model_ids": [],
    }


def voice_list(voices: list[JsonObject]) -> JsonObject:
    """The answer to `GET /v1/voices`."""
    return {"voices": voices}


def voice_page(voices: list[JsonObject]) -> JsonObject:
    """The answer to `GET /v2/voices`: all of them, on one page."""
    return {
        "voices": voices,
        "has_more": False,
        "total_count": len(voices),
        "next_page_token": None,
    }

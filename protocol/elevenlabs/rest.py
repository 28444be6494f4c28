"""Bodies of ElevenLabs' HTTP API, and the names that its clients know errors by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import pybase64

from ..errors import TTSError
from ..fields import JsonObject, body_object, number, optional, refusal, required
from ..parameters import SpeechParameters
from ..phrases import Locator
from ..text import TextLimits
from .alignment import CharacterSpans, in_seconds
from .dictionaries import locators_of
from .parameters import StreamOptions, speed_of, stream_options

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
    "QuotaExceeded": "quota_exceeded",
    "TaskPreempted": "task_preempted",
    "TooManyReferences": "voice_limit_reached",
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
    dictionaries: tuple[Locator, ...] = ()

    @property
    def parameters(self) -> SpeechParameters:
        return self.options.speech(self.speed, self.dictionaries)

    @property
    def content_type(self) -> str:
        return self.options.output.audio_format.content_type


def parse_speech(
    voice: str, query: Mapping[str, str], body: bytes, limits: TextLimits
) -> TextToSpeech:
    """Read a speech call. Raises InvalidParameter, ModelNotFound, TextTooLong."""
    fields = body_object(body)
    text = required(fields, "text", str)
    limits.check(text)
    asked = {name: query[name] for name in ("output_format",) if name in query}
    for name in ("model_id", "apply_text_normalization"):
        if (value := optional(fields, name, str)) is not None:
            asked[name] = value
    if fields.get("seed") is not None:
        seed = number(fields, "seed", "")  # JSON may write it as a string, or with a decimal point
        asked["seed"] = f"{seed:.0f}" if seed.is_integer() else str(seed)
    options = stream_options(voice, asked)
    return TextToSpeech(options, text, speed_of(fields), locators_of(fields))


def timed_speech(sound: str, found: CharacterSpans | None) -> JsonObject:
    """Sound with the characters heard in it, under both names: the text is not normalized."""
    times = None if found is None else in_seconds(found)
    return {
        "audio_base64": sound,
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


PAGE_DEFAULT: Final = 10
PAGE_MAX: Final = 100
LONGEST_TOKEN: Final = 1024
"""Characters."""
_TOKEN: Final = re.compile("[A-Za-z0-9_-]+={0,2}")  # the decoder skips what else there is


@dataclass(frozen=True, slots=True)
class VoiceQuery:
    """The query of `GET /v2/voices`: voices with `search` in their name, those of one page.

    before: how many voices came on the pages before. last: the id of the last of these, "" on the first page.
    """

    search: str = ""
    page_size: int = PAGE_DEFAULT
    before: int = 0
    last: str = ""


def parse_voice_query(query: Mapping[str, str]) -> VoiceQuery:
    """Read the query of a call for a page of voices. Raises InvalidParameter."""
    size = query.get("page_size", str(PAGE_DEFAULT))
    # isdecimal and the length: int() also takes blanks, signs, underscores and megabytes of digits.
    is_number = size.isascii() and size.isdecimal() and len(size) <= 9
    if not is_number or not 1 <= int(size) <= PAGE_MAX:
        raise refusal("page_size", size, f"an integer from 1 to {PAGE_MAX}")
    before, last = _place(query.get("next_page_token", ""))
    return VoiceQuery(query.get("search", ""), int(size), before, last)


def _place(token: str) -> tuple[int, str]:
    """What a token stands for: `before` and `last`. Raises InvalidParameter."""
    if not token:
        return 0, ""
    try:
        if len(token) > LONGEST_TOKEN or _TOKEN.fullmatch(token) is None:
            raise ValueError
        text = pybase64.urlsafe_b64decode(token).decode()
        before, _, last = text.partition(" ")
        if not (before.isascii() and before.isdecimal() and len(before) <= 9 and last):
            raise ValueError
    except ValueError:  # UnicodeError and binascii.Error are such
        raise refusal("next_page_token", token, "one from the page before") from None
    return int(before), last


def voice_page(voices: list[JsonObject], query: VoiceQuery | None = None) -> JsonObject:
    """The answer to `GET /v2/voices`: one page of these voices, and the token of the next.

    A voice that is new or gone since the page before makes no other voice be left out.
    """
    query = query or VoiceQuery()
    wanted = query.search.casefold()
    found = [each for each in voices if wanted in each["name"].casefold()]
    begin = _begin([each["voice_id"] for each in found], query)
    page = found[begin : begin + query.page_size]
    end = begin + len(page)
    more = end < len(found)
    return {
        "voices": page,
        "has_more": more,
        "total_count": len(found),
        "next_page_token": _token(end, page[-1]["voice_id"]) if more else None,
    }


def _begin(ids: list[str], query: VoiceQuery) -> int:
    """The place of the first voice on the page: after the last one of the page before."""
    if not query.last:
        return 0
    if query.last in ids:
        return ids.index(query.last) + 1
    return max(0, query.before - 1)  # it is gone, and those after it have moved up


def _token(before: int, last: str) -> str:
    return pybase64.urlsafe_b64encode(f"{before} {last}".encode()).decode("ascii")

"""Bodies of the native HTTP API: what requests ask for, and what answers hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import pybase64

from ..errors import TTSError
from ..fields import JsonObject, body_object, optional, refusal, required
from ..parameters import SpeechParameters, check_model, parse_parameters
from ..text import TextLimits

Order = Literal["asc", "desc"]

LIMIT_DEFAULT: Final = 100
LIMIT_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """A call of `POST /api/v1/audio/speech`; with `stream`, answered by server-sent events."""

    model: str
    parameters: SpeechParameters
    text: str
    stream: bool = True


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The query of `GET /api/v1/audio/reference_audio`: at most `limit`, by creation."""

    limit: int = LIMIT_DEFAULT
    order: Order = "desc"


class ConsentFields(Protocol):
    """What clients see of a speaker's consent. date: as 2026-01-31."""

    @property
    def by(self) -> str: ...
    @property
    def date(self) -> str: ...
    @property
    def note(self) -> str: ...


class ReferenceFields(Protocol):
    """What clients see of a reference.

    bytes: size as uploaded. created_at: UNIX seconds. name: empty if it has none.
    """

    @property
    def id(self) -> str: ...
    @property
    def filename(self) -> str: ...
    @property
    def bytes(self) -> int: ...
    @property
    def created_at(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def consent(self) -> ConsentFields | None: ...


def parse_speech_request(body: bytes, limits: TextLimits | None = None) -> SpeechRequest:
    """Read the body of a speech call; without `limits` its text may have any length.

    Raises InvalidParameter (also for a body that is not JSON), ModelNotFound, TextTooLong.
    """
    request = body_object(body)
    model = check_model(required(request, "model", str), "model")
    given = required(request, "input", dict)
    stream = optional(request, "stream", bool)
    parameters = parse_parameters(given, "input")
    if parameters.audio_transport != "base64":
        raise refusal("input.audio_transport", parameters.audio_transport, "base64 in REST")
    text = required(given, "text", str, "input")
    if limits is not None:
        limits.check(text)
    return SpeechRequest(model, parameters, text, stream is not False)


def parse_list_query(query: Mapping[str, str]) -> ListQuery:
    """Read the query of a list call. Raises InvalidParameter."""
    limit_text, order = query.get("limit", str(LIMIT_DEFAULT)), query.get("order", "desc")
    # isdecimal and the length: int() also takes blanks, signs, underscores and megabytes of digits.
    is_number = limit_text.isascii() and limit_text.isdecimal() and len(limit_text) <= 9
    if not is_number or not 1 <= int(limit_text) <= LIMIT_MAX:
        raise refusal("limit", limit_text, f"an integer from 1 to {LIMIT_MAX}")
    if order == "asc":
        return ListQuery(int(limit_text), "asc")
    if order == "desc":
        return ListQuery(int(limit_text), "desc")
    raise refusal("order", order, "asc or desc")


def error_body(error: TTSError, request_id: str) -> JsonObject:
    """The body of every answer that is an error; its HTTP status is `error.status`."""
    return {"code": error.code, "message": error.message, "request_id": request_id, "data": {}}


def reference_object(reference: ReferenceFields) -> JsonObject:
    """A reference as clients see it: a name and a consent, which are ours, only where there are any."""
    documented: JsonObject = {
        "id": reference.id,
        "filename": reference.filename,
        "bytes": reference.bytes,
        "created_at": reference.created_at,
        "text": reference.text,
    }
    if reference.name:
        documented["name"] = reference.name
    if (consent := reference.consent) is not None:
        documented["consent"] = {"by": consent.by, "date": consent.date, "note": consent.note}
    return documented


def deleted_body(reference_id: str) -> JsonObject:
    """The answer to a deletion that was done."""
    return {"code": "OK", "message": f"reference audio: {reference_id} deleted.", "data": {}}


def speech_event(
    request_id: str,
    audio_id: str,
    data: bytes,
    finish_reason: str | None,
    usage: int,
    error: TTSError | None = None,
    more: JsonObject | None = None,
) -> JsonObject:
    """One event of a streamed speech call.

    finish_reason: "stop" on the last event of a stream, else None.
    usage: bytes of audio so far, those of this event included.
    error: what ended the speech; the event is then the last one.
    more: further fields of the output: words, marks, notices.
    """
    return {
        "request_id": request_id,
        "error": None if error is None else {"code": error.code, "message": error.message},
        "output": {
            "finish_reason": finish_reason,
            "audio": {"id": audio_id, "data": pybase64.b64encode_as_string(data)},
            **(more or {}),
        },
        "usage": usage,
    }


def speech_whole(
    request_id: str, audio_id: str, sound: str, size: int, more: JsonObject | None = None
) -> JsonObject:
    """The answer of a speech call that is not streamed.

    sound: in base64. size: of the sound, in bytes. more: as in `speech_event`.
    """
    whole = speech_event(request_id, audio_id, b"", None, size, more=more)
    whole["output"]["audio"]["data"] = sound
    return whole

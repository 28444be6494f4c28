"""Bodies of `/api/v1/services/audio/tts/SpeechSynthesizer`: what requests ask for, and what answers hold."""

from __future__ import annotations

from dataclasses import dataclass

import orjson
import pybase64

from ..errors import TTSError
from ..fields import JsonObject, body_object, refusal, required
from ..parameters import SpeechParameters
from ..text import TextLimits
from .codec import ERROR_CODES
from .parameters import check_model, speech_parameters

_INPUT = "input"


@dataclass(frozen=True, slots=True)
class SynthesizerCall:
    """A text that a client wants to hear, and how."""

    model: str
    parameters: SpeechParameters
    text: str


def parse_synthesizer_call(body: bytes, limits: TextLimits) -> SynthesizerCall:
    """Read the body of a call. Raises InvalidParameter, ModelNotFound, TextTooLong."""
    request = body_object(body)
    model = check_model(required(request, "model", str), "model")
    given = required(request, _INPUT, dict)
    parameters = speech_parameters(given, _INPUT)
    text = required(given, "text", str, _INPUT)
    if not text.strip():
        raise refusal("input.text", text, "a text that is more than blanks")
    limits.check(text)
    return SynthesizerCall(model, parameters, text)


def error_body(error: TTSError, request_id: str) -> JsonObject:
    """The body of every answer that is an error; its HTTP status is `error.status`."""
    code = ERROR_CODES.get(error.code, error.code)
    return {"code": code, "message": error.message, "request_id": request_id}


def result_event(number: int, request_id: str, payload: JsonObject) -> bytes:
    """A server-sent event with a payload. number: its place in the stream, from 1."""
    return _event(number, "result", 200, {**payload, "request_id": request_id})


def error_event(number: int, request_id: str, error: TTSError) -> bytes:
    """The last server-sent event of a stream that failed.

    The SDK reads the status from a field of its own, other clients from the comment.
    """
    return _event(number, "error", error.status, error_body(error, request_id))


def with_sound(payload: JsonObject, audio_id: str, data: bytes) -> JsonObject:
    """The payload of a `sentence-synthesis` with its sound."""
    sound = {"data": pybase64.b64encode_as_string(data), "id": audio_id}
    return {**payload, "output": {**payload["output"], "finish_reason": "null", "audio": sound}}


def finished(
    payload: JsonObject, audio_id: str, *, url: str = "", expires_at: int | None = None
) -> JsonObject:
    """The payload at the end of a speech. url: of all its sound, until `expires_at` (UNIX seconds)."""
    sound: JsonObject = {"data": "", "url": url, "id": audio_id}
    if expires_at is not None:
        sound["expires_at"] = expires_at
    output = {**payload["output"], "finish_reason": "stop", "audio": sound}
    return {**payload, "output": output}


def _event(number: int, kind: str, status: int, body: JsonObject) -> bytes:
    # The SDK wants no blank after `event:`.
    told = f"status:{status}\n" if kind == "error" else ""
    head = f"id:{number}\nevent:{kind}\n:HTTP_STATUS/{status}\n{told}data:"
    return head.encode() + orjson.dumps(body) + b"\n\n"

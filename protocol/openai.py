"""Bodies of OpenAI's speech API: what requests ask for, and what answers hold."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pybase64

from .errors import (
    BadFrame,
    EngineUnavailable,
    InvalidParameter,
    ModelNotFound,
    PayloadTooLarge,
    ReferenceAudioNotFound,
    RouteNotFound,
    TextTooLong,
    Throttled,
    TTSError,
    Unauthorized,
)
from .fields import JsonObject, body_object, number, optional, refusal, required, shown
from .parameters import (
    ALLOWED,
    G711_SAMPLE_RATE,
    MODELS,
    AudioFormat,
    Mode,
    SpeechParameters,
    is_same_generation,
)

SAMPLE_RATE: Final = 24000
"""Hz of every format but G.711; clients take raw PCM to have it."""

SPEEDS: Final = (0.25, 4.0)
"""What may be asked for; what is spoken lies within ENGINE_SPEEDS."""
ENGINE_SPEEDS: Final = (0.5, 2.0)
LONGEST_VOICE: Final = 128
LONGEST_INSTRUCTIONS: Final = 1000
SPEECH_TOKENS: Final = 25
"""`output_tokens` of a second of speech: what CosyVoice 2 makes of it."""

HOSTED_MODELS: Final = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
HOSTED_VOICES: Final = {
    "alloy": "female",
    "ash": "male",
    "ballad": "male",
    "cedar": "male",
    "coral": "female",
    "echo": "male",
    "fable": "male",
    "marin": "female",
    "nova": "female",
    "onyx": "male",
    "sage": "female",
    "shimmer": "female",
    "verse": "male",
}
"""The hosted service's voices and what they are heard as."""

_FORMATS: Final = (
    *("mp3", "opus", "aac", "flac", "wav", "pcm"),  # the hosted service's
    *("ulaw", "alaw", "wav_ulaw", "wav_alaw"),
)
_MODEL: Final = re.compile(rf"({'|'.join(HOSTED_MODELS)})(-\d{{4}}(-\d\d-\d\d)?)?", re.ASCII)
_PUBLISHED: Final = 1734048000  # CosyVoice 2's release, for `created`, which says nothing here


class InvalidField(InvalidParameter):
    """A field that cannot be used; `param` is its name."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class OpenAISpeech:
    """A call of `POST /v1/audio/speech`.

    voice: an id or a name, the hosted service's included. speed: as asked, 0.25 to 4.
    events: answer with server-sent events, not with the sound itself.
    """

    model: str
    text: str
    voice: str
    instructions: str = ""
    audio_format: AudioFormat = AudioFormat.MP3
    speed: float = 1.0
    events: bool = False

    @property
    def effective_speed(self) -> float:
        """The nearest speed that is spoken."""
        low, high = ENGINE_SPEEDS
        return min(max(low, self.speed), high)

    def parameters(self, *, instruct: bool) -> SpeechParameters:
        """The same in the terms of the other APIs. instruct: whether to follow the instructions."""
        return SpeechParameters(
            mode=Mode.NATURAL_LANGUAGE if instruct else Mode.FAST,
            reference_audio_id=self.voice,
            instruct=self.instructions if instruct else "",
            output_format=self.audio_format,
            sample_rate=G711_SAMPLE_RATE if self.audio_format.g711 else SAMPLE_RATE,
            bit_rate="64k" if self.audio_format is AudioFormat.OPUS else "128k",
            speed=self.effective_speed,
        )


def parse_speech(body: bytes, longest: int) -> OpenAISpeech:
    """Read the body of a speech call; `longest`: the most characters of text.

    Raises InvalidField (InvalidParameter for a body that is no JSON object), ModelNotFound,
    TextTooLong.
    """
    request = body_object(body)
    model = check_model(_required(request, "model"))
    text = _required(request, "input")
    if not text.strip():
        raise _refusal("input", text, "a text that is more than blanks")
    if len(text) > longest:
        raise TextTooLong(f"input: {len(text)} characters; allowed: {longest}")
    return OpenAISpeech(
        model,
        text,
        voice=_voice(request.get("voice")),
        instructions=_instructions(request),
        audio_format=_format(request),
        speed=_speed(request),
        events=_choice(request, "stream_format", ("audio", "sse"), "audio") == "sse",
    )


def check_model(model: str) -> str:
    """The model's name, if it may be asked for: ours, or one of the hosted ones, dated or not.

    Raises ModelNotFound.
    """
    if model not in MODELS and not _MODEL.fullmatch(model):
        allowed = ", ".join((*HOSTED_MODELS, *MODELS))
        raise ModelNotFound(f"model: no model {shown(model)} here; allowed: {allowed}")
    return model


def model_object(model: str) -> JsonObject:
    """A model as `GET /v1/models/{id}` shows it."""
    return {"id": model, "object": "model", "created": _PUBLISHED, "owned_by": "cosyserve"}


def model_list(loaded: Collection[str]) -> JsonObject:
    """The answer to `GET /v1/models`. loaded: as for `known_models`."""
    return {"object": "list", "data": [model_object(model) for model in known_models(loaded)]}


def audio_models(loaded: Collection[str]) -> JsonObject:
    """The answer to `GET /v1/audio/models`. loaded: as for `known_models`."""
    return {"models": [{"id": model} for model in known_models(loaded)]}


def voice_list(voices: Iterable[tuple[str, str]]) -> JsonObject:
    """The answer to `GET /v1/audio/voices`, from ids and names."""
    return {"voices": [{"id": voice_id, "name": name} for voice_id, name in voices]}


def audio_delta(data: bytes) -> JsonObject:
    """The event with the next bytes of the stream."""
    return {"type": "speech.audio.delta", "audio": pybase64.b64encode_as_string(data)}


def audio_done(characters: int, seconds: float) -> JsonObject:
    """The last event; characters: of the text, as usage counts them; seconds: of speech."""
    spoken = round(SPEECH_TOKENS * seconds)
    return {
        "type": "speech.audio.done",
        "usage": {
            "input_tokens": characters,
            "output_tokens": spoken,
            "total_tokens": characters + spoken,
        },
    }


def error_event(error: TTSError) -> JsonObject:
    """The event for what ended a stream that had begun."""
    return {"type": "error", **error_body(error)}


def error_body(error: TTSError) -> JsonObject:
    """The body of an answer that is an error; its HTTP status is `error.status`."""
    kind, param, code = _classified(error)
    return {"error": {"message": error.message, "type": kind, "param": param, "code": code}}


def _classified(error: TTSError) -> tuple[str, str | None, str]:
    """An error's type, the field it is about, and its code."""
    refused = "invalid_request_error"
    match error:
        case InvalidField():
            return refused, error.param, "invalid_value"
        case InvalidParameter() | BadFrame():
            return refused, None, "invalid_value"
        case ModelNotFound():
            return refused, "model", "model_not_found"
        case ReferenceAudioNotFound():
            return refused, "voice", "voice_not_found"
        case TextTooLong():
            return refused, "input", "string_above_max_length"
        case Unauthorized():
            return refused, None, "invalid_api_key"
        case RouteNotFound():
            return refused, None, "unknown_url"
        case PayloadTooLarge():
            return refused, None, "request_too_large"
        case Throttled():
            return "rate_limit_error", None, "rate_limit_exceeded"
        case EngineUnavailable():
            return "server_error", None, "server_unavailable"
        case _:
            kind = refused if error.status < 500 else "server_error"
            return kind, None, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", error.code).lower()


def known_models(loaded: Collection[str]) -> tuple[str, ...]:
    """The names that may be asked for. loaded: those of the model that speaks; empty if it answers to all."""
    own = [model for model in MODELS if not loaded or is_same_generation(model, loaded)]
    return (*HOSTED_MODELS, *own)


def _voice(value: object) -> str:
    name = value.get("id") if isinstance(value, dict) else value
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_VOICE:
        allowed = f'an id or a name of 1 to {LONGEST_VOICE} characters, or {{"id": ...}}'
        raise _refusal("voice", name, allowed)
    return name


def _instructions(request: JsonObject) -> str:
    with _about("instructions"):
        text = optional(request, "instructions", str) or ""
    if len(text) > LONGEST_INSTRUCTIONS:
        raise _refusal("instructions", text, ALLOWED["instruct"])
    return text if text.strip() else ""


def _format(request: JsonObject) -> AudioFormat:
    return AudioFormat(_choice(request, "response_format", _FORMATS, "mp3"))


def _speed(request: JsonObject) -> float:
    low, high = SPEEDS
    with _about("speed"):
        speed = number(request, "speed", "", 1.0)
    if not low <= speed <= high:
        raise _refusal("speed", request["speed"], f"a number from {low:g} to {high:g}")
    return speed


def _choice(request: JsonObject, name: str, allowed: tuple[str, ...], default: str) -> str:
    value = request.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or value not in allowed:
        raise _refusal(name, value, ", ".join(allowed))
    return value


def _required(request: JsonObject, name: str) -> str:
    with _about(name):
        return required(request, name, str)


@contextmanager
def _about(name: str) -> Iterator[None]:
    """Names the field in the error that reading it raises."""
    try:
        yield
    except InvalidParameter as error:
        raise InvalidField(name, error.message) from None


def _refusal(name: str, value: object, allowed: str) -> InvalidField:
    return InvalidField(name, refusal(name, value, allowed).message)

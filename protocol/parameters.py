"""How speech is asked for: the parameters of a task, the same on the WebSocket and in REST.

Everything is checked once, here, at the edge; inside, the values are trusted.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from .errors import InvalidParameter, ModelNotFound
from .fields import as_written, refusal, shown

SampleRate = Literal[8000, 16000, 22050, 24000, 32000, 44100, 48000]
BitRate = Literal["16k", "32k", "48k", "64k", "128k", "192k", "256k", "320k", "384k"]

SAMPLE_RATES: Final[tuple[int, ...]] = get_args(SampleRate)
BIT_RATES: Final[tuple[str, ...]] = get_args(BitRate)
OPUS_SAMPLE_RATES: Final = (8000, 16000, 24000, 48000)  # RFC 6716, of those that the API takes
G711_SAMPLE_RATE: Final[SampleRate] = 8000
MODELS: Final = ("cosyvoice-v2", "CosyVoice2-0.5B", "cosyvoice-v3", "Fun-CosyVoice3-0.5B-2512")
_GENERATION: Final = re.compile(r"(?:fun-)?cosyvoice-?v?(\d)", re.ASCII | re.IGNORECASE)


class Mode(StrEnum):
    """What of the reference the speech takes over."""

    FAST = "fast_replication"
    CROSS_LINGUAL = "cross_lingual_replication"
    NATURAL_LANGUAGE = "natural_language_replication"


class AudioFormat(StrEnum):
    WAV = "wav"
    MP3 = "mp3"
    PCM = "pcm"
    OPUS = "opus"
    AAC = "aac"
    FLAC = "flac"
    ULAW = "ulaw"
    ALAW = "alaw"
    WAV_ULAW = "wav_ulaw"
    WAV_ALAW = "wav_alaw"

    @property
    def g711(self) -> bool:
        """Whether this is the sound of telephones: one byte a sample, at G711_SAMPLE_RATE alone."""
        return self in _G711

    @property
    def sample_rates(self) -> tuple[int, ...]:
        """The sample rates that this format has, in Hz."""
        if self.g711:
            return (G711_SAMPLE_RATE,)
        return OPUS_SAMPLE_RATES if self is AudioFormat.OPUS else SAMPLE_RATES

    @property
    def default_sample_rate(self) -> SampleRate:
        """The sample rate of a task that names none, in Hz."""
        return G711_SAMPLE_RATE if self.g711 else 24000

    @property
    def lossy(self) -> bool:
        """Whether a bit rate means anything to this format."""
        return self in (AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.AAC)

    @property
    def content_type(self) -> str:
        """The media type of an HTTP answer in this format."""
        return _CONTENT_TYPES[self]


_CONTENT_TYPES: Final = {
    AudioFormat.WAV: "audio/wav",
    AudioFormat.MP3: "audio/mpeg",
    AudioFormat.PCM: "audio/pcm",
    AudioFormat.OPUS: "audio/ogg",
    AudioFormat.AAC: "audio/aac",
    AudioFormat.FLAC: "audio/flac",
    AudioFormat.ULAW: "audio/basic",  # RFC 2046: mu-law at 8000 Hz without a head
    AudioFormat.ALAW: "audio/PCMA",  # RFC 4856
    AudioFormat.WAV_ULAW: "audio/wav",
    AudioFormat.WAV_ALAW: "audio/wav",
}
_G711: Final = (
    AudioFormat.ULAW,
    AudioFormat.ALAW,
    AudioFormat.WAV_ULAW,
    AudioFormat.WAV_ALAW,
)


def _default_rate(given: dict[str, Any]) -> SampleRate:
    """The sample rate of a task that names none. given: the fields before it, as far as they are valid."""
    audio_format: AudioFormat = given.get("output_format", AudioFormat.WAV)
    return audio_format.default_sample_rate


def _whole(value: object) -> object:
    """A number without a fraction is an integer, however JSON wrote it."""
    value = as_written(value, int)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(value: object) -> object:
    return as_written(value, float)


def _switch(value: object) -> object:
    return as_written(value, bool)


_Integer = BeforeValidator(_whole)
_Bool = Annotated[StrictBool, BeforeValidator(_switch)]
_Factor = Annotated[float, Field(strict=True, ge=0.5, le=2), BeforeValidator(_number)]


class SpeechParameters(BaseModel):
    """`payload.parameters` of run-task, and `input` of a REST call less its text."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    mode: Mode
    reference_audio_id: Annotated[StrictStr, Field(min_length=1, max_length=128)]
    instruct: Annotated[StrictStr, Field(max_length=1000, validate_default=True)] = ""
    output_format: AudioFormat = AudioFormat.WAV
    sample_rate: Annotated[SampleRate, _Integer] = Field(default_factory=_default_rate)
    bit_rate: BitRate = "192k"
    volume: Annotated[float, Field(strict=True, gt=0, le=10), BeforeValidator(_number)] = 1.0
    speed: _Factor = 1.0
    debug: _Bool = False
    seed: Annotated[StrictInt, Field(ge=0, le=2**32 - 1), _Integer] | None = None
    audio_transport: Literal["base64", "binary"] = "base64"
    pitch: _Factor = 1.0
    enable_ssml: _Bool = False
    word_timestamp_enabled: _Bool = False

    plain_breaks: ClassVar[bool] = False
    """Whether `<break>` is a pause in any text, SSML or not."""

    # These two look at the fields before them, so that one reply can name every field that fails.
    @field_validator("instruct")
    @classmethod
    def _instruct_where_needed(cls, instruct: str, info: ValidationInfo) -> str:
        if info.data.get("mode") is Mode.NATURAL_LANGUAGE and not instruct.strip():
            raise ValueError(f"a non-empty string with mode {Mode.NATURAL_LANGUAGE}")
        return instruct

    @field_validator("sample_rate")
    @classmethod
    def _rate_of_format(cls, sample_rate: int, info: ValidationInfo) -> int:
        audio_format = info.data.get("output_format")
        if audio_format is not None and sample_rate not in audio_format.sample_rates:
            allowed = _either(audio_format.sample_rates)
            raise ValueError(f"{allowed} with output_format {audio_format}")
        return sample_rate


class ParametersWithBreaks(SpeechParameters):
    """Those of a dialect whose clients write `<break>` in any text."""

    plain_breaks: ClassVar[bool] = True


class ParametersWithReplacements(SpeechParameters):
    """Those of a dialect whose clients say what is spoken in place of what. No phrase is empty."""

    replacements: dict[str, str]


def parse_parameters(raw: object, where: str) -> SpeechParameters:
    """Check parameters as they came, a decoded JSON value; a field that is null is absent.

    where: the path that `raw` has in its message, named in errors (`payload.parameters`, `input`).
    Raises InvalidParameter, which names every field that fails, its value and what is allowed.
    """
    if not isinstance(raw, dict):
        raise refusal(where, raw, "an object")
    given = {name: value for name, value in raw.items() if value is not None}
    try:
        return SpeechParameters.model_validate(given)
    except ValidationError as error:
        # A default that depends on a wrong field is not a fault of its own.
        faults = [
            fault
            for fault in error.errors(include_url=False)
            if fault["type"] != "default_factory_not_called"
        ]
    raise InvalidParameter(". ".join(_sentence(fault, given, where) for fault in faults))


def check_model(model: str, where: str) -> str:
    """The model's name, if it is a known one. Raises ModelNotFound."""
    if model not in MODELS:
        allowed = ", ".join(MODELS)
        raise ModelNotFound(f"{where}: no model {shown(model)} here; allowed: {allowed}")
    return model


def is_same_generation(model: str, others: Collection[str]) -> bool:
    """Whether a model's name is of the CosyVoice generation of one of these names.

    True for a name that is of none: those of other services stand for whichever model there is.
    """
    own = _GENERATION.match(model)
    return own is None or any(
        (other := _GENERATION.match(name)) is not None and other[1] == own[1] for name in others
    )


def _sentence(fault: ErrorDetails, given: dict[str, Any], where: str) -> str:
    name = str(fault["loc"][0])
    is_ours = fault["type"] == "value_error"
    allowed = str(fault["ctx"]["error"]) if is_ours else ALLOWED[name]
    return refusal(f"{where}.{name}", given.get(name), allowed).message


def _either(values: tuple[object, ...]) -> str:
    *most, last = map(str, values)
    return f"{', '.join(most)} or {last}" if most else last


def _allowed(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """A field's JSON schema in words."""
    if "$ref" in schema:
        return _allowed(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    if "anyOf" in schema:
        return _allowed(schema["anyOf"][0], definitions)
    if "enum" in schema:
        return _either(tuple(schema["enum"]))
    match schema["type"]:
        case "boolean":
            return "true or false"
        case "string":
            least, most = schema.get("minLength", 0), schema["maxLength"]
            return f"a string of {least} to {most} characters"
        case kind:
            noun = "an integer" if kind == "integer" else "a number"
            if "exclusiveMinimum" in schema:
                return f"{noun} above {schema['exclusiveMinimum']} and up to {schema['maximum']}"
            return f"{noun} from {schema['minimum']} to {schema['maximum']}"


def _allowed_by_field() -> dict[str, str]:
    schema = SpeechParameters.model_json_schema()
    return {
        name: _allowed(field, schema.get("$defs", {}))
        for name, field in schema["properties"].items()
    }


ALLOWED: Final = _allowed_by_field()
"""What each parameter may be, in words, for messages and help texts."""

"""How speech is asked for: the parameters of a task, the same on the WebSocket and in REST.

Everything is checked once, here, at the edge; inside, the values are trusted.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, model_validator

SampleRate = Literal[8000, 16000, 22050, 24000, 32000, 44100, 48000]
BitRate = Literal["16k", "32k", "48k", "64k", "128k", "192k", "256k", "320k", "384k"]

SAMPLE_RATES: Final[tuple[int, ...]] = get_args(SampleRate)
BIT_RATES: Final[tuple[str, ...]] = get_args(BitRate)
OPUS_SAMPLE_RATES: Final = (8000, 16000, 24000, 48000)  # RFC 6716, of those that the API takes
MODELS: Final = ("cosyvoice-v2", "CosyVoice2-0.5B")


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

    @property
    def lossy(self) -> bool:
        """Whether a bit rate means anything to this format."""
        return self in (AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.AAC)


class SpeechParameters(BaseModel):
    """`payload.parameters` of run-task, and `input` of a REST call less its text."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    mode: Mode
    reference_audio_id: Annotated[StrictStr, Field(min_length=1, max_length=128)]
    instruct: Annotated[StrictStr, Field(max_length=1000)] = ""
    output_format: AudioFormat = AudioFormat.WAV
    sample_rate: SampleRate = 24000
    bit_rate: BitRate = "192k"
    volume: Annotated[float, Field(strict=True, gt=0, le=10)] = 1.0
    speed: Annotated[float, Field(strict=True, ge=0.5, le=2)] = 1.0
    debug: StrictBool = False
    seed: Annotated[StrictInt, Field(ge=0, le=2**32 - 1)] | None = None
    audio_transport: Literal["base64", "binary"] = "base64"

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if self.mode is Mode.NATURAL_LANGUAGE and not self.instruct.strip():
            raise ValueError(
                "instruct: must be a non-empty text with mode natural_language_replication"
            )
        if self.output_format is AudioFormat.OPUS and self.sample_rate not in OPUS_SAMPLE_RATES:
            allowed = ", ".join(map(str, OPUS_SAMPLE_RATES))
            raise ValueError(
                f"sample_rate: opus has no {self.sample_rate} Hz; allowed with opus: {allowed}"
            )
        return self

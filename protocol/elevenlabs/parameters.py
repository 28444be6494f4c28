"""From the query of this dialect's addresses to SpeechParameters.

Fields without a meaning here are ignored if a listener would not miss them: language_code (the text shows
it), text normalization (always on), logging, chunk schedules, stability and similar voice settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..errors import InvalidParameter, ModelNotFound
from ..fields import JsonObject, as_written, number, optional, refusal, shown
from ..parameters import (
    BIT_RATES,
    MODELS,
    OPUS_SAMPLE_RATES,
    SAMPLE_RATES,
    AudioFormat,
    Mode,
    ParametersWithBreaks,
    SpeechParameters,
)
from ..phrases import Locator

DEFAULT_MODEL: Final = "eleven_flash_v2_5"
DEFAULT_OUTPUT: Final = "mp3_44100_128"
DEFAULT_TIMEOUT: Final = 20.0
LONGEST_TIMEOUT: Final = 180.0
SPEEDS: Final = (0.5, 2.0)
LONGEST_VOICE: Final = 128
HOSTED_VOICES: Final = re.compile("[A-Za-z0-9]{20}")
"""What the ids of the hosted service's voices look like."""

_MODEL: Final = re.compile(r"eleven_[A-Za-z0-9_.-]{1,64}")
FORMATS: Final = (
    *(AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.PCM, AudioFormat.WAV),
    *(AudioFormat.ULAW, AudioFormat.ALAW),
)
_OUTPUT: Final = re.compile(rf"({'|'.join(FORMATS)})_(\d{{4,5}})(?:_(\d{{2,3}}))?", re.ASCII)
_ALLOWED_OUTPUT: Final = (
    "mp3_RATE_KBPS, opus_RATE_KBPS, pcm_RATE, wav_RATE, ulaw_8000 or alaw_8000, where RATE is one of "
    f"{', '.join(map(str, SAMPLE_RATES))} (opus: {', '.join(map(str, OPUS_SAMPLE_RATES))})"
)
_DEFAULT_KBPS: Final = {AudioFormat.MP3: 128, AudioFormat.OPUS: 64}


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """The encoding of the sound; bit_rate is the nearest one available."""

    audio_format: AudioFormat
    sample_rate: int
    bit_rate: str


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """The options of a connection, or of an HTTP request, for all of its text.

    auto_mode: every message that ends like a sentence is spoken without waiting for more.
    inactivity_timeout: seconds. sync_alignment: as asked for.
    """

    voice: str
    output: OutputFormat
    model: str = DEFAULT_MODEL
    enable_ssml: bool = False
    auto_mode: bool = False
    sync_alignment: bool = False
    inactivity_timeout: float = DEFAULT_TIMEOUT
    seed: int | None = None

    def speech(
        self, speed: float = 1.0, dictionaries: tuple[Locator, ...] = ()
    ) -> SpeechParameters:
        """The options as parameters of a task that reports the times of words."""
        return ParametersWithBreaks(
            mode=Mode.FAST,
            reference_audio_id=self.voice,
            output_format=self.output.audio_format,
            sample_rate=self.output.sample_rate,  # type: ignore[arg-type]
            bit_rate=self.output.bit_rate,  # type: ignore[arg-type]
            speed=speed,
            seed=self.seed,
            enable_ssml=self.enable_ssml,
            word_timestamp_enabled=True,
            dictionaries=dictionaries,
        )


def stream_options(voice: str, query: Mapping[str, str]) -> StreamOptions:
    """Read the query of a WebSocket's address, or of a POST's; unknown fields are ignored.

    Raises InvalidParameter, which names the field, and ModelNotFound.
    """
    normalization = query.get("apply_text_normalization", "auto")
    if normalization not in ("auto", "on", "off"):
        raise refusal("apply_text_normalization", normalization, "auto, on or off")
    return StreamOptions(
        voice=check_voice(voice),
        output=output_of(query.get("output_format", DEFAULT_OUTPUT)),
        model=check_model(query.get("model_id", DEFAULT_MODEL)),
        enable_ssml=_flag(query, "enable_ssml_parsing"),
        auto_mode=_flag(query, "auto_mode"),
        sync_alignment=_flag(query, "sync_alignment"),
        inactivity_timeout=_timeout(query),
        seed=_seed(query),
    )


def check_voice(voice: str) -> str:
    """Raises InvalidParameter if it cannot be the id or the name of a voice."""
    if not 1 <= len(voice) <= LONGEST_VOICE:
        raise refusal("voice_id", voice, f"an id or a name of 1 to {LONGEST_VOICE} characters")
    return voice


def check_model(model: str) -> str:
    """The model's name, if it is one of the hosted service's or of ours. Raises ModelNotFound."""
    if model not in MODELS and _MODEL.fullmatch(model) is None:
        allowed = ", ".join((DEFAULT_MODEL, "any other eleven_...", *MODELS))
        raise ModelNotFound(f"model_id: no model {shown(model)} here; allowed: {allowed}")
    return model


def output_of(name: str) -> OutputFormat:
    """An output format by its name there, such as mp3_44100_128. Raises InvalidParameter."""
    parts = _OUTPUT.fullmatch(name)
    if parts is None:
        raise refusal("output_format", name, _ALLOWED_OUTPUT)
    audio_format, rate = AudioFormat(parts[1]), int(parts[2])
    if rate not in audio_format.sample_rates or (parts[3] and not audio_format.lossy):
        raise refusal("output_format", name, _ALLOWED_OUTPUT)
    kbps = int(parts[3] or _DEFAULT_KBPS.get(audio_format, 128))
    return OutputFormat(audio_format, rate, _nearest(kbps))


def speed_of(fields: JsonObject) -> float:
    """`voice_settings.speed` of a message. Raises InvalidParameter."""
    settings = optional(fields, "voice_settings", dict) or {}
    speed = number(settings, "speed", "voice_settings", 1.0)
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise refusal("voice_settings.speed", settings["speed"], f"{SPEEDS[0]} to {SPEEDS[1]}")
    return speed


def _nearest(kbps: int) -> str:
    """Of two that are as near, the better."""
    rates = {rate: int(rate.removesuffix("k")) for rate in BIT_RATES}
    return min(rates, key=lambda rate: (abs(rates[rate] - kbps), -rates[rate]))


def _flag(query: Mapping[str, str], name: str) -> bool:
    match query.get(name, "false").lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
        case other:
            raise refusal(name, other, "true or false")


def _timeout(query: Mapping[str, str]) -> float:
    value = query.get("inactivity_timeout")
    if value is None:
        return DEFAULT_TIMEOUT
    seconds = as_written(value, float)
    if not isinstance(seconds, float) or not 1 <= seconds <= LONGEST_TIMEOUT:
        raise refusal("inactivity_timeout", value, f"1 to {LONGEST_TIMEOUT:g} (seconds)")
    return seconds


def _seed(query: Mapping[str, str]) -> int | None:
    value = query.get("seed")
    if value is None:
        return None
    if not re.fullmatch(r"\d{1,10}", value, re.ASCII) or int(value) >= 2**32:
        raise InvalidParameter(f"seed: {shown(value)} is not allowed; allowed: 0 to {2**32 - 1}")
    return int(value)

"""From the configuration of a session to SpeechParameters.

Fields without a meaning here are ignored if a listener would not miss them: language_type (the text shows
it), enable_tn, optimize_instructions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..dashscope.parameters import bit_rate, factor, volume
from ..errors import ModelNotFound
from ..fields import JsonObject, optional, refusal, shown
from ..openai import LONGEST_INSTRUCTIONS, LONGEST_VOICE
from ..parameters import OPUS_SAMPLE_RATES, SAMPLE_RATES, AudioFormat, Mode, SpeechParameters

WHERE: Final = "session"
MODES: Final = ("server_commit", "commit")
FORMATS: Final = ("pcm", "wav", "mp3", "opus")
DEFAULT_RATE: Final = 24000
DEFAULT_VOICE: Final = "cherry"
HOSTED_VOICES: Final = {
    **dict.fromkeys(
        ("cherry", "serena", "chelsie", "momo", "vivian", "maia", "bella", "jennifer", "katerina"),
        "female",
    ),
    **dict.fromkeys(
        ("mia", "bellona", "bunny", "nini", "ebona", "seren", "stella", "sonrisa", "sohee"),
        "female",
    ),
    **dict.fromkeys(("ono anna", "jada", "sunny", "kiki"), "female"),
    **dict.fromkeys(
        ("ethan", "moon", "kai", "nofish", "ryan", "aiden", "eldric sage", "mochi", "vincent"),
        "male",
    ),
    **dict.fromkeys(
        ("neil", "elias", "arthur", "pip", "bodega", "alek", "dolce", "lenn", "emilien"), "male"
    ),
    **dict.fromkeys(
        ("andre", "radio gol", "dylan", "li", "marcus", "roy", "peter", "eric", "rocky"), "male"
    ),
}
"""The hosted service's voices, in lower case, and what they are heard as."""

_MODEL: Final = re.compile(
    r"(?:qwen[\w.-]{0,32}tts|cosyvoice)[\w.-]{0,64}", re.ASCII | re.IGNORECASE
)
_FIELDS: Final = (
    *("voice", "mode", "response_format", "sample_rate", "volume", "speech_rate", "pitch_rate"),
    *("bit_rate", "instructions"),
)


def check_model(model: str | None) -> str:
    """The name of the model in the address, if it is one that speaks. Raises ModelNotFound."""
    if model is None or _MODEL.fullmatch(model) is None:
        allowed = "qwen3-tts-flash-realtime, cosyvoice-v2 and their kin"
        raise ModelNotFound(f"model: no model {shown(model)} here; allowed: {allowed}")
    return model


@dataclass(frozen=True, slots=True)
class RealtimeConfig:
    """What holds for the responses that begin from now on.

    given: the fields that the client has set so far. server_commits: text is spoken as it comes; if not,
    once it is committed. voice: as the client names it.
    """

    given: JsonObject
    server_commits: bool
    voice: str
    speech: SpeechParameters

    @property
    def shown(self) -> JsonObject:
        """The configuration as events show it."""
        speech = self.speech
        return {
            "mode": MODES[0] if self.server_commits else MODES[1],
            "voice": self.voice,
            "response_format": speech.output_format.value,
            "sample_rate": speech.sample_rate,
        }


def session_config(update: JsonObject, before: JsonObject) -> RealtimeConfig:
    """The configuration after an update. before: the fields that were set before.

    Raises InvalidParameter, which names the field.
    """
    given = before | {name: _bare(update[name]) for name in _FIELDS if name in update}
    mode = optional(given, "mode", str, WHERE) or MODES[0]
    if mode not in MODES:
        raise refusal(f"{WHERE}.mode", mode, ", ".join(MODES))
    voice = optional(given, "voice", str, WHERE) or DEFAULT_VOICE
    if len(voice) > LONGEST_VOICE:
        allowed = f"an id or a name of 1 to {LONGEST_VOICE} characters"
        raise refusal(f"{WHERE}.voice", voice, allowed)
    return RealtimeConfig(given, mode == MODES[0], voice, _speech(given, voice))


def _bare(value: object) -> object:
    """The value without blanks around it, which are not worth the memory of a connection."""
    return value.strip() if isinstance(value, str) else value


def _speech(given: JsonObject, voice: str) -> SpeechParameters:
    instruct = optional(given, "instructions", str, WHERE) or ""
    if len(instruct) > LONGEST_INSTRUCTIONS:
        allowed = f"at most {LONGEST_INSTRUCTIONS} characters"
        raise refusal(f"{WHERE}.instructions", instruct, allowed)
    output_format = _format(given)
    return SpeechParameters(
        mode=Mode.NATURAL_LANGUAGE if instruct else Mode.FAST,
        instruct=instruct,
        reference_audio_id=voice.lower() if voice.lower() in HOSTED_VOICES else voice,
        output_format=output_format,
        sample_rate=_sample_rate(given, output_format),  # type: ignore[arg-type]
        bit_rate=bit_rate(given, WHERE, 128),  # type: ignore[arg-type]
        volume=volume(given, WHERE),
        speed=factor(given, "speech_rate", WHERE),
        pitch=factor(given, "pitch_rate", WHERE),
    )


def _format(given: JsonObject) -> AudioFormat:
    name = (optional(given, "response_format", str, WHERE) or FORMATS[0]).lower()
    if name not in FORMATS:
        raise refusal(f"{WHERE}.response_format", given["response_format"], ", ".join(FORMATS))
    return AudioFormat(name)


def _sample_rate(given: JsonObject, output_format: AudioFormat) -> int:
    rate = optional(given, "sample_rate", int, WHERE) or DEFAULT_RATE
    if rate not in SAMPLE_RATES:
        raise refusal(f"{WHERE}.sample_rate", rate, ", ".join(map(str, SAMPLE_RATES)))
    if output_format is AudioFormat.OPUS:  # any decoder gives any rate: the codec's next one up
        return next(each for each in OPUS_SAMPLE_RATES if each >= rate)
    return rate

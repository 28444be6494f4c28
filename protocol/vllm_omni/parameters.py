"""From the fields of this dialect to SpeechParameters.

Fields without a meaning here are ignored if a listener would not miss them: language (the text shows it),
token limits, chunk sizes, granularity. What would be heard in another voice than asked for is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..errors import ModelNotFound
from ..fields import JsonObject, number, optional, refusal
from ..openai import ENGINE_SPEEDS, LONGEST_INSTRUCTIONS, LONGEST_VOICE, SAMPLE_RATE, SPEEDS
from ..openai import check_model as check_model_name
from ..parameters import AudioFormat, Mode, SpeechParameters

DEFAULT_VOICE: Final = "vivian"
HOSTED_VOICES: Final = {
    "aiden": "male",
    "dylan": "male",
    "eric": "male",
    "ono_anna": "female",
    "ryan": "male",
    "serena": "female",
    "sohee": "female",
    "uncle_fu": "male",
    "vivian": "female",
}
"""The speakers of the model that its examples serve, and what they are heard as."""

FORMATS: Final = ("wav", "mp3", "pcm", "opus", "aac", "flac")
TASK_TYPES: Final = ("CustomVoice", "Base")
_CLIPS: Final = ("ref_audio", "ref_text", "speaker_embedding")
_MOST_SEEDS: Final = 2**32


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What holds for the utterances that begin from now on."""

    model: str
    speech: SpeechParameters


def parse_config(fields: JsonObject) -> SessionConfig:
    """Read `session.config`. Raises InvalidParameter, which names the field, and ModelNotFound."""
    _refuse_other_voices(fields)
    audio_format = _format(fields)
    words = optional(fields, "word_timestamps", bool) or False
    if words and audio_format is not AudioFormat.PCM:
        raise refusal("word_timestamps", True, "true with response_format pcm only")
    optional(fields, "stream_audio", bool)
    instructions = optional(fields, "instructions", str) or ""
    if len(instructions) > LONGEST_INSTRUCTIONS:
        raise refusal("instructions", instructions, f"at most {LONGEST_INSTRUCTIONS} characters")
    follows = bool(instructions.strip())
    return SessionConfig(
        _model(fields),
        SpeechParameters(
            mode=Mode.NATURAL_LANGUAGE if follows else Mode.FAST,
            reference_audio_id=_voice(fields),
            instruct=instructions if follows else "",
            output_format=audio_format,
            sample_rate=SAMPLE_RATE,
            bit_rate="64k" if audio_format is AudioFormat.OPUS else "128k",
            speed=_speed(fields),
            seed=_seed(fields),
            word_timestamp_enabled=words,
        ),
    )


def _refuse_other_voices(fields: JsonObject) -> None:
    for name in _CLIPS:
        if fields.get(name):
            allowed = "none: upload the clip to /api/v1/audio/reference_audio, and name it as voice"
            raise refusal(name, fields[name], allowed)
    task_type = optional(fields, "task_type", str)
    if task_type is not None and task_type not in TASK_TYPES:
        raise refusal("task_type", task_type, ", ".join(TASK_TYPES))


def _model(fields: JsonObject) -> str:
    """A model's name may have its owner on a hub before it. "" for whichever there is."""
    name = optional(fields, "model", str)
    if not name:
        return ""
    try:
        return check_model_name(name.rpartition("/")[2])
    except ModelNotFound:
        return check_model_name(name)  # its message has the whole name


def _voice(fields: JsonObject) -> str:
    name = optional(fields, "voice", str) or optional(fields, "speaker", str) or DEFAULT_VOICE
    if len(name) > LONGEST_VOICE:
        raise refusal("voice", name, f"an id or a name of 1 to {LONGEST_VOICE} characters")
    return name.lower() if name.lower() in HOSTED_VOICES else name


def _format(fields: JsonObject) -> AudioFormat:
    name = optional(fields, "response_format", str) or AudioFormat.WAV
    if name not in FORMATS:
        raise refusal("response_format", name, ", ".join(FORMATS))
    return AudioFormat(name)


def _speed(fields: JsonObject) -> float:
    """The nearest speed that is spoken to the one that is asked for."""
    speed = number(fields, "speed", "", 1.0)
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise refusal("speed", fields["speed"], f"a number from {SPEEDS[0]:g} to {SPEEDS[1]:g}")
    return min(max(ENGINE_SPEEDS[0], speed), ENGINE_SPEEDS[1])


def _seed(fields: JsonObject) -> int | None:
    if fields.get("seed") is None:
        return None
    seed = number(fields, "seed", "")  # 7.0 is an integer, however JSON wrote it
    if not (0 <= seed < _MOST_SEEDS and seed.is_integer()):
        raise refusal("seed", fields["seed"], f"an integer from 0 to {_MOST_SEEDS - 1}")
    return int(seed)

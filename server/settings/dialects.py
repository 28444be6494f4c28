"""Settings of the dialects: the APIs of other services that the server speaks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_settings import NoDecode

from cosyserve.protocol.openai import LONGEST_VOICE

from .values import HOST_FORM, TCP_FORM, ListenAddress, OrNone, Seconds, parse_hosts, parse_tcp

VoiceAlias = tuple[str, str]
"""A name that clients say, and the id or name of the voice it stands for."""

_FORM: Final = (
    "a table, or NAME=VOICE with commas between; a name has 1 to 64 of A-Z a-z 0-9 . _ -, "
    f"a voice is an id or a name of 1 to {LONGEST_VOICE} characters"
)
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_Voice = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_VOICE,
        json_schema_extra={"allowed": "a voice's id or name"},
    ),
]


class DialectSettings(BaseModel):
    """Dialects"""

    any_model: bool = Field(
        False,
        description="let the loaded model also answer to the names of CosyVoice models that are not loaded; "
        "off: such a name is ModelNotFound. The embedded engine answers to all names",
    )
    dashscope_text_timeout: Seconds = Field(
        23.0,
        description="a task at /api-ws/v1/inference fails if no text arrives for this long, in seconds",
    )
    dashscope_idle_timeout: Seconds = Field(
        60.0,
        description="a connection to /api-ws/v1/inference is closed after this time between two tasks, in "
        "seconds",
    )
    dashscope_default_voice: Annotated[_Voice | None, OrNone] = Field(
        None,
        description="speaks where a client at /api-ws/v1/inference names a voice of the hosted service "
        "(longxiaochun and others) and no reference has that name, or one at /api-ws/v1/realtime (Cherry and "
        "others); none: the engine's own voices",
        json_schema_extra={"allowed": "a voice's id or name"},
    )
    dashscope_realtime_pause: Seconds = Field(
        1.0,
        description="at /api-ws/v1/realtime, in mode server_commit, text is taken for whole when no more has "
        "come for this long, in seconds",
    )
    dashscope_sound_lifetime: Seconds = Field(
        600.0,
        description="the sound of an answer of /api/v1/services/audio/tts/SpeechSynthesizer that is not "
        "streamed can be fetched at its address for this long, in seconds; less if the room for answers that "
        "wait for their clients (spool_bytes) is needed",
    )
    enrollment_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(parse_hosts)] = Field(
        (),
        description="hosts from which a clip for a new voice may be fetched (https alone, no redirects), "
        "where a client at /api/v1/services/audio/tts/customization gives its address; none: clips must be "
        "in the request. A name must have a public address, or one that is listed as well",
        json_schema_extra={"allowed": HOST_FORM},
    )
    enrollment_timeout: Seconds = Field(
        20.0, description="time in which such a clip must have been fetched, in seconds"
    )
    elevenlabs_default_voice: Annotated[_Voice | None, OrNone] = Field(
        None,
        description="speaks where a client at /v1/text-to-speech sends a voice id of the hosted service (20 "
        "letters and digits) and no reference has that name; none: one of the engine's own voices",
        json_schema_extra={"allowed": "a voice's id or name"},
    )

    vllm_omni_default_voice: Annotated[_Voice | None, OrNone] = Field(
        None,
        description="speaks where a client at /v1/audio/speech/stream names none, or a speaker of "
        "vLLM-Omni's examples (vivian and others); none: the engine's own voices in turn",
        json_schema_extra={"allowed": "a voice's id or name"},
    )


class WyomingSettings(BaseModel):
    """Wyoming"""

    wyoming: Annotated[
        ListenAddress | None,
        NoDecode,
        BeforeValidator(lambda value: value and parse_tcp(value)),
        OrNone,
    ] = Field(
        None,
        description="serve Wyoming, the protocol of Home Assistant's voice assistants, at this address; it "
        "needs cosyserve[wyoming]. The protocol has no tokens: whoever reaches the address may use it, under "
        "the name wyoming if tokens are set",
        json_schema_extra={"allowed": TCP_FORM},
    )
    wyoming_open: bool = Field(
        False, description="serve Wyoming on an address that other machines can reach"
    )
    wyoming_default_voice: Annotated[_Voice | None, OrNone] = Field(
        None,
        description="speaks where a client of Wyoming names no voice; none: the engine's first own voice",
        json_schema_extra={"allowed": "a voice's id or name"},
    )
    wyoming_idle_timeout: Seconds = Field(
        60.0,
        description="a connection of Wyoming without a task is closed after this time, in seconds",
    )


def parse_aliases(value: object) -> tuple[VoiceAlias, ...]:
    """Read "alloy=alba,nova=clara", a list of pairs, or a table. Raises ValueError with what is allowed."""
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if isinstance(value, Mapping):
        value = value.items()
    if not isinstance(value, Iterable):
        raise ValueError(f"allowed: {_FORM}")
    aliases = tuple(_alias(item) for item in value)
    names = [name for name, _ in aliases]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} stands for two voices; allowed: distinct names")
    return aliases


def _alias(item: object) -> VoiceAlias:
    parts = item.split("=", 1) if isinstance(item, str) else item
    match parts:
        case (str(name), str(voice)):
            name, voice = name.strip(), voice.strip()
            if _NAME.fullmatch(name) and 1 <= len(voice) <= LONGEST_VOICE:
                return name, voice
    raise ValueError(f"allowed: {_FORM}")


class OpenAISettings(BaseModel):
    """OpenAI dialect"""

    openai_voices: Annotated[tuple[VoiceAlias, ...], NoDecode, BeforeValidator(parse_aliases)] = (
        Field(
            (),
            description="voices behind the names that clients send, above all the hosted service's (alloy "
            "and others); a reference must be visible to the client's token",
            json_schema_extra={"allowed": _FORM},
        )
    )
    openai_default_voice: Annotated[_Voice | None, OrNone] = Field(
        None,
        description="speaks where a client sends a voice name of the hosted service that openai_voices "
        "lacks; none: the engine's own voices in turn",
        json_schema_extra={"allowed": "a voice's id or name"},
    )
    openai_open_lists: bool = Field(
        False,
        description="answer audio/models and audio/voices without a token too, leaving out references; "
        "Open WebUI sends none there",
    )

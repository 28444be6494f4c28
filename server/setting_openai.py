"""The settings of the OpenAI dialect: one group of those in setting_groups.py."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_settings import NoDecode

from cosyserve.protocol.openai import LONGEST_VOICE

from .settings.values import OrNone

_FORM: Final = (
    "a table, or NAME=VOICE with commas between; a name has 1 to 64 of A-Z a-z 0-9 . _ -, "
    f"a voice is an id or a name of 1 to {LONGEST_VOICE} characters"
)
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

VoiceAlias = tuple[str, str]


def parse_aliases(value: object) -> tuple[VoiceAlias, ...]:
    """Read "alloy=alba,nova=clara", a list of such, or a table. Raises ValueError with what is allowed."""
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


class OpenAI(BaseModel):
    """OpenAI dialect"""

    openai_voices: Annotated[tuple[VoiceAlias, ...], NoDecode, BeforeValidator(parse_aliases)] = (
        Field(
            (),
            description="what voice names stand for, alloy and the hosted service's others above all; "
            "a reference must be one that the token sees",
            json_schema_extra={"allowed": _FORM},
        )
    )
    openai_default_voice: Annotated[str | None, OrNone] = Field(
        None,
        min_length=1,
        max_length=LONGEST_VOICE,
        description="what the hosted service's other names stand for; "
        "none: the engine's own voices, in turn",
        json_schema_extra={"allowed": "a voice's id or name"},
    )
    openai_open_lists: bool = Field(
        False,
        description="answer audio/models and audio/voices without a token as well, less the "
        "references: Open WebUI asks for them so",
    )

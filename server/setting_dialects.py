"""The settings of other APIs' clients: one group of those in setting_groups.py."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from .settings.values import OrNone


class Dialects(BaseModel):
    """Clients of other APIs"""

    dashscope_text_timeout: float = Field(
        23.0,
        gt=0,
        le=86_400,
        description="at /api-ws/v1/inference a task without new text fails after this (seconds)",
    )
    dashscope_idle_timeout: float = Field(
        60.0,
        gt=0,
        le=86_400,
        description="there a connection is closed after this between two tasks (seconds)",
    )
    dashscope_default_voice: Annotated[str | None, OrNone] = Field(
        None,
        min_length=1,
        max_length=128,
        description="there a name of the hosted service's voices (longxiaochun and the like) that no "
        "reference has stands for this; none: for one of the engine's own voices",
        json_schema_extra={"allowed": "a voice's id or name"},
    )
    elevenlabs_default_voice: Annotated[str | None, OrNone] = Field(
        None,
        min_length=1,
        max_length=128,
        description="at /v1/text-to-speech an id like those of the hosted service's voices (20 letters "
        "and digits) that no reference has stands for this; none: for one of the engine's own voices",
        json_schema_extra={"allowed": "a voice's id or name"},
    )

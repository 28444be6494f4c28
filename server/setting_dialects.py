"""The settings of other APIs' clients: one group of those in setting_groups.py."""

from __future__ import annotations

from pydantic import BaseModel, Field


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

"""What a token may have in a day."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from .values import OrNone


class QuotaSettings(BaseModel):
    """Daily quotas"""

    daily_characters: Annotated[int | None, OrNone] = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="characters of text that the tasks of a token may have in a day, as usage counts them; a "
        "day ends at midnight in UTC. A token may have another number: see tokens",
    )
    daily_seconds: Annotated[float | None, OrNone] = Field(
        None, ge=1, le=1_000_000_000, description="the same for seconds of speech"
    )
    state_folder: Annotated[Path | None, OrNone] = Field(
        None,
        description="folder for the day's counts, of this server alone; without one a restart begins a new "
        "day",
        json_schema_extra={
            "allowed": "a folder",
            "default_text": "that of references, if these are in a folder",
        },
    )

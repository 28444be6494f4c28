"""Whole answers: how long one may be, and where they wait until their clients have them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ByteSize, Field

from .values import GIB, MIB, OrNone, Seconds, Size

Quota = Annotated[
    ByteSize,
    Field(
        ge=MIB,
        le=1024 * GIB,
        json_schema_extra={"allowed": "a size (1MiB to 1024GiB) or a number of bytes"},
    ),
]


class SpoolSettings(BaseModel):
    """Whole answers"""

    max_whole_seconds: Seconds = Field(
        3600.0, description="sound in an answer that is not streamed, in seconds"
    )
    max_whole_bytes: Size = Field(
        ByteSize(256 * MIB),
        description="sound in an answer that is not streamed, before its base64",
    )
    spool_folder: Annotated[Path | None, OrNone] = Field(
        None,
        description="folder for answers that are not streamed and too long for memory, until their "
        "clients have them; best on a disk",
        json_schema_extra={
            "allowed": "a folder",
            "default_text": "the system's temporary folder",
        },
    )
    spool_bytes: Quota = Field(
        ByteSize(GIB), description="answers that wait for their clients, all together"
    )
    spool_bytes_per_token: Quota = Field(
        ByteSize(512 * MIB), description="answers that wait for the clients of one token"
    )
    spool_wait: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="an answer that finds no room there waits for older ones to be done, for so many seconds "
        "at most; then it fails with Throttled",
    )

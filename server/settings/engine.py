"""The settings of the CosyVoice 2 engine: one group of those in setting_groups.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ByteSize, Field

from .values import OrNone, home, user_folder

_MIB = 1024 * 1024

_Bytes = Annotated[
    ByteSize,
    Field(ge=1024, le=_MIB * _MIB, json_schema_extra={"allowed": "1KiB to 1TiB, or so many bytes"}),
]
_Precision = Literal["auto", "float32", "bfloat16", "float16"]


def _default_voices() -> Path | None:
    """None where there is no home folder: voices are then prepared anew after a restart."""
    if home() is None and not os.environ.get("XDG_CACHE_HOME"):
        return None
    return user_folder("XDG_CACHE_HOME", ".cache") / "voices"


class CosyVoice(BaseModel):
    """CosyVoice 2 engine"""

    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$",
        description="what computes; auto: cuda if there is one, else cpu",
        json_schema_extra={"allowed": "auto, cpu, cuda, cuda:N"},
    )
    lm_backend: Literal["auto", "torch", "vllm"] = Field(
        "auto",
        description="what runs the speech model; auto: vllm if it is installed and there is a GPU, "
        "else torch",
    )
    lm_precision: _Precision = Field(
        "auto", description="of the speech model; auto: bfloat16 on cuda, else float32"
    )
    flow_precision: _Precision = Field(
        "auto", description="of the flow model; auto: float16 on cuda, else float32"
    )
    device_memory: Annotated[_Bytes | None, OrNone] = Field(
        None,
        description="memory that voices and sessions may take; "
        "none: four fifths of what is free once the model is loaded",
        json_schema_extra={"allowed": "1KiB to 1TiB, or so many bytes"},
    )
    memory_overflow: Literal["window", "recompute", "refuse"] = Field(
        "window",
        description="a session that does not fit: speaks with a short memory (an approximation), "
        "computes everything again at each step, or is refused",
    )
    window_seconds: float = Field(
        5.0, ge=0.5, le=300, description="that short memory, in seconds of speech"
    )
    expected_seconds: float = Field(
        12.0,
        ge=1,
        le=300,
        description="speech of an utterance (about a sentence or two) that a session is let in for; "
        "the memory for it is taken at once",
    )
    lm_streams: int = Field(
        64, ge=1, le=4096, description="utterances in the speech model at once; others wait"
    )
    cuda_graphs: Literal["off", "auto"] = Field(
        "off",
        description="auto: replay steps of the flow model as CUDA graphs where there is a GPU; "
        "not yet tried on one",
    )
    max_batch: int = Field(
        16, ge=1, le=1024, description="sessions in one step of flow and vocoder"
    )
    first_hop_tokens: int = Field(
        15,
        ge=0,
        le=250,
        description="speech tokens (25 a second) of an utterance's first sound; "
        "fewer are heard sooner and are a little less exact; 0: as the reference, 25 and more",
    )
    longest_hop_tokens: int = Field(
        100, ge=25, le=1000, description="speech tokens of a chunk once much is buffered"
    )
    hop_growth_seconds: float = Field(
        3.0,
        ge=0,
        le=600,
        description="speech that a listener must have buffered for chunks to grow",
    )
    work_ahead: float = Field(
        4.0,
        ge=0.1,
        le=600,
        description="seconds of speech made ahead of a reader that does not read",
    )
    duplex_text: bool = Field(
        True,
        description="begin an utterance before its text is complete; off: each waits for its end",
    )
    voice_cache: Annotated[Path | None, OrNone] = Field(
        default_factory=_default_voices,
        description="where prepared voices are kept across restarts; none: nowhere",
        json_schema_extra={
            "allowed": "a folder",
            "default_text": "cosyserve/voices in the user's cache folder",
        },
    )
    voice_cache_bytes: _Bytes = Field(
        ByteSize(256 * _MIB), description="prepared voices kept in memory"
    )
    prompt_cache_bytes: _Bytes = Field(
        ByteSize(2048 * _MIB),
        description="device memory for voices that nobody speaks in at the moment",
    )

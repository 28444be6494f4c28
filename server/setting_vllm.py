"""The settings of the speech model in vLLM: one group of those in setting_groups.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ByteSize, Field
from pydantic_settings import NoDecode

from cosyserve.engine.cosyvoice.lm.vllm.options import check_extra

from .settings.values import OrNone, user_folder

_MIB = 1024 * 1024
_FORM = (
    "a JSON object, or a table in TOML, of engine arguments as vLLM's AsyncEngineArgs names them"
)


def _parse(value: object) -> object:
    """A table from the config file, or JSON from the command line or the environment."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError(f"must be {_FORM}") from None


def _check(value: Mapping[str, Any]) -> Mapping[str, Any]:
    check_extra(value)
    return value


def _default_folder() -> Path:
    return user_folder("XDG_CACHE_HOME", ".cache") / "speech-lm"


class Vllm(BaseModel):
    """Speech model in vLLM"""

    vllm_gpu_memory_utilization: float = Field(
        0.4,
        ge=0.01,
        le=0.99,
        description="share of the GPU's whole memory that is vLLM's, for the speech model and its "
        "keys and values; flow, vocoder and voices get four fifths of what is free then",
        json_schema_extra={"allowed": "a share from 0.01 to 0.99"},
    )
    vllm_kv_cache_bytes: Annotated[
        Annotated[ByteSize, Field(ge=_MIB, le=_MIB * _MIB)] | None, OrNone
    ] = Field(
        None,
        description="keys and values of the speech model, instead of what is left of that share; "
        "on the CPU none is 2GiB",
        json_schema_extra={"allowed": "1MiB to 1TiB, or so many bytes"},
    )
    vllm_max_model_len: int = Field(
        4096,
        ge=256,
        le=32768,
        description="text, prompt and speech tokens of an utterance; so many are held free in the "
        "keys and values for each utterance that begins",
    )
    vllm_tensor_parallel_size: int = Field(
        1, ge=1, le=64, description="GPUs that the speech model is spread over"
    )
    vllm_enforce_eager: bool = Field(
        False, description="no CUDA graphs: starts sooner, speaks more slowly"
    )
    vllm_park_seconds: float = Field(
        5.0,
        ge=0,
        le=3600,
        description="an utterance that has waited this long for text gives its place to others, if "
        "any wait, and is read again when its text comes",
    )
    vllm_args: Annotated[
        Mapping[str, Any], NoDecode, AfterValidator(_check), BeforeValidator(_parse)
    ] = Field(
        default_factory=dict,
        description="more arguments for vLLM's engine; those that the server relies on are refused",
        json_schema_extra={"allowed": _FORM, "default_text": "none"},
    )
    vllm_folder: Path = Field(
        default_factory=_default_folder,
        description="where the speech model is kept in the form that vLLM loads",
        json_schema_extra={
            "allowed": "a folder",
            "default_text": "cosyserve/speech-lm in the user's cache folder",
        },
    )

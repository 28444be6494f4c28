"""The settings of the CosyVoice 2 engine: one group of those in setting_groups.py.

The settings of the speech model in vLLM: one group of those in setting_groups.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ByteSize, Field
from pydantic_settings import NoDecode

from cosyserve.engine.cosyvoice.lm.vllm.options import check_args

from .values import OrNone, home, user_folder

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
    check_args(value)
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

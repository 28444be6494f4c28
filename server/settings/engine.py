"""The engines' settings: their types, ranges and descriptions.

Names and defaults are those of the engines' own options. A setting is called as the option's field is; where
the bare word says too little to an operator, the engine's name stands before it (`vllm_args` is
`VllmOptions.args`). `engine_options` relies on that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar, get_type_hints

from pydantic import AfterValidator, BaseModel, BeforeValidator, ByteSize, Field
from pydantic_settings import NoDecode

from cosyserve.engine.cosyvoice.lm.vllm.options import Precision, VllmOptions, check_args
from cosyserve.engine.cosyvoice.options import (
    CosyVoiceOptions,
    GraphMode,
    LmBackend,
    MemoryOverflow,
    ModelVariant,
)
from cosyserve.engine.cosyvoice.scheduling.chunker import HopPolicy
from cosyserve.engine.embedded.options import EmbeddedOptions

from .values import GIB, KIB, MIB, OrNone

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    _Options = TypeVar("_Options", bound=DataclassInstance)

_COSYVOICE: Final = CosyVoiceOptions(model="")
_EMBEDDED: Final = EmbeddedOptions()
_HOPS: Final = HopPolicy()
_VLLM: Final = VllmOptions()

_Bytes = Annotated[
    ByteSize,
    Field(
        ge=KIB,
        le=1024 * GIB,
        json_schema_extra={"allowed": "a size (1KiB to 1TiB) or a number of bytes"},
    ),
]
_ARGUMENTS: Final = "a JSON object, or a table in TOML, of vLLM's AsyncEngineArgs"


def _optional(size: int | None) -> ByteSize | None:
    return None if size is None else ByteSize(size)


def _parse_arguments(value: object) -> object:
    """A table from the config file, or JSON from the command line or the environment."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError(f"must be {_ARGUMENTS}") from None


def _check_arguments(value: Mapping[str, Any]) -> Mapping[str, Any]:
    check_args(value)
    return value


class EngineSettings(BaseModel):
    """Engine"""

    engine: Literal["auto", "embedded", "cosyvoice2", "cosyvoice3"] = Field(
        "auto",
        description="engine; auto: the family of the model if one is given, else embedded",
    )
    model: Annotated[str | None, OrNone] = Field(
        None,
        description="checkpoint of CosyVoice 2 or 3: a folder, or an id on Hugging Face (on ModelScope with "
        "modelscope: before it)",
        json_schema_extra={"allowed": "a folder, or NAME/NAME@REVISION"},
    )
    model_variant: ModelVariant = Field(
        _COSYVOICE.model_variant,
        description="variant of the model's speech LM; rl: the one of CosyVoice 3 that was trained on with "
        "reinforcement learning (llm.rl.pt)",
    )
    strip_markup: bool = Field(
        _COSYVOICE.strip_markup,
        description="remove the marks of **bold**, [text](address), <b>, tables and the like before reading; "
        "off: read the text as written",
    )


class EmbeddedSettings(BaseModel):
    """Embedded engine"""

    embedded_workers: int = Field(
        default_factory=lambda: EmbeddedOptions().workers,
        ge=1,
        le=256,
        description="worker processes",
        json_schema_extra={"default_text": "one per core, 2 to 8"},
    )
    default_language: str = Field(
        _EMBEDDED.default_language,
        pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$",
        description="language of text whose script leaves it open",
        json_schema_extra={"allowed": "a BCP-47 tag"},
    )
    natural_voice: bool = Field(
        _EMBEDDED.natural_voice,
        description="speak English with the natural voice where it is installed, which takes 180 MiB a "
        "worker more; off: all languages with espeak-ng",
    )


class CosyVoiceSettings(BaseModel):
    """CosyVoice engine"""

    device: str = Field(
        _COSYVOICE.device,
        pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$",
        description="compute device; auto: cuda if available, else cpu",
        json_schema_extra={"allowed": "auto, cpu, cuda, cuda:N"},
    )
    lm_backend: LmBackend = Field(
        _COSYVOICE.lm_backend,
        description="runtime of the speech LM; auto: vllm if installed and a GPU is present, else torch",
    )
    lm_precision: Precision = Field(
        _COSYVOICE.lm_precision,
        description="precision of the speech LM; auto: bfloat16 on cuda, else float32",
    )
    flow_precision: Precision = Field(
        _COSYVOICE.flow_precision,
        description="precision of the flow model; auto: float16 on cuda, else float32",
    )
    device_memory: Annotated[_Bytes | None, OrNone] = Field(
        _optional(_COSYVOICE.device_memory),
        description="device memory for voices and sessions; none: 80 % of the memory that is free after "
        "loading the model",
        json_schema_extra={"allowed": "a size (1KiB to 1TiB) or a number of bytes"},
    )
    memory_overflow: MemoryOverflow = Field(
        _COSYVOICE.memory_overflow,
        description="a session that does not fit into device_memory: window gives it a bounded context (an "
        "approximation), recompute gives it no caches (exact but slow), refuse rejects it",
    )
    window_seconds: float = Field(
        _COSYVOICE.window_seconds,
        ge=0.5,
        le=300,
        description="bounded context of memory_overflow window, in seconds of speech",
    )
    expected_seconds: float = Field(
        _COSYVOICE.expected_seconds,
        ge=1,
        le=300,
        description="expected utterance length in seconds (one or two sentences); a session reserves memory "
        "for it on admission",
    )
    lm_streams: int = Field(
        _COSYVOICE.lm_streams,
        ge=1,
        le=4096,
        description="concurrent utterances in the speech LM; others wait",
    )
    cuda_graphs: GraphMode = Field(
        _COSYVOICE.cuda_graphs,
        description="auto: replay steps of the flow model as CUDA graphs on a GPU; not yet tested on one",
    )
    max_batch: int = Field(
        _COSYVOICE.max_batch,
        ge=1,
        le=1024,
        description="sessions per step of flow and vocoder",
    )
    first_hop_tokens: int = Field(
        _HOPS.first_hop_tokens,
        ge=0,
        le=250,
        description="speech tokens (25 per second) before an utterance's first audio; fewer tokens: lower "
        "latency, slightly lower fidelity; 0: as in the reference implementation, 25 or more",
    )
    longest_hop_tokens: int = Field(
        _HOPS.longest_hop_tokens,
        ge=25,
        le=1000,
        description="speech tokens per chunk once the listener has enough buffered",
    )
    hop_growth_seconds: float = Field(
        _HOPS.hop_growth_seconds,
        ge=0,
        le=600,
        description="seconds of audio a listener must have buffered before chunks grow",
    )
    work_ahead: float = Field(
        _COSYVOICE.work_ahead,
        ge=0.1,
        le=600,
        description="seconds of audio computed ahead of a client that does not read",
    )
    duplex_text: bool = Field(
        _COSYVOICE.duplex_text,
        description="start an utterance before its text is complete; off: wait for the end of the text",
    )
    voice_folder: Annotated[Path | None, OrNone] = Field(
        default_factory=lambda: CosyVoiceOptions(model="").voice_folder,
        description="keeps prepared voices across restarts; none: they are prepared again",
        json_schema_extra={
            "allowed": "a folder",
            "default_text": "cosyserve/voices in the user's cache folder",
        },
    )
    voice_folder_bytes: _Bytes = Field(
        ByteSize(_COSYVOICE.voice_folder_bytes),
        description="size limit of voice_folder; the voices unused for longest are deleted first",
    )
    voice_cache_bytes: _Bytes = Field(
        ByteSize(_COSYVOICE.voice_cache_bytes), description="main memory for prepared voices"
    )
    prompt_cache_bytes: _Bytes = Field(
        ByteSize(_COSYVOICE.prompt_cache_bytes), description="device memory for idle voices"
    )


class VllmSettings(BaseModel):
    """Speech LM in vLLM"""

    vllm_gpu_memory_utilization: float = Field(
        _VLLM.gpu_memory_utilization,
        ge=0.01,
        le=0.99,
        description="vLLM's share of the GPU's memory, for the speech LM and its KV cache; see device_memory "
        "for flow, vocoder and voices",
        json_schema_extra={"allowed": "a share from 0.01 to 0.99"},
    )
    vllm_kv_cache_bytes: Annotated[
        Annotated[ByteSize, Field(ge=MIB, le=1024 * GIB)] | None, OrNone
    ] = Field(
        _optional(_VLLM.kv_cache_bytes),
        description="KV cache of the speech LM; none: the remainder of that share, on the CPU 2GiB",
        json_schema_extra={"allowed": "a size (1MiB to 1TiB) or a number of bytes"},
    )
    vllm_max_model_len: int = Field(
        _VLLM.max_model_len,
        ge=256,
        le=32768,
        description="most text, prompt and speech tokens per utterance; each utterance reserves this much KV "
        "cache when it starts",
    )
    vllm_tensor_parallel_size: int = Field(
        _VLLM.tensor_parallel_size, ge=1, le=64, description="GPUs that share the speech LM"
    )
    vllm_enforce_eager: bool = Field(
        _VLLM.enforce_eager, description="no CUDA graphs: faster start, slower speech"
    )
    vllm_park_seconds: float = Field(
        _VLLM.park_seconds,
        ge=0,
        le=3600,
        description="an utterance that has waited this long for text yields its slot if others are waiting; "
        "its context is computed again when text arrives",
    )
    vllm_args: Annotated[
        Mapping[str, Any],
        NoDecode,
        AfterValidator(_check_arguments),
        BeforeValidator(_parse_arguments),
    ] = Field(
        default_factory=lambda: VllmOptions().args,
        description="more engine arguments for vLLM; arguments that the server relies on are refused",
        json_schema_extra={"allowed": _ARGUMENTS, "default_text": "none"},
    )
    vllm_folder: Path = Field(
        default_factory=lambda: VllmOptions().folder,
        description="keeps the speech LM in vLLM's format across restarts",
        json_schema_extra={
            "allowed": "a folder",
            "default_text": "cosyserve/speech-lm in the user's cache folder",
        },
    )


ENGINE_GROUPS: Final = (EngineSettings, EmbeddedSettings, CosyVoiceSettings, VllmSettings)

_PREFIXES: Final[Mapping[type, str]] = {EmbeddedOptions: "embedded_", VllmOptions: "vllm_"}

INNER: Final[Mapping[type, Mapping[str, str]]] = {
    EmbeddedOptions: {
        "sentence_pause": "part of how the voice sounds",
        "clause_pause": "part of how the voice sounds",
        "work_ahead": "the voice is far faster than real time",
        "job_limit": "finds a worker that hangs; a healthy one is done far sooner",
        "start_limit": "finds a worker that hangs; a healthy one starts far sooner",
        "remembered_voices": "a voice is a few numbers",
    },
    CosyVoiceOptions: {
        "memory_share": "device_memory sets the same limit in bytes",
        "utterances": "tuned to the model, which speaks shorter and longer utterances worse",
        "crossfade_frames": "trades latency for fidelity, as first_hop_tokens does with more effect",
        "utterances_ahead": "two are enough: the one being spoken and the next",
    },
    VllmOptions: {
        "model_folder": "is made of model, in vllm_folder",
        "lm_streams": "is CosyVoiceOptions.lm_streams",
        "lm_precision": "is CosyVoiceOptions.lm_precision",
    },
}
"""Options that are no settings, and why."""


def setting_of(options: type, field: str) -> str:
    """The setting that an option's field is filled from. Raises KeyError if there is none."""
    if field not in INNER.get(options, {}):
        for name in (_PREFIXES.get(options, "") + field, field):
            if any(name in group.model_fields for group in ENGINE_GROUPS):
                return name
    raise KeyError(f"{options.__name__}.{field}")


def engine_options(options: type[_Options], settings: object) -> _Options:
    """Options filled from the settings of the same names; inner ones keep their defaults."""
    given: dict[str, Any] = {}
    types = get_type_hints(options)
    for field in fields(options):
        kind = types[field.name]
        if field.name in INNER.get(options, {}):
            continue
        if isinstance(kind, type) and is_dataclass(kind):
            given[field.name] = engine_options(kind, settings)
        else:
            given[field.name] = getattr(settings, setting_of(options, field.name))
    return options(**given)

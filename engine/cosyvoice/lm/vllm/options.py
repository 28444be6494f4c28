"""The options of vLLM, their defaults, and the engine arguments made of them. Imports no vLLM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from ....folders import cache_folder

Precision = Literal["auto", "float32", "bfloat16", "float16"]

LM_STREAMS: Final = 64
"""Utterances in the speech LM at once, whatever runs it."""

NOT_INSTALLED: Final = (
    "lm_backend: vLLM is not installed; install cosyserve[vllm] on a machine with a GPU, "
    "on one without run deploy/install_vllm_cpu.py, or choose torch"
)
_CPU_BLOCK: Final = 32
_CPU_CACHE_BYTES: Final = 2 * 1024**3

OURS: Final[Mapping[str, str]] = {
    "model": "it is made of the checkpoint",
    "tokenizer": "the model reads ids, not text",
    "tokenizer_mode": "the model reads ids, not text",
    "skip_tokenizer_init": "the model reads ids, not text",
    "hf_config_path": "it is made of the checkpoint",
    "hf_overrides": "it is made of the checkpoint",
    "revision": "it is made of the checkpoint",
    "generation_config": "tokens are drawn by the model's own sampling",
    "logits_processors": "tokens are drawn by the model's own sampling",
    "max_logprobs": "tokens are drawn by the model's own sampling",
    "speculative_config": "an engine that guesses tokens cannot be fed while it speaks",
    "stream_interval": "tokens must come one by one",
    "runner": "the model speaks",
    "convert": "the model speaks",
    "pipeline_parallel_size": "the model does not split into stages",
    "data_parallel_size": "run a server for each copy of the model",
    "disable_log_stats": "the metrics page shows them",
}
"""Engine arguments that cannot be given, and why."""

NAMED: Final[Mapping[str, str]] = {
    "max_model_len": "vllm_max_model_len",
    "max_num_seqs": "lm_streams",
    "gpu_memory_utilization": "vllm_gpu_memory_utilization",
    "kv_cache_memory_bytes": "vllm_kv_cache_bytes",
    "dtype": "lm_precision",
    "tensor_parallel_size": "vllm_tensor_parallel_size",
    "enforce_eager": "vllm_enforce_eager",
}
"""Engine arguments that have a setting of their own."""


def check_args(args: Mapping[str, object]) -> None:
    """Raises ValueError for engine arguments that cannot be given this way."""
    for name in args:
        if name in OURS:
            raise ValueError(f"{name} cannot be changed: {OURS[name]}")
        if name in NAMED:
            raise ValueError(f"{name} has a setting of its own: {NAMED[name]}")


@dataclass(frozen=True, slots=True)
class VllmOptions:
    """model_folder: as convert.converted has written it.

    folder: keeps converted models across restarts; may begin with ~.
    max_model_len: ids that one stream may read and speak in all.
    lm_streams: streams in the engine at once; one that waits for text counts.
    gpu_memory_utilization: vLLM's share of the GPU's memory; flow and vocoder need the rest.
    kv_cache_bytes: of the keys and values; None: what is left of that share, on the CPU 2 GiB.
    lm_precision: "auto" is float32 on the CPU, bfloat16 on a GPU.
    args: more of vLLM's engine arguments, by the names of AsyncEngineArgs.
    park_seconds: how long a stream may wait for text while others wait for its place.

    Raises ValueError.
    """

    model_folder: Path = Path()
    folder: Path = field(default_factory=lambda: cache_folder() / "speech-lm")
    max_model_len: int = 4096
    lm_streams: int = LM_STREAMS
    gpu_memory_utilization: float = 0.4
    kv_cache_bytes: int | None = None
    lm_precision: Precision = "auto"
    tensor_parallel_size: int = 1
    enforce_eager: bool = False
    args: Mapping[str, object] = field(default_factory=dict)
    park_seconds: float = 5.0

    def __post_init__(self) -> None:
        if self.lm_streams < 1 or self.max_model_len < 3 or self.tensor_parallel_size < 1:
            raise ValueError("the LM needs a stream, a device and a context of three at least")
        if not 0.0 < self.gpu_memory_utilization <= 1.0:
            raise ValueError("gpu_memory_utilization is in (0, 1]")
        check_args(self.args)


def engine_arguments(options: VllmOptions, *, on_cpu: bool) -> dict[str, object]:
    """The keywords of vllm.AsyncEngineArgs, without the sampling's logits processor."""
    arguments: dict[str, object] = {
        "model": str(options.model_folder),
        "skip_tokenizer_init": True,
        "generation_config": "vllm",
        "max_model_len": options.max_model_len,
        "max_num_seqs": options.lm_streams,
        "gpu_memory_utilization": options.gpu_memory_utilization,
        "dtype": "bfloat16" if options.lm_precision == "auto" else options.lm_precision,
        "tensor_parallel_size": options.tensor_parallel_size,
        "enforce_eager": options.enforce_eager,
        "enable_prefix_caching": True,
        "enable_log_requests": False,
    }
    if options.kv_cache_bytes is not None:
        arguments["kv_cache_memory_bytes"] = options.kv_cache_bytes
    if on_cpu:
        # In bfloat16 few CPUs are faster. Only full blocks are shared between streams of a voice, and
        # vLLM's own block on the CPU is longer than most prompts. By itself it would take a share of the
        # machine's memory, however little the model needs.
        arguments["dtype"] = "float32" if options.lm_precision == "auto" else options.lm_precision
        arguments["block_size"] = _CPU_BLOCK
        arguments.setdefault("kv_cache_memory_bytes", _CPU_CACHE_BYTES)
    return arguments | dict(options.args)

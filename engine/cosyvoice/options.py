"""The options of the engine, and their defaults. Imports no torch: the server's settings read it.

An option that operators set has the setting's name; see server/settings/engine.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from ..folders import cache_folder
from .lm.vllm.options import LM_STREAMS, Precision, VllmOptions
from .scheduling.chunker import HopPolicy

LmBackend = Literal["auto", "torch", "vllm"]
ModelVariant = Literal["base", "rl"]
MemoryOverflow = Literal["window", "recompute", "refuse"]
GraphMode = Literal["off", "auto"]

_MIB: Final = 1024**2
_GIB: Final = 1024**3


def _voice_folder() -> Path | None:
    """None where there is no place: voices are then prepared anew after a restart."""
    folder = cache_folder() / "voices"
    return folder if folder.is_absolute() else None


@dataclass(frozen=True, slots=True)
class UtterancePolicy:
    """How long utterances are, in text tokens.

    min_tokens: a sentence end closes no shorter one: very short texts sound bad, so the next
        sentence joins it.
    soft_tokens: from here on a clause end closes it.
    max_tokens: none is longer, but for a single word that is.

    Raises ValueError unless 1 <= min_tokens <= soft_tokens <= max_tokens.
    """

    min_tokens: int = 10
    soft_tokens: int = 50
    max_tokens: int = 80

    def __post_init__(self) -> None:
        if not 1 <= self.min_tokens <= self.soft_tokens <= self.max_tokens:
            raise ValueError("1 <= min_tokens <= soft_tokens <= max_tokens must hold")


@dataclass(frozen=True, slots=True)
class CosyVoiceOptions:
    """model: a checkpoint's folder, or a hub's id@revision.

    model_variant: of the speech LM; "rl" is the one that CosyVoice 3 has beside its base.
    device: "auto" (CUDA if available), "cpu", "cuda" or "cuda:N".
    lm_backend: runs the speech LM; "auto" is vLLM where it is installed and the device is CUDA.
    lm_precision, flow_precision: "auto" is float32 on the CPU; on CUDA bfloat16 for the LM, float16 for
        the flow.
    device_memory: bytes of the device for voices' prompts, sessions and the LM's cache; None:
        `memory_share` of what is free once the weights are loaded.
    memory_overflow: what a session gets that does not fit into it; see scheduling/memory.py.
    window_seconds: the left context of a session that gets a window.
    expected_seconds: speech per utterance that a session reserves memory for on admission.
    lm_streams: utterances in the LM at once; more wait their turn.
    voice_folder: keeps prepared voices across restarts; None: nowhere. Must not begin with ~.
    voice_folder_bytes: limit of that folder, for all models together.
    voice_cache_bytes: prepared voices kept in memory.
    prompt_cache_bytes: device memory for the prompts of voices that no session uses now.
    work_ahead: seconds of unread sound beyond which a session computes no more.
    strip_markup: whether Markdown and HTML marks are removed from texts instead of read.
    duplex_text: whether an utterance begins before its text is complete.
    max_batch: sessions in one step of flow and vocoder.
    crossfade_frames: mel frames (20 ms) that the first sound of an utterance is held back by; after it
        the vocoder keeps as many as make its borders exact.
    utterances_ahead: utterances of a session that the LM may be in at once.
    cuda_graphs: "auto" records the flow's steps as CUDA graphs on a GPU.
    vllm: options of vLLM; its model_folder, lm_streams and lm_precision are filled in from here.
    """

    model: Path | str
    model_variant: ModelVariant = "base"
    device: str = "auto"
    lm_backend: LmBackend = "auto"
    lm_precision: Precision = "auto"
    flow_precision: Precision = "auto"
    device_memory: int | None = None
    memory_share: float = 0.8
    memory_overflow: MemoryOverflow = "window"
    window_seconds: float = 5.0
    expected_seconds: float = 12.0
    lm_streams: int = LM_STREAMS
    voice_folder: Path | None = field(default_factory=_voice_folder)
    voice_folder_bytes: int = 2 * _GIB
    voice_cache_bytes: int = 256 * _MIB
    prompt_cache_bytes: int = 2 * _GIB
    work_ahead: float = 4.0
    strip_markup: bool = True
    duplex_text: bool = True
    hops: HopPolicy = field(default_factory=HopPolicy)
    utterances: UtterancePolicy = field(default_factory=UtterancePolicy)
    max_batch: int = 16
    crossfade_frames: int = 8
    utterances_ahead: int = 2
    cuda_graphs: GraphMode = "off"
    vllm: VllmOptions = field(default_factory=VllmOptions)

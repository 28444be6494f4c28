"""The options of the engine, and their defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .flow import GraphMode
from .lm.vllm.options import VllmOptions
from .scheduling.chunker import HopPolicy
from .scheduling.memory import Overflow
from .text import UtterancePolicy

LmBackend = Literal["auto", "torch", "vllm"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]

MIB = 1024 * 1024


def _cache_folder() -> Path:
    return Path("~/.cache/cosyserve/speech-lm")


@dataclass(frozen=True, slots=True)
class CosyVoiceOptions:
    """model: a checkpoint's folder, or a hub's id@revision.

    device: "auto" (CUDA if there is one), "cpu", "cuda" or "cuda:N".
    lm_backend: what runs the speech LM; "auto" is vLLM where it is installed and the device is CUDA.
    lm_precision, flow_precision: "auto" is float32 on the CPU, bfloat16 for the LM and float16 for
        the flow on CUDA.
    memory: bytes of the device that voices' prompts, sessions and the LM's cache may take; None:
        `memory_share` of what is free once the weights are loaded.
    overflow: what a session gets that does not fit into that; see memory.py.
    window_seconds: the left context of a session that gets a window.
    expected_seconds: of one utterance's speech, which a session is admitted for; its memory is taken at once.
    max_sessions: utterances that are in the LM at once; more wait their turn.
    voice_cache: bytes of prepared voices kept in memory; voice_folder: where they are kept for
        good, None for nowhere.
    prompt_cache: bytes of device memory for prompts of voices that nobody speaks in now.
    work_ahead: seconds of unread sound beyond which a session is not spoken on.
    strip_markup: whether marks of Markdown and HTML in texts are taken out, and not read.
    duplex: whether an utterance is begun before its text is complete.
    max_batch: sessions in one step of flow and vocoder.
    seam_frames: mel frames (20 ms) that the first sound of an utterance is held back by; after it
        the vocoder keeps as many as make its borders exact.
    utterances_ahead: utterances of a session that the LM may be in at once.
    cuda_graphs: "auto" records the flow's steps as CUDA graphs where there is a GPU.
    vllm: how vLLM is started; its model_folder, max_num_seqs and dtype are filled in from here.
    vllm_folder: where the speech LM is kept in the form that vLLM loads; may begin with ~.
    """

    model: Path | str
    device: str = "auto"
    lm_backend: LmBackend = "auto"
    lm_precision: Precision = "auto"
    flow_precision: Precision = "auto"
    memory: int | None = None
    memory_share: float = 0.8
    overflow: Overflow = "window"
    window_seconds: float = 5.0
    expected_seconds: float = 12.0
    max_sessions: int = 64
    voice_cache: int = 256 * MIB
    voice_folder: Path | None = None
    prompt_cache: int = 2048 * MIB
    work_ahead: float = 4.0
    strip_markup: bool = True
    duplex: bool = True
    hops: HopPolicy = field(default_factory=HopPolicy)
    utterances: UtterancePolicy = field(default_factory=UtterancePolicy)
    max_batch: int = 16
    seam_frames: int = 8
    utterances_ahead: int = 2
    cuda_graphs: GraphMode = "off"
    vllm: VllmOptions = field(default_factory=VllmOptions)
    vllm_folder: Path = field(default_factory=_cache_folder)

"""From options to a running engine: what is loaded, where it is put, and what is started in which order."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Any, Final, Literal

import torch

from ..folders import expanded
from ..interface import EngineNotReady
from .checkpoint import Checkpoint, load_flow, load_hift, load_llm, open_checkpoint
from .config import FlowSizes, SamplingConfig
from .families import Family
from .flow import MemoryPool, TokenFlow, attention_kernel, graphs_for
from .lm import SpeechLM
from .lm.decoder import LmDecoder
from .lm.torch_backend import TorchLmSettings, TorchSpeechLM
from .lm.vllm.options import NOT_INSTALLED, Precision
from .options import CosyVoiceOptions, LmBackend
from .prompt import SpeakerEncoder, SpeechTokenizer
from .prompt.caches import FlowPromptCache, VoicePromptCache
from .prompt.voice import VoicePreparer, VoicePrompt, load_builtin_prompts
from .scheduling.batcher import LM_PRIORITY, Batcher, SharedThread
from .scheduling.device import DeviceThread
from .scheduling.hops import HopRunner
from .scheduling.memory import MemoryBudget, SessionCosts
from .session import SessionParts
from .text import TextProcessor, TextTokenizer, TokenizerError, load_normalizer
from .text.japanese import KatakanaForms, load_words
from .vocoder import StreamPolicy

_log = logging.getLogger(__name__)

_DTYPES: Final[Mapping[str, torch.dtype]] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """The parts of a checkpoint that need no device. builtin: the prompts of its own voices, by name."""

    checkpoint: Checkpoint
    family: Family
    text: TextProcessor
    preparer: VoicePreparer
    builtin: dict[str, VoicePrompt]


def load(options: CosyVoiceOptions, device: torch.device) -> Loaded:
    """Load what needs no device. Blocking.

    Raises CheckpointError, OnnxModelError, TokenizerError, OSError.
    """
    checkpoint = open_checkpoint(options.model, variant=options.model_variant)
    files = checkpoint.files
    assert files is not None
    family = files.family
    tokenizer = TextTokenizer.load(files.tokenizer_folder, family.special_tokens, family.sounds)
    if tokenizer.size > checkpoint.config.lm.vocab_size:
        raise TokenizerError(
            f"the tokenizer has {tokenizer.size} tokens, the model {checkpoint.config.lm.vocab_size}"
        )
    normalizer = load_normalizer()
    if normalizer.notice is not None:
        _log.warning(normalizer.notice)
    text = TextProcessor(
        tokenizer, normalizer, options.utterances, options.strip_markup, _japanese(family)
    )
    preparer = VoicePreparer(
        text,
        SpeechTokenizer(files.speech_tokenizer, cuda=device.type == "cuda"),
        SpeakerEncoder(files.campplus, size=checkpoint.config.flow.speaker_size),
        family.prompt_mel_top,
    )
    builtin = (
        {} if files.spk2info is None else load_builtin_prompts(files.spk2info, checkpoint.config)
    )
    return Loaded(checkpoint, family, text, preparer, builtin)


def _japanese(family: Family) -> Callable[[], KatakanaForms | None]:
    if not family.katakana:
        return lambda: None
    words = load_words()
    if words is None:
        _log.warning(
            "janome is not installed: Japanese written in Han will not be read as Japanese"
        )
    return partial(KatakanaForms, words)


def pick_device(name: str) -> torch.device:
    """Raises EngineNotReady."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise EngineNotReady(f"device: there is no {name}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineNotReady(f"device: there is no {name}")
    return device


def pick_dtype(precision: Precision, device: torch.device, on_cuda: torch.dtype) -> torch.dtype:
    """on_cuda: what "auto" means on CUDA."""
    if precision == "auto":
        return on_cuda if device.type == "cuda" else torch.float32
    return _DTYPES[precision]


def free_memory(device: torch.device) -> int:
    """Bytes that are free on the device now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


_TEXT_THREADS: Final = 2


@dataclass(frozen=True, slots=True)
class Running:
    """Everything between start and stop. in_vllm: where the speech LM runs."""

    parts: SessionParts
    thread: SharedThread
    batcher: Batcher
    flow: TokenFlow[Any]
    lm: SpeechLM
    in_vllm: bool
    flow_prompts: FlowPromptCache
    memory: MemoryBudget
    voice_prompts: VoicePromptCache
    text: TextProcessor
    builtin: dict[str, VoicePrompt]
    family: Family
    sampling: SamplingConfig
    text_threads: ThreadPoolExecutor

    async def stop(self) -> None:
        await self.voice_prompts.close()
        await self.batcher.stop()
        await self.lm.stop()
        self.flow_prompts.clear()
        await self.thread.close()
        self.text_threads.shutdown(wait=False, cancel_futures=True)


def choose_backend(
    asked: LmBackend, device: torch.device, installed: bool | None = None
) -> Literal["torch", "vllm"]:
    """The backend of the speech LM. Raises EngineNotReady if vLLM is asked for and not installed.

    installed: whether vLLM is; None looks.
    """
    if asked == "torch":
        return "torch"
    if installed is None:
        installed = find_spec("vllm") is not None
    if asked == "vllm" and not installed:
        raise EngineNotReady(NOT_INSTALLED)
    return "vllm" if asked == "vllm" or (installed and device.type == "cuda") else "torch"


async def bring_up(options: CosyVoiceOptions, loaded: Loaded, device: torch.device) -> Running:
    """Start all parts. Raises EngineNotReady, CheckpointError and torch's errors, with nothing left running.

    vLLM goes first: it takes its share of the whole device, and the memory for sessions is measured
    after that.
    """
    backend = choose_backend(options.lm_backend, device)
    async with AsyncExitStack() as undo:
        thread = SharedThread(device)
        undo.push_async_callback(thread.close)
        batcher = Batcher(thread, options.max_batch)
        lm = (
            await _vllm(options, loaded.checkpoint)
            if backend == "vllm"
            else _torch(options, loaded.checkpoint, device, thread)
        )
        undo.push_async_callback(lm.stop)
        if backend == "vllm":
            await lm.start()
        undo.push_async_callback(batcher.stop)
        runner = await batcher.start(_hops(options, loaded.checkpoint, device))
        if backend == "torch":
            await lm.start()
        running = _assemble(options, loaded, thread, batcher, runner, lm, backend == "vllm")
        undo.pop_all()
    return running


def _hops(
    options: CosyVoiceOptions, checkpoint: Checkpoint, device: torch.device
) -> Callable[[], HopRunner]:
    dtype = pick_dtype(options.flow_precision, device, torch.float16)

    def load() -> HopRunner:
        flow = load_flow(checkpoint, device, dtype)
        if device.type == "cpu":
            attention_kernel()  # compiled now, and not while a listener waits
        if flow.replays_graphs:
            flow.use_graphs(graphs_for(device, options.cuda_graphs))
        runner = HopRunner(flow, load_hift(checkpoint, device))
        runner.warm_up(options.max_batch)
        return runner

    return load


def _torch(
    options: CosyVoiceOptions, checkpoint: Checkpoint, device: torch.device, thread: DeviceThread
) -> SpeechLM:
    dtype = pick_dtype(options.lm_precision, device, torch.bfloat16)
    return TorchSpeechLM(
        lambda: LmDecoder(load_llm(checkpoint, device, dtype)),
        thread,
        TorchLmSettings(lm_streams=options.lm_streams, priority=LM_PRIORITY),
    )


async def _vllm(options: CosyVoiceOptions, checkpoint: Checkpoint) -> SpeechLM:
    # Imported here: with vLLM not installed there is nothing to import.
    from .lm.vllm.backend import VllmSpeechLM
    from .lm.vllm.convert import converted
    from .lm.vllm.host import EngineHost

    try:
        cache = expanded(options.vllm.folder)
    except ValueError as error:
        raise EngineNotReady(
            f"vllm_folder: {str(options.vllm.folder)!r} is not usable; {error}"
        ) from error
    folder = await asyncio.to_thread(converted, checkpoint, cache)
    vllm = replace(
        options.vllm,
        model_folder=folder,
        lm_streams=options.lm_streams,
        lm_precision=options.lm_precision,
    )
    return VllmSpeechLM(EngineHost(vllm), checkpoint.config.lm)


def _assemble(
    options: CosyVoiceOptions,
    loaded: Loaded,
    thread: SharedThread,
    batcher: Batcher,
    runner: HopRunner,
    lm: SpeechLM,
    in_vllm: bool,
) -> Running:
    checkpoint, flow = loaded.checkpoint, runner.flow
    costs = SessionCosts.of(
        flow.shapes.bytes_per_token(flow.cache_dtype),
        flow.config.chunk_tokens,
        options.expected_seconds,
        options.window_seconds,
        fixed_bytes=flow.tail_bytes + runner.vocoder.state_bytes,
    )
    flow_prompts = FlowPromptCache(
        batcher.prepare_prompt, limit=options.prompt_cache_bytes, token_bytes=costs.token_bytes
    )
    memory = MemoryBudget(
        options.device_memory or round(options.memory_share * free_memory(thread.device)),
        costs,
        options.memory_overflow,
        # In vLLM its keys and values lie in memory that was taken before the free memory was measured.
        elsewhere=lambda: (
            flow_prompts.nbytes + flow.pool.idle + int(lm.stats().get("lm_cache_bytes", 0))
        ),
        make_room=lambda nbytes: _make_room(nbytes, flow.pool, flow_prompts),
    )
    text_threads = ThreadPoolExecutor(_TEXT_THREADS, thread_name_prefix="text")
    return Running(
        parts=_session_parts(options, flow.config, lm, batcher, flow_prompts, memory, text_threads),
        thread=thread,
        batcher=batcher,
        flow=flow,
        lm=lm,
        in_vllm=in_vllm,
        flow_prompts=flow_prompts,
        memory=memory,
        voice_prompts=VoicePromptCache(
            loaded.preparer.prepare,
            model=checkpoint.voice_fingerprint,
            memory_bytes=options.voice_cache_bytes,
            folder=options.voice_folder,
            disk_bytes=options.voice_folder_bytes,
        ),
        text=loaded.text,
        builtin=loaded.builtin,
        family=loaded.family,
        sampling=checkpoint.config.sampling,
        text_threads=text_threads,
    )


def _make_room(nbytes: int, pool: MemoryPool, flow_prompts: FlowPromptCache) -> None:
    missing = nbytes - pool.shrink(nbytes)
    if missing > 0:
        flow_prompts.make_room(missing)
        pool.shrink(missing)  # where the prompts' memory has gone


def _session_parts(
    options: CosyVoiceOptions,
    flow: FlowSizes,
    lm: SpeechLM,
    batcher: Batcher,
    flow_prompts: FlowPromptCache,
    memory: MemoryBudget,
    text_threads: ThreadPoolExecutor,
) -> SessionParts:
    return SessionParts(
        lm=lm,
        batcher=batcher,
        flow_prompts=flow_prompts,
        memory=memory,
        text_threads=text_threads,
        flow=flow,
        hops=options.hops,
        crossfade=StreamPolicy(look_ahead=options.crossfade_frames),
        work_ahead=options.work_ahead,
        utterances_ahead=options.utterances_ahead,
    )

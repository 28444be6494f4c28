"""CosyVoice 2 behind the Engine interface.

The engine's numbers for the metrics page. Names in _total are counters, all others gauges.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

import torch

from ..interface import (
    BuiltinVoice,
    Capabilities,
    EngineNotReady,
    InvalidReference,
    Prompt,
    SynthesisOptions,
    TranscribedClip,
    UnsupportedRequest,
)
from .build import Running, bring_up, choose_backend, load, pick_device
from .checkpoint import CheckpointError
from .config import SAMPLE_RATE
from .flow import FlowStats
from .lm import LmPrompt, SamplingOptions
from .options import CosyVoiceOptions
from .prompt import OnnxModelError
from .prompt.caches import PromptCache, VoiceCache
from .prompt.voice import VoicePrompt
from .reading import Conditioning
from .scheduling.batcher import Runtime
from .scheduling.memory import MemoryBudget
from .session import CosyVoiceSession
from .text import TextProcessor, TokenizerError

if TYPE_CHECKING:
    from prometheus_client import Metric


def engine_stats(
    *,
    sessions: int,
    unread: float,
    runtime: Runtime,
    lm: Mapping[str, float],
    flow: FlowStats,
    spare: int,
    book: MemoryBudget,
    prompts: PromptCache,
    voices: VoiceCache,
    busy_seconds: float,
) -> dict[str, float]:
    """One flat table of all parts'."""
    hops, memory, kept = runtime.counts, book.counts, voices.stats
    return {
        "sessions": sessions,
        "queue_depth": runtime.waiting,
        "unread_seconds": unread,
        "device_busy_seconds_total": busy_seconds,
        "queue_seconds_total": hops.queue_seconds,
        "flow_seconds_total": hops.flow_seconds,
        "vocoder_seconds_total": hops.vocoder_seconds,
        "hop_batches_total": hops.batches,
        "hop_batch_rows_total": hops.rows,
        "hops_failed_total": hops.failed,
        "flow_recomputed_total": flow.fp32_redos,
        **lm,
        "memory_budget_bytes": book.budget,
        "memory_leased_bytes": book.leased,
        "session_cache_bytes": book.session_bytes,
        "spare_memory_bytes": spare,
        "prompt_cache_bytes": prompts.nbytes,
        "prompt_hits_total": prompts.counts.hits,
        "prompt_misses_total": prompts.counts.misses,
        "sessions_windowed_total": memory.windowed + memory.narrowed,
        "sessions_recomputing_total": memory.recomputed,
        "sessions_refused_total": memory.refused,
        "voice_cache_bytes": voices.nbytes,
        "voice_memory_hits_total": kept.memory_hits,
        "voice_disk_hits_total": kept.disk_hits,
        "voice_misses_total": kept.misses,
        "voice_files_corrupt_total": kept.corrupt,
        "voice_writes_failed_total": kept.failed_writes,
    }


_log = logging.getLogger(__name__)

ZERO_SHOT: Final = "fast_replication"
CROSS_LINGUAL: Final = "cross_lingual_replication"
INSTRUCTED: Final = "natural_language_replication"
_MODES: Final = frozenset({ZERO_SHOT, CROSS_LINGUAL, INSTRUCTED})
LANGUAGES: Final = ("zh", "yue", "en", "ja", "ko")
"""Dialects of Chinese (Sichuan, Shanghai, Tianjin and others) are asked for by instruction."""


class CosyVoiceEngine:
    """engine.base.Engine on a CosyVoice 2 checkpoint.

    The same seed, text, voice and options give the same speech, however the text was cut into pieces
    and whatever others do. Sums are taken in another order in batches of other sizes, so samples
    may differ in their last digits; where the LM's draw falls between two such results, its next
    token differs, and the speech from there on.
    """

    def __init__(self, options: CosyVoiceOptions) -> None:
        self._options = options
        self._running: Running | None = None
        self._sessions: set[CosyVoiceSession] = set()
        self._builtin: tuple[BuiltinVoice, ...] = ()

    @property
    def capabilities(self) -> Capabilities:
        """The voices of the checkpoint are known once it is loaded."""
        return Capabilities(
            name="cosyvoice2",
            modes=_MODES,
            instruct="free",
            speed=True,
            word_times=False,
            languages=LANGUAGES,
            sample_rate=SAMPLE_RATE,
            voices=self._builtin,
        )

    @property
    def ready(self) -> bool:
        """Not before it is started, nor while a speech model that died is being started again."""
        return self._running is not None and self._running.lm.ready

    async def start(self) -> None:
        """Load the model. Raises EngineNotReady, which says what is wrong with the checkpoint or options."""
        if self._running is not None:
            return
        device = pick_device(self._options.device)
        choose_backend(self._options.lm_backend, device)
        try:
            loaded = await asyncio.to_thread(load, self._options, device)
            self._running = await bring_up(self._options, loaded, device)
        except CheckpointError as error:
            raise _unusable("; ".join(error.problems)) from error
        except (OnnxModelError, TokenizerError, OSError) as error:
            raise _unusable(str(error)) from error
        except torch.OutOfMemoryError as error:
            raise EngineNotReady(f"the model does not fit into the memory of {device}") from error
        self._builtin = tuple(
            BuiltinVoice(name, name, "neutral") for name in sorted(loaded.speakers)
        )

    async def stop(self) -> None:
        """End all sessions with EngineNotReady and free the device. Idempotent."""
        running, self._running = self._running, None
        if running is None:
            return
        for session in list(self._sessions):
            session.fail(EngineNotReady("the engine was stopped"))
        await running.stop()

    async def prepare_voice(self, reference: TranscribedClip) -> Prompt:
        """Also computes the voice's prompt on the device, so that its first session begins at once."""
        running = self._need_running()
        try:
            prompt = await running.voices.get(reference)
        except OnnxModelError as error:
            _log.exception("a voice could not be prepared")
            raise InvalidReference("the models could make nothing of this clip") from error
        if running.book.free >= running.prompts.needed(prompt):
            await running.prompts.warm(prompt)
        return Prompt(reference.content_id, prompt)

    def known_voice(self, content_id: str) -> Prompt | None:
        prompt = self._running.voices.held(content_id) if self._running else None
        return None if prompt is None else Prompt(content_id, prompt)

    def builtin_voice(self, voice_id: str) -> Prompt | None:
        prompt = self._running.speakers.get(voice_id) if self._running else None
        return None if prompt is None else Prompt(prompt.content_id, prompt)

    def stats(self) -> Mapping[str, float]:
        running = self._running
        if running is None:
            return {}
        return engine_stats(
            sessions=len(self._sessions),
            unread=sum(session.unread for session in self._sessions),
            runtime=running.runtime,
            lm=running.lm.stats(),
            flow=running.flow.stats,
            spare=running.flow.pool.idle,
            book=running.book,
            prompts=running.prompts,
            voices=running.voices,
            busy_seconds=running.thread.busy_seconds,
        )

    def extra_metrics(self) -> Iterable[Metric]:
        """What vLLM itself counts, under its own names; nothing where it does not run."""
        if self._running is None or not self._running.in_vllm:
            return ()
        from .lm.vllm.host import vllm_metrics

        return vllm_metrics()

    def open_session(self, voice: Prompt, options: SynthesisOptions) -> CosyVoiceSession:
        """Raises EngineNotReady, UnsupportedRequest, and EngineBusy where memory is short."""
        running = self._need_running()
        if not running.lm.ready:
            raise EngineNotReady("the speech model is being started again")
        if options.mode not in _MODES:
            raise UnsupportedRequest(f"mode: one of {', '.join(sorted(_MODES))}")
        if not 0.5 <= options.speed <= 2.0:
            raise UnsupportedRequest("speed: from 0.5 to 2")
        prompt = voice.traits
        if not isinstance(prompt, VoicePrompt):
            raise UnsupportedRequest("this voice was not made for this engine")
        lease = running.book.admit(running.prompts.needed(prompt))
        manner = self._manner(running, prompt, options)
        session = CosyVoiceSession(running.shop, prompt, manner, lease, self._sessions.discard)
        self._sessions.add(session)
        return session

    def _need_running(self) -> Running:
        if self._running is None:
            raise EngineNotReady("the model is not loaded")
        return self._running

    def _manner(
        self, running: Running, voice: VoicePrompt, options: SynthesisOptions
    ) -> Conditioning:
        law = running.sampling
        sampling = SamplingOptions(
            top_p=law.top_p,
            top_k=law.top_k,
            win=law.win_size,
            tau=law.tau_r,
            bistream=self._options.duplex,
        )
        return Conditioning(
            lm_prompt=partial(_lm_prompt, running.text, voice, options),
            frontend=running.text.open(),
            sampling=sampling,
            speed=options.speed,
            seed=secrets.randbits(31) if options.seed is None else options.seed,
        )


def _lm_prompt(text: TextProcessor, voice: VoicePrompt, options: SynthesisOptions) -> LmPrompt:
    """What the LM reads before the text, by mode."""
    if options.mode == ZERO_SHOT:
        return LmPrompt(voice.text_ids, tuple(voice.speech_tokens.tolist()))
    if options.mode == INSTRUCTED and options.instruct.strip():
        return LmPrompt(text.instruction(options.instruct))
    return LmPrompt()


def _unusable(problem: str) -> EngineNotReady:
    return EngineNotReady(
        f"the model cannot be used: {problem}; allowed: a complete CosyVoice 2 checkpoint "
        "(cosyserve model check looks at one)"
    )

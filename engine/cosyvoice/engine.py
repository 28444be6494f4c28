"""CosyVoice 2 behind the Engine interface."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch

from ..base import BuiltinVoice, Capabilities, Reference, SynthesisOptions, Voice
from ..errors import EngineNotReady, InvalidReference, UnsupportedRequest
from .checkpoint import CheckpointError, load_flow, load_hift, load_llm
from .config import SAMPLE_RATE, FlowConfig, SamplingConfig
from .features import OnnxModelError
from .flow import Flow
from .hops import HopRunner
from .lm import LmPrompt, SamplingOptions
from .lm.decoder import Decoder
from .lm.torch_backend import TorchLmSettings, TorchSpeechLM
from .loading import Loaded, free_memory, load, pick_device, pick_dtype
from .memory import MemoryBook, SessionCosts
from .options import CosyVoiceOptions
from .prompts import PromptCache
from .reading import Manner
from .runtime import LM_PRIORITY, Runtime, SharedThread
from .session import CosyVoiceSession, Workshop
from .stats import engine_stats
from .text import TextProcessor, TokenizerError
from .vocoder import StreamPolicy
from .voice import VoicePrompt
from .voice_cache import VoiceCache

_log = logging.getLogger(__name__)

ZERO_SHOT: Final = "fast_replication"
CROSS_LINGUAL: Final = "cross_lingual_replication"
INSTRUCTED: Final = "natural_language_replication"
_MODES: Final = frozenset({ZERO_SHOT, CROSS_LINGUAL, INSTRUCTED})
LANGUAGES: Final = ("zh", "yue", "en", "ja", "ko")
"""Dialects of Chinese (Sichuan, Shanghai, Tianjin and others) are asked for by instruction."""
_TEXT_THREADS: Final = 2


@dataclass(frozen=True, slots=True)
class _Running:
    """Everything between start and stop."""

    shop: Workshop
    thread: SharedThread
    runtime: Runtime
    flow: Flow
    lm: TorchSpeechLM
    prompts: PromptCache
    book: MemoryBook
    voices: VoiceCache
    text: TextProcessor
    speakers: dict[str, VoicePrompt]
    sampling: SamplingConfig
    text_threads: ThreadPoolExecutor


class CosyVoiceEngine:
    """engine.base.Engine on a CosyVoice 2 checkpoint.

    The same seed, text, voice and options give the same speech, however the text was cut into pieces
    and whatever others do. Sums are taken in another order in batches of other sizes, so samples
    may differ in their last digits; where the LM's draw falls between two such results, its next
    token differs, and the speech from there on.
    """

    def __init__(self, options: CosyVoiceOptions) -> None:
        self._options = options
        self._running: _Running | None = None
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
        return self._running is not None

    async def start(self) -> None:
        """Load the model. Raises EngineNotReady, which says what is wrong with the checkpoint or options."""
        if self._running is not None:
            return
        if self._options.lm_backend == "vllm":
            raise EngineNotReady("this release runs the speech model in torch only, not in vLLM")
        device = pick_device(self._options.device)
        try:
            loaded = await asyncio.to_thread(load, self._options, device)
            self._running = await self._bring_up(loaded, device)
        except CheckpointError as error:
            problems = "; ".join(error.problems)
            raise EngineNotReady(f"the model cannot be used: {problems}") from error
        except (OnnxModelError, TokenizerError, OSError) as error:
            raise EngineNotReady(f"the model cannot be used: {error}") from error
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
        await running.voices.close()
        await running.runtime.stop()
        await running.lm.stop()
        running.prompts.clear()
        await running.thread.close()
        running.text_threads.shutdown(wait=False, cancel_futures=True)

    async def prepare_voice(self, reference: Reference) -> Voice:
        """Also computes the voice's prompt on the device, so that its first session begins at once."""
        running = self._need_running()
        try:
            prompt = await running.voices.get(reference)
        except OnnxModelError as error:
            _log.exception("a voice could not be prepared")
            raise InvalidReference("the models could make nothing of this clip") from error
        if running.book.free >= running.prompts.needed(prompt):
            await running.prompts.warm(prompt)
        return Voice(reference.content_id, prompt)

    def known_voice(self, content_id: str) -> Voice | None:
        prompt = self._running.voices.held(content_id) if self._running else None
        return None if prompt is None else Voice(content_id, prompt)

    def builtin_voice(self, voice_id: str) -> Voice | None:
        prompt = self._running.speakers.get(voice_id) if self._running else None
        return None if prompt is None else Voice(prompt.content_id, prompt)

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
            book=running.book,
            prompts=running.prompts,
            voices=running.voices,
            busy_seconds=running.thread.busy_seconds,
        )

    def open_session(self, voice: Voice, options: SynthesisOptions) -> CosyVoiceSession:
        """Raises EngineNotReady, UnsupportedRequest, and EngineBusy where memory is short."""
        running = self._need_running()
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

    def _need_running(self) -> _Running:
        if self._running is None:
            raise EngineNotReady("the model is not loaded")
        return self._running

    def _manner(self, running: _Running, voice: VoicePrompt, options: SynthesisOptions) -> Manner:
        law = running.sampling
        sampling = SamplingOptions(
            top_p=law.top_p,
            top_k=law.top_k,
            win=law.win_size,
            tau=law.tau_r,
            bistream=self._options.duplex,
        )
        return Manner(
            lm_prompt=partial(_lm_prompt, running.text, voice, options),
            frontend=running.text.open(),
            sampling=sampling,
            speed=options.speed,
            seed=secrets.randbits(31) if options.seed is None else options.seed,
        )

    # Starting

    async def _bring_up(self, loaded: Loaded, device: torch.device) -> _Running:
        options, checkpoint = self._options, loaded.checkpoint
        lm_dtype = pick_dtype(options.lm_precision, device, torch.bfloat16)
        flow_dtype = pick_dtype(options.flow_precision, device, torch.float16)
        thread = SharedThread(device)
        runtime = Runtime(thread, options.max_batch)
        lm = TorchSpeechLM(
            lambda: Decoder(load_llm(checkpoint, device, lm_dtype)),
            thread,
            TorchLmSettings(max_streams=options.max_sessions, priority=LM_PRIORITY),
        )

        def load_hops() -> HopRunner:
            return HopRunner(
                load_flow(checkpoint, device, flow_dtype), load_hift(checkpoint, device)
            )

        try:
            runner = await runtime.start(load_hops)
            await lm.start()
            return self._running_on(thread, runtime, runner.flow, lm, loaded)
        except BaseException:
            await runtime.stop()
            await lm.stop()
            await thread.close()
            raise

    def _running_on(
        self,
        thread: SharedThread,
        runtime: Runtime,
        flow: Flow,
        lm: TorchSpeechLM,
        loaded: Loaded,
    ) -> _Running:
        options, checkpoint = self._options, loaded.checkpoint
        costs = SessionCosts.of(
            flow.shapes.bytes_per_token(flow.cache_dtype),
            flow.config.encoder.chunk_tokens,
            options.expected_seconds,
            options.window_seconds,
        )
        prompts = PromptCache(
            runtime.prepare_prompt, limit=options.prompt_cache, token_bytes=costs.token_bytes
        )
        book = MemoryBook(
            options.memory or round(options.memory_share * free_memory(thread.device)),
            costs,
            options.overflow,
            elsewhere=lambda: prompts.nbytes + int(lm.stats()["lm_cache_bytes"]),
            make_room=prompts.make_room,
        )
        text_threads = ThreadPoolExecutor(_TEXT_THREADS, thread_name_prefix="text")
        shop = self._workshop(flow.config, lm, runtime, prompts, book, text_threads)
        return _Running(
            shop=shop,
            thread=thread,
            runtime=runtime,
            flow=flow,
            lm=lm,
            prompts=prompts,
            book=book,
            voices=VoiceCache(
                loaded.preparer.prepare,
                model=checkpoint.voice_fingerprint,
                memory_bytes=options.voice_cache,
                folder=options.voice_folder,
            ),
            text=loaded.text,
            speakers=loaded.speakers,
            sampling=checkpoint.config.sampling,
            text_threads=text_threads,
        )

    def _workshop(
        self,
        flow: FlowConfig,
        lm: TorchSpeechLM,
        runtime: Runtime,
        prompts: PromptCache,
        book: MemoryBook,
        text_threads: ThreadPoolExecutor,
    ) -> Workshop:
        return Workshop(
            lm=lm,
            runtime=runtime,
            prompts=prompts,
            book=book,
            text_threads=text_threads,
            flow=flow,
            hops=self._options.hops,
            seam=StreamPolicy(look_ahead=self._options.seam_frames),
            work_ahead=self._options.work_ahead,
            utterances_ahead=self._options.utterances_ahead,
        )


def _lm_prompt(text: TextProcessor, voice: VoicePrompt, options: SynthesisOptions) -> LmPrompt:
    """What the LM reads before the text, by mode."""
    if options.mode == ZERO_SHOT:
        return LmPrompt(voice.text_ids, tuple(voice.speech_tokens.tolist()))
    if options.mode == INSTRUCTED and options.instruct.strip():
        return LmPrompt(text.instruction(options.instruct))
    return LmPrompt()

"""CosyVoice behind the Engine interface."""

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
from .checkpoint import CheckpointError, family_at
from .config import SAMPLE_RATE
from .families import COSYVOICE2, FAMILIES
from .families.family import Spoken
from .lm import SamplingOptions
from .options import CosyVoiceOptions
from .prompt import OnnxModelError
from .prompt.voice import VoicePrompt
from .reading import Conditioning
from .session import CosyVoiceSession
from .statistics import read_statistics
from .text import TokenizerError
from .text.sounds import ALPHABETS

if TYPE_CHECKING:
    from prometheus_client import Metric


_log = logging.getLogger(__name__)

ZERO_SHOT: Final = "fast_replication"
CROSS_LINGUAL: Final = "cross_lingual_replication"
INSTRUCTED: Final = "natural_language_replication"
_MODES: Final = frozenset({ZERO_SHOT, CROSS_LINGUAL, INSTRUCTED})


class CosyVoiceEngine:
    """interface.Engine on a checkpoint of CosyVoice 2 or 3.

    The same seed, text, voice and options give the same speech, however the text was cut into pieces
    and whatever others do. Sums are taken in another order in batches of other sizes, so samples
    may differ in their last digits; where the LM's draw falls between two such results, its next
    token differs, and the speech from there on.
    """

    def __init__(self, options: CosyVoiceOptions) -> None:
        self._options = options
        self._running: Running | None = None
        """None before the start and after the stop."""
        self._sessions: set[CosyVoiceSession] = set()
        """The open ones."""
        self._family = family_at(options.model) or COSYVOICE2
        """The checkpoint's; only a guess until it is loaded, for one that must be downloaded."""
        self._builtin: tuple[BuiltinVoice, ...] = ()
        """The checkpoint's own voices, known once it is loaded."""

    @property
    def capabilities(self) -> Capabilities:
        """The voices of the checkpoint are known once it is loaded."""
        return Capabilities(
            name=self._family.name,
            modes=_MODES,
            instruct="free",
            speed=True,
            word_times=False,
            languages=self._family.languages,
            sample_rate=SAMPLE_RATE,
            voices=self._builtin,
            models=self._family.models,
            spells=ALPHABETS if self._family.sounds is not None else frozenset(),
        )

    @property
    def ready(self) -> bool:
        """False before the start, and while a speech LM that died is being rebuilt."""
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
        self._family = loaded.family
        self._builtin = tuple(
            BuiltinVoice(name, name, "neutral") for name in sorted(loaded.builtin)
        )

    async def stop(self) -> None:
        """End all sessions with EngineNotReady and free the device. Idempotent."""
        running, self._running = self._running, None
        if running is None:
            return
        for session in list(self._sessions):
            session.fail(EngineNotReady("the engine was stopped"))
        await running.stop()

    async def prepare_prompt(self, clip: TranscribedClip) -> Prompt:
        """Also computes the voice's prompt on the device, so that its first session begins at once."""
        running = self._need_running()
        try:
            prompt = await running.voice_prompts.get(clip)
        except OnnxModelError as error:
            _log.exception("a voice could not be prepared")
            raise InvalidReference("the models could make nothing of this clip") from error
        if running.memory.free >= running.flow_prompts.needed(prompt):
            await running.flow_prompts.warm(prompt)
        return Prompt(clip.content_id, prompt)

    def cached_prompt(self, content_id: str) -> Prompt | None:
        prompt = self._running.voice_prompts.held(content_id) if self._running else None
        return None if prompt is None else Prompt(content_id, prompt)

    def builtin_prompt(self, voice_id: str) -> Prompt | None:
        prompt = self._running.builtin.get(voice_id) if self._running else None
        return None if prompt is None else Prompt(prompt.content_id, prompt)

    def spelled(self, alphabet: str, sounds: str) -> str | None:
        """See interface.SpellingEngine."""
        tokens = self._family.sounds
        if tokens is None or alphabet not in ALPHABETS:
            return None
        return tokens.spelled(alphabet, sounds)

    def stats(self) -> Mapping[str, float]:
        return {} if self._running is None else read_statistics(self._running, self._sessions)

    def extra_metrics(self) -> Iterable[Metric]:
        """vLLM's own metrics under its own names; none where it does not run."""
        if self._running is None or not self._running.in_vllm:
            return ()
        from .lm.vllm.host import vllm_metrics

        return vllm_metrics()

    def open_session(self, prompt: Prompt, options: SynthesisOptions) -> CosyVoiceSession:
        """Raises EngineNotReady, UnsupportedRequest, and EngineBusy where memory is short."""
        running = self._need_running()
        if not running.lm.ready:
            raise EngineNotReady("the speech model is being started again")
        if options.mode not in _MODES:
            raise UnsupportedRequest(f"mode: one of {', '.join(sorted(_MODES))}")
        if not 0.5 <= options.speed <= 2.0:
            raise UnsupportedRequest("speed: from 0.5 to 2")
        voice = prompt.data
        if not isinstance(voice, VoicePrompt):
            raise UnsupportedRequest("this voice was not made for this engine")
        lease = running.memory.admit(running.flow_prompts.needed(voice))
        conditioning = self._conditioning(running, voice, options)
        session = CosyVoiceSession(
            running.parts, voice, conditioning, lease, self._sessions.discard
        )
        self._sessions.add(session)
        return session

    def _need_running(self) -> Running:
        if self._running is None:
            raise EngineNotReady("the model is not loaded")
        return self._running

    def _conditioning(
        self, running: Running, prompt: VoicePrompt, options: SynthesisOptions
    ) -> Conditioning:
        recommended = running.sampling
        sampling = SamplingOptions(
            top_p=recommended.top_p,
            top_k=recommended.top_k,
            win=recommended.win_size,
            tau=recommended.tau_r,
            bistream=self._options.duplex_text,
        )
        return Conditioning(
            lm_prompt=partial(running.family.lm_prompt, running.text, _spoken(prompt, options)),
            frontend=running.text.open(),
            sampling=sampling,
            speed=options.speed,
            seed=secrets.randbits(31) if options.seed is None else options.seed,
            silence=running.family.silence,
        )


def _spoken(prompt: VoicePrompt, options: SynthesisOptions) -> Spoken:
    """What of the voice and the task goes into the LM's prompt, by mode."""
    if options.mode == ZERO_SHOT:
        tokens = tuple(prompt.speech_tokens.tolist())
        return Spoken(prompt.text_ids, tokens, tenant=options.tenant)
    if options.mode == INSTRUCTED:
        instruction = options.instruct if options.instruct.strip() else ""
        return Spoken(instruction=instruction, tenant=options.tenant)
    return Spoken(tenant=options.tenant)


def _unusable(problem: str) -> EngineNotReady:
    known = " or ".join(family.title for family in FAMILIES)
    return EngineNotReady(
        f"the model cannot be used: {problem}; allowed: a complete checkpoint of {known} "
        "(cosyserve model check looks at one)"
    )

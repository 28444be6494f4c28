"""Hops through flow and vocoder, as they run on the device thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch

from ...interface import EngineDied, EngineError, Samples
from ..config import TOKEN_RATE
from ..flow import ContextPolicy, FlowPrompt, FlowState, TokenFlow
from ..prompt.voice import VoicePrompt
from ..vocoder import StreamingVocoder, StreamPolicy, VocoderSession
from .chunker import Hop

_log = logging.getLogger(__name__)

_WARM_BATCH: Final = 8
"""Larger batches are rare enough for a recording when they first come."""


@dataclass(eq=False, slots=True)
class UtteranceHops:
    """One utterance in flow and vocoder. The states come with its first hop.

    seed: of the vocoder's noise. crossfade: how much of the first sound is held back.
    """

    prompt: FlowPrompt
    policy: ContextPolicy
    crossfade: StreamPolicy
    speed: float
    seed: int
    flow: FlowState | None = None
    vocoder: VocoderSession | None = None

    @property
    def nbytes(self) -> int:
        """Device bytes of this utterance alone."""
        states = (self.flow, self.vocoder)
        return sum(state.nbytes for state in states if state is not None)

    def narrow(self, policy: ContextPolicy) -> None:
        """Go on with this policy. Not while a hop is being computed."""
        self.policy = policy
        if self.flow is not None:
            memory = self.flow.memory.copy(policy)
            self.flow = replace(self.flow, policy=policy, memory=memory)

    def drop(self) -> None:
        """Give the states back."""
        self.flow = self.vocoder = None


@dataclass(slots=True)
class HopResult:
    """samples: may be none, while the vocoder holds them back. Seconds: waited for the device, and spent."""

    samples: Samples
    queue: float = 0.0
    flow: float = 0.0
    vocoder: float = 0.0


@dataclass(eq=False, slots=True)
class HopJob:
    """A hop of an utterance. asked, deadline: loop times. done, failed: called on the event loop."""

    utterance: UtteranceHops
    hop: Hop
    asked: float
    deadline: float
    done: Callable[[HopResult], None]
    failed: Callable[[EngineError], None]
    cancelled: bool = False


class HopRunner:
    """Runs batches of hops. Use it on the device thread only."""

    def __init__(self, flow: TokenFlow[Any], vocoder: StreamingVocoder) -> None:
        self.flow = flow
        self.vocoder = vocoder

    def prompt(self, voice: VoicePrompt) -> FlowPrompt:
        """The flow's prompt, which the sessions of a voice share."""
        tokens, mel = voice.speech_tokens[None], voice.mel[None]
        return self.flow.prepare_prompt(tokens, mel, voice.embedding[None])

    def warm_up(self, most: int, seconds: int = 10) -> None:
        """Record the flow's graphs, if it has any, before a listener would wait for them.

        For up to `most` utterances at once (at most 8), and contexts of up to so many seconds with the
        voice's.
        """
        graphs, flow = self.flow.graphs, self.flow
        if graphs is None:
            return
        device, chunk = flow.noise.device, flow.config.chunk_tokens
        nothing = torch.zeros(1, 0, dtype=torch.int64)
        speaker = torch.zeros(1, flow.config.speaker_size, device=device)
        prompt = flow.prepare_prompt(
            nothing, flow.noise.new_zeros(1, 0, flow.config.mel_size), speaker
        )
        state, new = flow.start(prompt), torch.zeros(chunk, dtype=torch.int64)
        flow.step([state], [new[: flow.config.look_ahead]], [False])
        for _ in range(-(-seconds * TOKEN_RATE // chunk)):
            count = 2
            while count <= min(most, _WARM_BATCH):
                # Copies share what is behind them, so that a large batch needs no large memory.
                states = [state.copy() for _ in range(count)]
                flow.step(states, [new] * count, [False] * count)
                count *= 2
            flow.step([state], [new], [False])
        _log.info("%d graphs of the flow are recorded", len(graphs))

    def run(self, jobs: Sequence[HopJob]) -> list[HopResult | EngineError]:
        """Each job's result. What fails as a batch is tried again one by one, so that only those
        fail that cannot be computed alone."""
        try:
            return list(self._advance(jobs))
        except Exception as error:
            if len(jobs) == 1:
                return [_failure(error)]
            _log.warning("a batch of %d hops failed (%s); trying each alone", len(jobs), error)
        self._after_failure()
        return [self._alone(job) for job in jobs]

    def _alone(self, job: HopJob) -> HopResult | EngineError:
        try:
            return self._advance([job])[0]
        except Exception as error:
            failure = _failure(error)
        self._after_failure()
        return failure

    def _after_failure(self) -> None:
        if self.flow.noise.is_cuda:
            torch.cuda.empty_cache()

    def _advance(self, jobs: Sequence[HopJob]) -> list[HopResult]:
        # On copies, which share their tensors: a failure leaves the utterances as they were.
        flows = [self._flow_state(job.utterance) for job in jobs]
        vocoders = [self._vocoder_state(job.utterance) for job in jobs]
        final = [job.hop.final for job in jobs]
        begun = time.perf_counter()
        mels = self.flow.step(
            flows,
            [torch.tensor(job.hop.tokens, dtype=torch.int64) for job in jobs],
            final,
            [job.hop.early for job in jobs],
        )
        between = time.perf_counter()
        waves = self.vocoder.step(vocoders, mels, final, [job.utterance.speed for job in jobs])
        sounds = [_samples(wave) for wave in waves]
        ended = time.perf_counter()
        for job, flow, vocoder in zip(jobs, flows, vocoders, strict=True):
            self._keep(job, flow, vocoder)
        spent = (between - begun) / len(jobs), (ended - between) / len(jobs)
        return [HopResult(sound, flow=spent[0], vocoder=spent[1]) for sound in sounds]

    def _flow_state(self, utterance: UtteranceHops) -> FlowState:
        if utterance.flow is None:
            return self.flow.start(utterance.prompt, utterance.policy)
        return utterance.flow.copy()

    def _vocoder_state(self, utterance: UtteranceHops) -> VocoderSession:
        if utterance.vocoder is None:
            begun: VocoderSession = self.vocoder.start(utterance.crossfade, utterance.seed)
            return begun
        return utterance.vocoder.copy()

    def _keep(self, job: HopJob, flow: FlowState, vocoder: VocoderSession) -> None:
        utterance = job.utterance
        if job.hop.final or job.cancelled:
            utterance.drop()
            return
        if utterance.vocoder is None:
            # From here on a longer look-ahead: whatever the hops, the sound is that of the whole.
            ahead = max(self.vocoder.look_ahead, utterance.crossfade.look_ahead)
            vocoder.policy = replace(utterance.crossfade, look_ahead=ahead)
        utterance.flow, utterance.vocoder = flow, vocoder


def _samples(wave: torch.Tensor) -> Samples:
    return np.array(wave.detach().to("cpu", torch.float32).numpy(), dtype=np.float32)


def _failure(error: Exception) -> EngineError:
    _log.error("a hop failed", exc_info=error)
    if isinstance(error, torch.OutOfMemoryError):
        return EngineDied("the device has no memory left")
    return EngineDied("the sound could not be computed")

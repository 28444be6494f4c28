"""Speech tokens to sound in chunks of a second, in two ways that give the same mel.

Incremental: each chunk's work is that chunk's, as the server does it. Recomputed: each chunk computes
the mel of everything so far, prompt included, and uses its last second, as the reference does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.config import FRAMES_PER_TOKEN, TOKEN_RATE, FlowConfig
from cosyserve.engine.cosyvoice.flow import EXACT, ContextPolicy, Flow, FlowPrompt
from cosyserve.engine.cosyvoice.vocoder import Hift
from cosyserve.benchmarks.parity.reference import ReferenceChain

HOP: Final = TOKEN_RATE
"""Tokens per chunk."""
_FRAMES: Final = HOP * FRAMES_PER_TOKEN

ClockKind = Literal["wall", "cpu"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds. cpu: of this process, all threads together."""

    wall: float
    cpu: float

    def by(self, kind: ClockKind) -> float:
        return self.wall if kind == "wall" else self.cpu


def timed(device: torch.device, work: Callable[[], T]) -> tuple[T, Took]:
    """What the work gives, and how long it took with everything that it left to the device."""
    _wait(device)
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    _wait(device)
    return result, Took(time.perf_counter() - wall, time.process_time() - cpu)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True, slots=True)
class Voice:
    """A random voice and what it says, in the reference's layout: token [1, N], prompt_feat [1, F, mel]."""

    token: Tensor
    prompt_token: Tensor
    prompt_feat: Tensor
    embedding: Tensor

    @property
    def prompt(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.prompt_token, self.prompt_feat, self.embedding


def random_voice(config: FlowConfig, tokens: int, prompt: int, device: torch.device) -> Voice:
    random = torch.Generator().manual_seed(2)
    mel = prompt * FRAMES_PER_TOKEN, config.mel_size
    return Voice(
        torch.randint(0, config.vocab_size, (1, tokens), generator=random).to(device),
        torch.randint(0, config.vocab_size, (1, prompt), generator=random).to(device),
        torch.randn(1, *mel, generator=random).to(device),
        torch.randn(1, config.speaker_size, generator=random).to(device),
    )


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk's cost, its new mel [mel, frames], and the bytes of context held after it."""

    flow: Took
    vocoder: Took
    mel: Tensor
    nbytes: int = 0


class Incremental:
    """The server's path. Chunk k needs the tokens of the first k seconds and the look-ahead."""

    def __init__(
        self,
        models: tuple[Flow, Hift],
        voice: Voice,
        prompt: FlowPrompt,
        policy: ContextPolicy = EXACT,
    ) -> None:
        self._flow, self._hift = models
        self._voice = voice
        self._device = self._flow.noise.device
        self._state = self._flow.start(prompt, policy)
        self._vocoder = self._hift.start(seed=3)
        self._fed = 0

    def chunk(self, number: int) -> Chunk:
        """The chunks in order, from 1 on."""
        until = number * HOP + self._flow.config.look_ahead
        new = self._voice.token[0, self._fed : until]
        self._fed = until
        (mel,), flow = timed(self._device, lambda: self._flow.step([self._state], [new], [False]))
        _, vocoder = timed(self._device, lambda: self._hift.step([self._vocoder], [mel], [False]))
        return Chunk(flow, vocoder, mel, self._state.nbytes + self._vocoder.nbytes)


class Recomputed:
    """The reference's path: its chunks depend on each other in the vocoder only."""

    def __init__(self, models: tuple[Flow, Hift], voice: Voice) -> None:
        self._flow, self._hift = models
        self._voice = voice
        self._device = self._flow.noise.device

    def chunk(self, number: int) -> Chunk:
        """Any chunk, from 1 on."""
        token = self._voice.token[:, : number * HOP + self._flow.config.look_ahead]
        mel, flow = timed(
            self._device,
            lambda: self._flow.inference(
                token, *self._voice.prompt, streaming=True, finalize=False
            ),
        )
        chain = ReferenceChain(self._hift)
        if number > 1:
            chain.feed(mel[:, :, -2 * _FRAMES : -_FRAMES], final=False)
        new = mel[:, :, -_FRAMES:]
        _, vocoder = timed(self._device, lambda: chain.feed(new, final=False))
        return Chunk(flow, vocoder, new[0])

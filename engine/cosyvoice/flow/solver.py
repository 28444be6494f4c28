"""Flow matching (arXiv:2210.02747) by Euler steps, with classifier-free guidance (arXiv:2207.12598)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from .attention import chunk_mask
from .cache import CachedStep, OffsetStep
from .estimator import ConvTails, Estimator, blocks_of
from .graphs import GraphCache, StepGraph

NOISE_FRAMES: Final = 15000
"""The noise has 300 s of columns, so an utterance with its prompt has at most that many frames."""
GUIDED_ROWS: Final = 2
"""Rows of the estimator per session: with the condition, and without."""


def start_noise(mel_size: int) -> Tensor:
    """[1, mel_size, NOISE_FRAMES]: where every solution starts; column: mel frame, prompt included."""
    generator = torch.Generator(device="cpu").manual_seed(0)
    return torch.randn(1, mel_size, NOISE_FRAMES, generator=generator, device="cpu")


def time_span(steps: int) -> Tensor:
    """[steps + 1], float32 on the CPU: the cosine schedule's times from 0 to 1."""
    even = torch.linspace(0, 1, steps + 1, device="cpu")
    return 1 - torch.cos(even * 0.5 * math.pi)


def euler_schedule(steps: int) -> tuple[Tensor, Tensor]:
    """Times and step lengths [steps], float32 on the CPU, added up as the reference adds them."""
    span = time_span(steps)
    times, lengths = [], []
    t, dt = span[0], span[1] - span[0]
    for step in range(1, steps + 1):
        times.append(t)
        lengths.append(dt)
        t = t + dt
        if step < steps:
            dt = span[step + 1] - t
    return torch.stack(times), torch.stack(lengths)


@dataclass(frozen=True, slots=True)
class Condition:
    """The condition of S sessions: mu and prompt [S, mel, n], speaker [S, mel]."""

    mu: Tensor
    speaker: Tensor
    prompt: Tensor

    def inputs(self) -> Tensor:
        """The estimator's inputs [S, 2, n, 4 mel]; the place of x is left empty, row 1 has no condition."""
        sessions, mel, frames = self.mu.shape
        inputs = self.mu.new_zeros(sessions, GUIDED_ROWS, frames, 4 * mel)
        inputs[:, 0, :, mel : 2 * mel] = self.mu.transpose(1, 2)
        inputs[:, 0, :, 2 * mel : 3 * mel] = self.speaker[:, None]
        inputs[:, 0, :, 3 * mel :] = self.prompt.transpose(1, 2)
        return inputs


@dataclass(slots=True)
class _Velocities:
    """The network in one pass, step by step; with a graph, that is replayed."""

    estimator: Estimator
    mask: Tensor | None
    tails: Tensor | None
    caches: Sequence[CachedStep] | None
    graph: StepGraph | None = None

    def at(self, step: int, rows: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Euler step `step`: the velocity, and the tails after it."""
        before = None if self.tails is None else self.tails[step]
        if self.graph is not None and before is not None and self.caches is not None:
            return self.graph.run(step, rows, time, before, self.caches)
        first = step * blocks_of(self.estimator.config)
        caches = None if self.caches is None else [OffsetStep(c, first) for c in self.caches]
        convolutions = ConvTails(before)
        velocity = self.estimator.advance(rows, time, convolutions, self.mask, caches)
        return velocity, convolutions.after()


@dataclass(frozen=True, slots=True)
class Solver:
    """Hyper-parameters only: the number of Euler steps and the strength of guidance."""

    steps: int
    guidance: float

    def solve(
        self,
        estimator: Estimator,
        x: Tensor,
        condition: Condition,
        *,
        streaming: bool = True,
        tails: Tensor | None = None,
        caches: Sequence[CachedStep] | None = None,
        graphs: GraphCache | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Noise x [S, mel, n] (float32) -> mel [S, mel, n] (float32) and the tails after it.

        tails [steps, 2 S, frames, C]: of the convolutions before these frames; None at the beginning.
        caches: one per session; None where the frames are the whole input. graphs: of this estimator.
        """
        chunk, frames = estimator.config.chunk_frames, x.shape[2]
        mask = chunk_mask(frames, chunk, x.device) if streaming else None
        inputs = condition.inputs()
        times, lengths = euler_schedule(self.steps)
        embedded = estimator.time_mlp(times.to(x.device))
        after = []
        x = x.transpose(1, 2)
        velocities = _Velocities(estimator, mask, tails, caches)
        if graphs is not None and caches is not None:
            velocities.graph = graphs.open(estimator, frames, inputs, caches)
        for step, length in enumerate(lengths.tolist()):
            inputs[..., : x.shape[2]] = x[:, None]
            velocity, left = velocities.at(step, inputs.flatten(0, 1), embedded[step : step + 1])
            velocity = velocity.reshape(-1, GUIDED_ROWS, *velocity.shape[1:]).float()
            given, free = velocity[:, 0], velocity[:, 1]
            x = x + length * ((1 + self.guidance) * given - self.guidance * free)
            after.append(left)
        return x.transpose(1, 2).contiguous(), torch.stack(after)

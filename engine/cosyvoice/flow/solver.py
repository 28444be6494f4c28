"""Flow matching (arXiv:2210.02747) by Euler steps, with classifier-free guidance (arXiv:2207.12598)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from .cache import KeyValueStep, OffsetStep
from .convolution import ConvTails
from .estimator import Estimator, Masks, blocks_of
from .masks import chunk_mask

NOISE_FRAMES: Final = 15000
"""The noise has 300 s of columns, so an utterance with its prompt has at most that many frames."""
GUIDED_ROWS: Final = 2
"""Rows of the estimator per session: with the condition, and without."""


def start_noise(mel_size: int) -> Tensor:
    """[1, mel_size, NOISE_FRAMES]: where every solution starts; column: mel frame, prompt included."""
    generator = torch.Generator(device="cpu").manual_seed(0)
    return torch.randn(1, mel_size, NOISE_FRAMES, generator=generator, device="cpu")


def euler_schedule(steps: int) -> tuple[Tensor, Tensor]:
    """Times and step lengths [steps], float32 on the CPU, added up as the reference adds them."""
    span = torch.linspace(0, 1, steps + 1, device="cpu")
    span = 1 - torch.cos(span * 0.5 * math.pi)
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
    """What leads the solution of S sessions: mu and prompt [S, mel, n], speaker [S, mel]."""

    mu: Tensor
    speaker: Tensor
    prompt: Tensor

    def inputs(self) -> Tensor:
        """The estimator's inputs [S, 2, 4 mel, n]; the place of x is left empty, row 1 has no condition."""
        sessions, mel, frames = self.mu.shape
        inputs = self.mu.new_zeros(sessions, GUIDED_ROWS, 4 * mel, frames)
        inputs[:, 0, mel : 2 * mel] = self.mu
        inputs[:, 0, 2 * mel : 3 * mel] = self.speaker[:, :, None]
        inputs[:, 0, 3 * mel :] = self.prompt
        return inputs


@dataclass(frozen=True, slots=True)
class Solver:
    """The law of the solution; steps and the strength of guidance are the model's."""

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
        caches: Sequence[KeyValueStep] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Noise x [S, mel, n] (float32) -> mel [S, mel, n] (float32) and the tails after it.

        tails [steps, 2 S, C, frames]: of the convolutions before these frames; None at the beginning.
        caches: one per session; None where the frames are the whole input.
        """
        chunk, frames = estimator.config.chunk_frames, x.shape[2]
        masks = Masks(None, chunk_mask(frames, chunk, x.device) if streaming else None)
        inputs, blocks = condition.inputs(), blocks_of(estimator.config)
        times, lengths = euler_schedule(self.steps)
        embedded = estimator.time_mlp(times.to(x.device))
        after = []
        for step, length in enumerate(lengths.tolist()):
            inputs[:, :, : x.shape[1]] = x[:, None]
            convolutions = ConvTails(None if tails is None else tails[step])
            offset = None if caches is None else [OffsetStep(c, step * blocks) for c in caches]
            rows = inputs.flatten(0, 1)
            time = embedded[step : step + 1]
            velocity = estimator.advance(rows, time, convolutions, masks, offset)
            velocity = velocity.reshape(-1, GUIDED_ROWS, *velocity.shape[1:]).float()
            given, free = velocity[:, 0], velocity[:, 1]
            x = x + length * ((1 + self.guidance) * given - self.guidance * free)
            after.append(convolutions.after())
        return x, torch.stack(after)

"""Flow matching (arXiv:2210.02747) by Euler steps, with classifier-free guidance (arXiv:2207.12598)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from .attention import chunk_mask
from .cache import KeyValueStep, OffsetStep
from .estimator import ConvTails, Estimator, blocks_of
from .pages import PagedStep

if TYPE_CHECKING:
    from .graphs import GraphCache

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


@lru_cache
def schedule(steps: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    times, lengths = euler_schedule(steps)
    return tuple(times.tolist()), tuple(lengths.tolist())


@dataclass(frozen=True, slots=True)
class Condition:
    """The condition of S sessions: mu [S, mel, n], speaker [S, mel], prompt [S, mel, n or fewer], None for
    none."""

    mu: Tensor
    speaker: Tensor
    prompt: Tensor | None

    def inputs(self) -> Tensor:
        """The estimator's inputs [S, 2, n, 4 mel]; the place of x is left empty, row 1 has no condition."""
        sessions, mel, frames = self.mu.shape
        inputs = self.mu.new_zeros(sessions, GUIDED_ROWS, frames, 4 * mel)
        inputs[:, 0, :, mel : 2 * mel] = self.mu.transpose(1, 2)
        inputs[:, 0, :, 2 * mel : 3 * mel] = self.speaker[:, None]
        if self.prompt is not None:
            inputs[:, 0, : self.prompt.shape[2], 3 * mel :] = self.prompt.transpose(1, 2)
        return inputs


@dataclass(frozen=True, slots=True)
class EulerInputs:
    """What the Euler steps of a pass start from.

    x [S, n, mel], float32. inputs: of Condition. tails [steps, 2 S, frames, C]: of the convolutions before
    these frames; None at the beginning.
    """

    x: Tensor
    inputs: Tensor
    tails: Tensor | None


class Solver:
    """Hyper-parameters only: the number of Euler steps and the strength of guidance."""

    def __init__(self, steps: int, guidance: float) -> None:
        self._guidance = guidance
        self._times, self._lengths = schedule(steps)
        self._placed: Tensor | None = None
        """The times, on the device where they were last needed."""

    def solve(
        self,
        estimator: Estimator,
        x: Tensor,
        condition: Condition,
        *,
        streaming: bool = True,
        tails: Tensor | None = None,
        step: KeyValueStep | None = None,
        graphs: GraphCache | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Noise x [S, mel, n] (float32) -> mel [S, mel, n] (float32) and the tails after it.

        tails: see EulerInputs. step: None where the frames are the whole input. graphs: of this solver and
        estimator.
        """
        begin = EulerInputs(x.transpose(1, 2), condition.inputs(), tails)
        times = self.embedded_times(estimator, x.device)
        made = None
        if graphs is not None and isinstance(step, PagedStep):
            made = graphs.run(begin, times, step)
        if made is None:
            mask = chunk_mask(x.shape[2], estimator.config.chunk_frames, x.device)
            made = self.integrate(estimator, begin, times, mask if streaming else None, step)
        mel, after = made
        return mel.transpose(1, 2).contiguous(), after

    def embedded_times(self, estimator: Estimator, device: torch.device) -> Tensor:
        """[steps, time size], float32 whatever the estimator's precision."""
        if self._placed is None or self._placed.device != device:
            self._placed = torch.tensor(self._times).to(device)
        embedded: Tensor = estimator.time_mlp(self._placed)
        return embedded

    def integrate(
        self,
        estimator: Estimator,
        begin: EulerInputs,
        times: Tensor,
        mask: Tensor | None,
        step: KeyValueStep | None,
    ) -> tuple[Tensor, Tensor]:
        """All Euler steps: x [S, n, mel] at the end, and the tails after it. mask: only without `step`."""
        x, inputs = begin.x, begin.inputs
        mel = x.shape[2]
        times = times.to(inputs.dtype)
        after = []
        for number, length in enumerate(self._lengths):
            inputs[..., :mel] = x[:, None]
            convolutions = ConvTails(None if begin.tails is None else begin.tails[number])
            past = None if step is None else OffsetStep(step, number * blocks_of(estimator.config))
            velocity = estimator.advance(
                inputs.flatten(0, 1), times[number : number + 1], convolutions, mask, past
            )
            velocity = torch.unflatten(velocity, 0, (-1, GUIDED_ROWS)).float()
            given, free = velocity[:, 0], velocity[:, 1]
            x = x + length * ((1 + self._guidance) * given - self._guidance * free)
            after.append(convolutions.after())
        return x, torch.stack(after)

"""Euler steps of the diffusion transformer, with classifier-free guidance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..attention import chunk_mask
from ..cache import CachedStep, OffsetStep
from ..solver import GUIDED_ROWS, Condition, euler_schedule
from .network import Dit


def guided_inputs(condition: Condition) -> Tensor:
    """The network's inputs [S, 2, n, 4 mel]; the place of x is left empty, row 1 has no condition."""
    sessions, mel, frames = condition.mu.shape
    inputs = condition.mu.new_zeros(sessions, GUIDED_ROWS, frames, 4 * mel)
    inputs[:, 0, :, mel : 2 * mel] = condition.prompt.transpose(1, 2)
    inputs[:, 0, :, 2 * mel : 3 * mel] = condition.mu.transpose(1, 2)
    inputs[:, 0, :, 3 * mel :] = condition.speaker[:, None]
    return inputs


@dataclass(frozen=True, slots=True)
class DitSolver:
    """Hyper-parameters only: the number of Euler steps and the strength of guidance."""

    steps: int
    guidance: float

    @property
    def times(self) -> Tensor:
        """Of the steps [steps], float32 on the CPU."""
        return euler_schedule(self.steps)[0]

    def solve(
        self,
        dit: Dit,
        modulations: Tensor,
        x: Tensor,
        condition: Condition,
        first: Tensor,
        tails: Tensor,
        caches: Sequence[CachedStep] | None,
        *,
        streaming: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Noise x [S, mel, n] (float32) -> mel [S, mel, n] (float32) and the tails after it.

        modulations [steps, ...]: of Dit.modulate. first [S]: the first frames' positions. tails [steps, 2 S,
        frames, C]: of the convolutions before these frames. caches: one per session; None where the frames
        are the whole input.
        """
        frames = x.shape[2]
        mask = chunk_mask(frames, dit.config.chunk_frames, x.device) if streaming else None
        angles = dit.rotary_embed.angles(first.repeat_interleave(GUIDED_ROWS), frames)
        inputs = guided_inputs(condition)
        x = x.transpose(1, 2)
        after = []
        for step, length in enumerate(euler_schedule(self.steps)[1].tolist()):
            inputs[..., : x.shape[2]] = x[:, None]
            layer = step * dit.config.depth
            offset = None if caches is None else [OffsetStep(cache, layer) for cache in caches]
            velocity, left = dit.advance(
                inputs.flatten(0, 1),
                modulations[step : step + 1],
                angles,
                tails[step],
                mask,
                offset,
            )
            velocity = velocity.unflatten(0, (-1, GUIDED_ROWS)).float()  # type: ignore[no-untyped-call]
            given, free = velocity[:, 0], velocity[:, 1]
            x = x + length * ((1 + self.guidance) * given - self.guidance * free)
            after.append(left)
        return x.transpose(1, 2).contiguous(), torch.stack(after)

"""Standard normal noise that is a pure function of (seed, frame, place in the frame).

A stateless generator: what a session hears does not depend on how its frames were grouped into steps, on
who shared its batch, or on the device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

_GOLDEN: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1


def frame_noise(
    seeds: Sequence[int], first: Sequence[int], frames: int, width: int, device: torch.device
) -> Tensor:
    """[len(seeds), frames, width] of noise for `frames` frames from `first[i]` on; `width` is even."""
    pairs = width // 2
    start = [
        _signed((_mixed(seed) + frame * pairs * _GOLDEN) & _MASK)
        for seed, frame in zip(seeds, first, strict=True)
    ]
    origin = torch.tensor(start, device=device)[:, None]
    counter = torch.arange(frames * pairs, device=device)
    bits = _mix(origin + counter * _signed(_GOLDEN))
    high = (bits >> 32 & 0xFFFFFFFF).to(torch.float32)
    low = (bits & 0xFFFFFFFF).to(torch.float32)
    # Box-Muller; the half keeps the logarithm finite.
    radius = ((high + 0.5) * 2.0**-32).log_().mul_(-2.0).clamp_(min=0.0).sqrt_()
    angle = low * (2.0 * math.pi * 2.0**-32)
    shape = (len(seeds), frames, pairs)
    cosine, sine = (radius * angle.cos()).view(shape), (radius * angle.sin_()).view(shape)
    return torch.cat([cosine, sine], dim=-1)


def _mix(z: Tensor) -> Tensor:
    """The finaliser of SplitMix64 (doi:10.1145/2660193.2660195); int64 arithmetic wraps as uint64 does."""
    z = (z ^ (z >> 30 & _ones(34))) * _signed(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> 27 & _ones(37))) * _signed(0x94D049BB133111EB)
    return z ^ (z >> 31 & _ones(33))


def _mixed(seed: int) -> int:
    """Spread a seed, so that neighbouring ones do not give shifted copies of one sequence."""
    z = (seed * _GOLDEN + 0xD1B54A32D192ED03) & _MASK
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & _MASK
    return z ^ z >> 31


def _ones(count: int) -> int:
    return (1 << count) - 1


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value

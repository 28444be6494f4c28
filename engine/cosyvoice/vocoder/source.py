"""The neural source filter's excitation: harmonics of F0 plus noise, merged to one channel.

Phase is counted in cycles, in float64, one accumulator per harmonic; it wraps, and can be carried from one
window to the next. Each frame's phase belongs to the frame's centre; it goes in a straight line between
centres, and is held for half a frame at the two ends of the sound.

Noise is a pure function of (seed, frame, place in the frame): what a session hears does not depend on how
its frames were grouped into steps, on who shared its batch, or on the device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import MEL_HOP, SAMPLE_RATE, HiftConfig

_GOLDEN: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1


def frame_noise(
    seeds: Sequence[int], first: Sequence[int], frames: int, width: int, device: torch.device
) -> Tensor:
    """[len(seeds), frames, width] of standard normal noise for `frames` frames from `first[i]` on; `width`
    is even."""
    high, low = (half.to(torch.float32) for half in _bits(seeds, first, frames, width, device))
    # Box-Muller; the half keeps the logarithm finite.
    radius = ((high + 0.5) * 2.0**-32).log_().mul_(-2.0).clamp_(min=0.0).sqrt_()
    angle = low * (2.0 * math.pi * 2.0**-32)
    shape = (len(seeds), frames, width // 2)
    cosine, sine = (radius * angle.cos()).view(shape), (radius * angle.sin_()).view(shape)
    return torch.cat([cosine, sine], dim=-1)


def uniform_frame_noise(
    seeds: Sequence[int], first: Sequence[int], frames: int, width: int, device: torch.device
) -> Tensor:
    """As frame_noise, but uniform in [0, 1)."""
    # As many bits as fp32 holds: rounding must not give 1.
    halves = [(half >> 8).to(torch.float32) for half in _bits(seeds, first, frames, width, device)]
    shape = (len(seeds), frames, width // 2)
    return torch.cat([half.view(shape) for half in halves], dim=-1).mul_(2.0**-24)


def _bits(
    seeds: Sequence[int], first: Sequence[int], frames: int, width: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """32 random bits for each place, as int64: [len(seeds), frames * width / 2] twice."""
    pairs = width // 2
    start = [
        _signed((_mixed(seed) + frame * pairs * _GOLDEN) & _MASK)
        for seed, frame in zip(seeds, first, strict=True)
    ]
    origin = torch.tensor(start, device=device)[:, None]
    counter = torch.arange(frames * pairs, device=device)
    bits = _mix(origin + counter * _signed(_GOLDEN))
    return bits >> 32 & 0xFFFFFFFF, bits & 0xFFFFFFFF


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


class HarmonicSource(nn.Module):
    """F0 per frame [B, T] in Hz -> excitation [B, 1, T * MEL_HOP]. All in fp32 or better."""

    def __init__(self, config: HiftConfig) -> None:
        super().__init__()
        self.harmonics = config.harmonics + 1
        self.amplitude = config.sine_amplitude
        self._noise_sigma = config.noise_sigma
        self._threshold = config.voiced_threshold
        self.l_linear = nn.Linear(self.harmonics, 1)

    def render(self, centres: Tensor, steps: Tensor, at_start: Tensor) -> Tensor:
        """Sines of a window of T frames.

        centres: [B, T, harmonics] float64, cycles at the frames' centres (wrapped or not).
        steps: [B, T, harmonics] float64, cycles from the previous centre to this one.
        at_start: [B], one where the window begins the sound (the phase is held there), else zero.
        """
        held = (1.0 - at_start.to(steps.dtype))[:, None, None]
        before = torch.cat([steps[:, :1] * held, steps[:, 1:]], dim=1)
        after = F.pad(steps[:, 1:], (0, 0, 0, 1))
        # Wrapped, cycles fit fp32; half a frame adds few enough that no digit that matters is lost.
        base = (centres - centres.floor()).float()[:, :, None]
        offset = (torch.arange(MEL_HOP, device=steps.device) + 0.5) / MEL_HOP - 0.5
        left, right = offset[: MEL_HOP // 2, None], offset[MEL_HOP // 2 :, None]
        cycles = torch.cat(
            [base + before.float()[:, :, None] * left, base + after.float()[:, :, None] * right],
            dim=2,
        )
        cycles = cycles.sub_(cycles.floor()).mul_(2.0 * math.pi)
        return cycles.sin_().mul_(self.amplitude).flatten(1, 2)

    def merge(self, sines: Tensor, f0: Tensor, noise: Tensor | None) -> Tensor:
        """Sines where F0 is above the threshold, noise added, harmonics mixed: [B, 1, n].

        noise: standard normal [B, n, harmonics] (louder in unvoiced frames), or None for none.
        """
        with torch.autocast(sines.device.type, enabled=False):
            voiced = (f0 > self._threshold).float().repeat_interleave(MEL_HOP, dim=1)[..., None]
            mixed = sines * voiced
            if noise is not None:
                quiet, loud = self._noise_sigma, self.amplitude / 3.0
                mixed = mixed.addcmul_(noise.float(), loud + (quiet - loud) * voiced)
            # Not a matrix product: those may be rounded to TF32 by a setting of the process.
            weight, bias = self.l_linear.weight.float(), self.l_linear.bias.float()
            return ((mixed * weight[0]).sum(-1) + bias).tanh()[:, None]


def cycles_per_frame(f0: Tensor, harmonics: int) -> Tensor:
    """[B, T] in Hz -> [B, T, harmonics] float64: cycles of each harmonic in one frame's time."""
    order = torch.arange(1, harmonics + 1, device=f0.device, dtype=torch.float64)
    per_sample = f0.to(torch.float64)[..., None] * order / SAMPLE_RATE
    return per_sample.frac() * MEL_HOP

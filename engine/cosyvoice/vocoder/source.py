"""The neural source filter's excitation: harmonics of F0 plus noise, merged to one channel.

Two laws of phase:

- REFERENCE: the arithmetic of the published code in fp32. Its phase is a growing number of radians, so its
  error grows with the length of the sound (about 0.01 of full scale after 1000 frames).
- EXACT: cycles accumulate in float64 and wrap, one accumulator per harmonic, and can be carried from one
  window to the next.

Both give each frame's phase to the frame's centre, go in a straight line between centres, and hold it for
half a frame at the two ends of the sound.
"""

from __future__ import annotations

import enum
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import MEL_HOP, SAMPLE_RATE, HiftConfig


class PhaseLaw(enum.Enum):
    REFERENCE = "reference"
    EXACT = "exact"


class HarmonicSource(nn.Module):
    """F0 per frame [B, T] in Hz -> excitation [B, 1, T * MEL_HOP]. All in fp32 or better."""

    def __init__(self, config: HiftConfig) -> None:
        super().__init__()
        self.harmonics = config.harmonics + 1
        self._amplitude = config.sine_amplitude
        self._noise_sigma = config.noise_sigma
        self._threshold = config.voiced_threshold
        self.l_linear = nn.Linear(self.harmonics, 1)

    def forward(self, f0: Tensor, noise: Tensor | None, law: PhaseLaw) -> Tensor:
        """A whole sound, from phase zero. noise: see `merge`."""
        return self.merge(self.sines(f0, law), f0, noise)

    def sines(self, f0: Tensor, law: PhaseLaw) -> Tensor:
        """[B, T * MEL_HOP, harmonics]: the sines alone, in voiced and unvoiced frames alike."""
        if law is PhaseLaw.REFERENCE:
            return self._amplitude * reference_phase(f0.float(), self.harmonics).sin()
        steps = cycles_per_frame(f0, self.harmonics)
        return self.render(steps.cumsum(1), steps, at_start=torch.ones_like(steps[:, 0, 0]))

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
        return cycles.sin_().mul_(self._amplitude).flatten(1, 2)

    def merge(self, sines: Tensor, f0: Tensor, noise: Tensor | None) -> Tensor:
        """Sines where F0 is above the threshold, noise added, harmonics mixed: [B, 1, n].

        noise: standard normal [B, n, harmonics] (louder in unvoiced frames), or None for none.
        """
        with torch.autocast(sines.device.type, enabled=False):
            voiced = (f0 > self._threshold).float().repeat_interleave(MEL_HOP, dim=1)[..., None]
            mixed = sines * voiced
            if noise is not None:
                quiet, loud = self._noise_sigma, self._amplitude / 3.0
                mixed = mixed.addcmul_(noise.float(), loud + (quiet - loud) * voiced)
            # Not a matrix product: those may be rounded to TF32 by a setting of the process.
            weight, bias = self.l_linear.weight.float(), self.l_linear.bias.float()
            return ((mixed * weight[0]).sum(-1) + bias).tanh()[:, None]


def cycles_per_frame(f0: Tensor, harmonics: int) -> Tensor:
    """[B, T] in Hz -> [B, T, harmonics] float64: cycles of each harmonic in one frame's time."""
    order = torch.arange(1, harmonics + 1, device=f0.device, dtype=torch.float64)
    per_sample = f0.to(torch.float64)[..., None] * order / SAMPLE_RATE
    return per_sample.frac() * MEL_HOP


def reference_phase(f0: Tensor, harmonics: int) -> Tensor:
    """[B, T] -> [B, T * MEL_HOP, harmonics] radians, with the reference's fp32 roundings in its order."""
    order = torch.arange(1, harmonics + 1, device=f0.device, dtype=f0.dtype)
    per_sample = f0[..., None] * order / SAMPLE_RATE % 1
    phase = per_sample.cumsum(1) * 2 * math.pi
    stretched = F.interpolate(
        phase.transpose(1, 2) * MEL_HOP, scale_factor=float(MEL_HOP), mode="linear"
    )
    return stretched.transpose(1, 2)

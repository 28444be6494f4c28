"""Resampling by a windowed sinc, as the model's clips were resampled in training.

J. O. Smith, Digital Audio Resampling (https://ccrma.stanford.edu/~jos/resample/); the constants are
those of torchaudio's default: 6 zero crossings, a Hann window, roll-off 0.99.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

_ZERO_CROSSINGS: Final = 6
_ROLL_OFF: Final = 0.99
_FINEST: Final = 1000
"""Rates whose ratio needs larger terms are taken as the nearest ratio that does not: the filter bank
of two coprime rates would fill gigabytes. The pitch is then off by 0.05 % at most, under a
cent, for rates from 8 to 192 kHz."""


def resample(wave: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """`wave` [..., n] at `from_rate` Hz as [..., ceil(n * to_rate / from_rate)] at `to_rate`.

    The result is `wave` itself if the rates are equal. Raises ValueError if a rate is not positive.
    """
    if from_rate <= 0 or to_rate <= 0:
        raise ValueError(f"sample rates must be positive, not {from_rate} and {to_rate}")
    if from_rate == to_rate:
        return wave
    ratio = Fraction(to_rate, from_rate)
    step, phases = ratio.denominator, ratio.numerator
    if max(step, phases) > _FINEST:
        ratio = 1 / (1 / ratio).limit_denominator(_FINEST)
        step, phases = ratio.denominator, ratio.numerator
    kernels, width = _filter_bank(step, phases)
    length = wave.shape[-1]
    rows = torch.nn.functional.pad(wave.reshape(-1, 1, length), (width, width + step))
    found = torch.nn.functional.conv1d(rows, kernels.to(wave), stride=step)
    whole = found.transpose(1, 2).reshape(*wave.shape[:-1], -1)
    return whole[..., : math.ceil(length * ratio)]


@lru_cache(maxsize=16)
def _filter_bank(step: int, phases: int) -> tuple[Tensor, int]:
    """The low-pass filter at each of the `phases` output places among `step` input samples.

    Returns kernels [phases, 1, taps], float32, and the number of taps before the first sample.
    """
    cutoff = min(step, phases) * _ROLL_OFF
    width = math.ceil(_ZERO_CROSSINGS * step / cutoff)
    places = torch.arange(-width, width + step, dtype=torch.float64) / step
    outputs = torch.arange(phases, dtype=torch.float64) / phases
    time = (places[None, :] - outputs[:, None]) * cutoff
    time = time.clamp(-_ZERO_CROSSINGS, _ZERO_CROSSINGS)
    window = torch.cos(time * (math.pi / _ZERO_CROSSINGS / 2)).square()
    kernels = torch.sinc(time) * window * (cutoff / step)
    return kernels.to(torch.float32)[:, None, :], width

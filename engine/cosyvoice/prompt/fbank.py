"""Log filter-bank energies as Kaldi computes them: the speaker encoder's input.

https://kaldi-asr.org/doc/feat.html, with its defaults but for the bins, and no dither.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

_RATE: Final = 16000
_FRAME: Final = 400
_HOP: Final = 160
_FFT: Final = 512
_SIZE: Final = 80
_LOW_HZ: Final = 20.0
_PRE_EMPHASIS: Final = 0.97
_FLOOR: Final = torch.finfo(torch.float32).eps

FBANK_SHORTEST: Final = _FRAME
"""Samples at 16 kHz that give one frame."""


def speaker_fbank(wave: Tensor) -> Tensor:
    """`kaldi_fbank` with its mean over time removed."""
    energies = kaldi_fbank(wave)
    return energies - energies.mean(dim=0, keepdim=True)


def kaldi_fbank(wave: Tensor) -> Tensor:
    """Log energies [frames, 80] of `wave` [1, n] at 16 kHz; frames = 1 + (n - 400) // 160.

    Full scale stays +-1 (Kaldi itself would see 16-bit integers).
    Raises ValueError if the clip is shorter than FBANK_SHORTEST.
    """
    if wave.ndim != 2 or wave.shape[0] != 1:
        raise ValueError(f"a mono clip [1, samples] is needed, not {list(wave.shape)}")
    if wave.shape[1] < FBANK_SHORTEST:
        raise ValueError(f"the clip has {wave.shape[1]} samples, {FBANK_SHORTEST} are needed")
    # In float64: near the floor, float32 transforms differ from each other by more than 1e-3.
    frames = wave[0].double().unfold(0, _FRAME, _HOP)
    frames = frames - frames.mean(dim=1, keepdim=True)
    before = torch.cat((frames[:, :1], frames[:, :-1]), dim=1)
    frames = (frames - _PRE_EMPHASIS * before) * _povey_window().to(frames)
    power = torch.fft.rfft(frames, n=_FFT).abs().square()
    energies = power[:, : _FFT // 2] @ _kaldi_filters().to(frames).T
    log: Tensor = energies.clamp(min=_FLOOR).log().to(torch.float32)
    return log


@lru_cache(maxsize=1)
def _povey_window() -> Tensor:
    """Like a Hamming window, but it goes to zero at the edges."""
    return torch.hann_window(_FRAME, periodic=False).pow(0.85)


@lru_cache(maxsize=1)
def _kaldi_filters() -> Tensor:
    """Triangles [80, 256], even in mel and straight in mel, of height 1; 20 Hz to half the rate."""
    bins = 1127.0 * torch.log(1.0 + torch.arange(_FFT // 2) * (_RATE / _FFT) / 700.0)
    low, high = _mel(_LOW_HZ), _mel(_RATE / 2)
    step = (high - low) / (_SIZE + 1)
    # In float32 and in this order: a strong tone at a triangle's foot shows the rounding.
    place = torch.arange(_SIZE)[:, None]
    left, centre, right = low + place * step, low + (place + 1.0) * step, low + (place + 2.0) * step
    rising = (bins - left) / (centre - left)
    falling = (right - bins) / (right - centre)
    return torch.minimum(rising, falling).clamp(min=0.0)


def _mel(hertz: float) -> float:
    return 1127.0 * math.log(1.0 + hertz / 700.0)

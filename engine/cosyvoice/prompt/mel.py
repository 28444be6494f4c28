"""The two log-mel spectrograms: the flow's prompt (24 kHz) and the speech tokenizer's input (16 kHz).

Both use the mel scale and area normalisation of the Auditory Toolbox (M. Slaney, 1998).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from ..config import MEL_HOP, SAMPLE_RATE

_MEL_FFT: Final = 1920
_MEL_SIZE: Final = 80
_MEL_FLOOR: Final = 1e-5
_POWER_FLOOR: Final = 1e-9

MEL_TOP: Final = 8000.0
"""Hz of the highest filter of CosyVoice 2's mel."""

_WHISPER_RATE: Final = 16000
_WHISPER_FFT: Final = 400
_WHISPER_HOP: Final = 160
_WHISPER_TOP: Final = 8000.0
_WHISPER_SIZE: Final = 128
_WHISPER_FLOOR: Final = 1e-10
_WHISPER_RANGE: Final = 8.0
"""Decades below the loudest place that are kept."""

MEL_SHORTEST: Final = (_MEL_FFT - MEL_HOP) // 2 + 1
"""Samples at 24 kHz that `prompt_mel` needs at least."""
WHISPER_SHORTEST: Final = _WHISPER_FFT // 2 + 1
"""Samples at 16 kHz that `whisper_log_mel` needs at least."""


def prompt_mel(wave: Tensor, top: float = MEL_TOP) -> Tensor:
    """Natural-log mel [1, 80, frames] of `wave` [1, n] at 24 kHz, up to `top` Hz; frames = n // 480.

    Frames lie fully inside the clip reflected by 720 samples at both ends.
    Raises ValueError if the clip is shorter than MEL_SHORTEST.
    """
    _check(wave, MEL_SHORTEST)
    margin = (_MEL_FFT - MEL_HOP) // 2
    padded = torch.nn.functional.pad(wave, (margin, margin), mode="reflect")
    frames = padded.unfold(1, _MEL_FFT, MEL_HOP) * torch.hann_window(_MEL_FFT).to(wave)
    # In float64: near silence, float32 transforms differ from each other by up to 0.01.
    spectrum = torch.fft.rfft(frames.double()).transpose(1, 2)
    power = (spectrum.real.square() + spectrum.imag.square()).to(wave)
    filters = slaney_filters(SAMPLE_RATE, _MEL_FFT, _MEL_SIZE, top).to(wave)
    mel = filters @ torch.sqrt(power + _POWER_FLOOR)
    return mel.clamp(min=_MEL_FLOOR).log()


def whisper_log_mel(wave: Tensor) -> Tensor:
    """Log-mel [1, 128, frames] of `wave` [1, n] at 16 kHz as Whisper takes it; frames = n // 160.

    Raises ValueError if the clip is shorter than WHISPER_SHORTEST.
    """
    _check(wave, WHISPER_SHORTEST)
    window = torch.hann_window(_WHISPER_FFT).to(wave)
    spectrum = torch.stft(wave, _WHISPER_FFT, _WHISPER_HOP, window=window, return_complex=True)
    spectrum = spectrum[..., :-1]
    filters = slaney_filters(_WHISPER_RATE, _WHISPER_FFT, _WHISPER_SIZE, _WHISPER_TOP).to(wave)
    mel = (filters @ spectrum.abs().square()).clamp(min=_WHISPER_FLOOR).log10()
    return (torch.maximum(mel, mel.max() - _WHISPER_RANGE) + 4.0) / 4.0


@lru_cache(maxsize=8)
def slaney_filters(sample_rate: int, n_fft: int, size: int, top: float) -> Tensor:
    """Triangles [size, n_fft // 2 + 1] from 0 to `top` Hz, evenly spaced in mel, each of area 1 (Hz)."""
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    mels = torch.linspace(0.0, _mel(top), size + 2, dtype=torch.float64)
    edges = _hertz(mels)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    triangles = torch.minimum(rising, falling).clamp(min=0.0)
    return (triangles * (2.0 / (high - low))).to(torch.float32)


_LINEAR_STEP: Final = 200.0 / 3
"""Hertz per mel below 1000 Hz."""
_KNEE: Final = 1000.0
_LOG_STEP: Final = math.log(6.4) / 27
"""Natural-log hertz per mel above."""


def _mel(hertz: float) -> float:
    if hertz < _KNEE:
        return hertz / _LINEAR_STEP
    return _KNEE / _LINEAR_STEP + math.log(hertz / _KNEE) / _LOG_STEP


def _hertz(mels: Tensor) -> Tensor:
    knee = _KNEE / _LINEAR_STEP
    return torch.where(
        mels < knee, mels * _LINEAR_STEP, _KNEE * torch.exp((mels - knee) * _LOG_STEP)
    )


def _check(wave: Tensor, shortest: int) -> None:
    if wave.ndim != 2 or wave.shape[0] != 1:
        raise ValueError(f"a mono clip [1, samples] is needed, not {list(wave.shape)}")
    if wave.shape[1] < shortest:
        raise ValueError(f"the clip has {wave.shape[1]} samples, {shortest} are needed")

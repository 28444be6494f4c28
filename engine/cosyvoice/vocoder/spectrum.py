"""Short-time Fourier transforms of the vocoder: Hann window, centred frames, always in fp32.

Written out (rather than torch.istft) because the library's inverse reads a value back to the host, which
neither a CUDA graph nor a busy device thread can afford.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def analyse(wave: Tensor, size: int, hop: int) -> Tensor:
    """[B, n] -> [B, size + 2, n / hop + 1]: the real parts of all bins, then the imaginary ones.

    Both ends are padded by reflection.
    """
    padded = F.pad(wave.float()[:, None], (size // 2, size // 2), mode="reflect")[:, 0]
    frames = padded.unfold(-1, size, hop) * _hann(size, wave.device)
    bins = torch.fft.rfft(frames)
    return torch.cat([bins.real, bins.imag], dim=-1).transpose(1, 2)


def synthesise(magnitude: Tensor, phase: Tensor, size: int, hop: int) -> Tensor:
    """[B, size / 2 + 1, frames] twice -> [B, (frames - 1) * hop]; `hop` divides `size`."""
    magnitude, phase = magnitude.float(), phase.float()
    bins = torch.polar(magnitude, phase).transpose(1, 2)
    window = _hann(size, magnitude.device)
    frames = torch.fft.irfft(bins, n=size) * window
    count = frames.shape[1]
    envelope = window.square().expand(1, count, size)
    kept = slice(size // 2, size // 2 + (count - 1) * hop)
    return _overlap(frames, hop)[:, kept] / _overlap(envelope, hop)[:, kept]


def _overlap(frames: Tensor, hop: int) -> Tensor:
    """Add up [B, count, size] frames that lie `hop` apart: [B, (count - 1) * hop + size]."""
    batch, count, size = frames.shape
    parts = size // hop
    total = frames.new_zeros(batch, count + parts - 1, hop)
    for part in range(parts):
        total[:, part : part + count] += frames[..., part * hop : (part + 1) * hop]
    return total.reshape(batch, -1)


def _hann(size: int, device: torch.device) -> Tensor:
    return torch.hann_window(size, device=device)

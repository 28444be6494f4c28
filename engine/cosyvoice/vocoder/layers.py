"""The parts of HiFT: short-time Fourier transforms, weight normalisation, residual blocks, F0 predictor.

The transforms have a Hann window and centred frames, and are always in fp32. They are written out because
torch.istft reads a value back to the host, which neither a CUDA graph nor a busy device thread can afford.

Convolutions hold plain weights: normalised ones (arXiv:1602.07868) are folded when a checkpoint is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def analyse(wave: Tensor, size: int, hop: int) -> Tensor:
    """[B, n] -> [B, size + 2, n / hop + 1]: the real parts of all bins, then the imaginary ones.

    Both ends are padded by reflection.
    """
    padded = F.pad(wave.float()[:, None], (size // 2, size // 2), mode="reflect")[:, 0]
    return columns(padded, size, hop)


def columns(wave: Tensor, size: int, hop: int) -> Tensor:
    """[B, n] in fp32 -> [B, size + 2, (n - size) / hop + 1]: as `analyse`, of whole windows alone."""
    frames = wave.unfold(-1, size, hop) * hann(size, wave.device)
    bins = torch.fft.rfft(frames)
    return torch.cat([bins.real, bins.imag], dim=-1).transpose(1, 2)


def synthesise(magnitude: Tensor, phase: Tensor, size: int, hop: int) -> Tensor:
    """[B, size / 2 + 1, frames] twice -> [B, (frames - 1) * hop]; `hop` divides `size`."""
    frames = windows(magnitude, phase, size)
    count = frames.shape[1]
    envelope = hann(size, magnitude.device).square().expand(1, count, size)
    kept = slice(size // 2, size // 2 + (count - 1) * hop)
    return overlap(frames, hop)[:, kept] / overlap(envelope, hop)[:, kept]


def windows(magnitude: Tensor, phase: Tensor, size: int) -> Tensor:
    """[B, size / 2 + 1, frames] twice -> the inverse transforms under the window, [B, frames, size]."""
    bins = torch.polar(magnitude.float(), phase.float()).transpose(1, 2)
    frames: Tensor = torch.fft.irfft(bins, n=size) * hann(size, magnitude.device)
    return frames


def overlap(frames: Tensor, hop: int) -> Tensor:
    """Add up [B, count, size] frames that lie `hop` apart: [B, (count - 1) * hop + size]."""
    batch, count, size = frames.shape
    parts = size // hop
    total = frames.new_zeros(batch, count + parts - 1, hop)
    for part in range(parts):
        total[:, part : part + count] += frames[..., part * hop : (part + 1) * hop]
    return total.reshape(batch, -1)


def hann(size: int, device: torch.device) -> Tensor:
    return torch.hann_window(size, device=device)


GAIN: Final = ".parametrizations.weight.original0"
DIRECTION: Final = ".parametrizations.weight.original1"
_FORMS: Final = ((GAIN, DIRECTION), (".weight_g", ".weight_v"))


def fold_weight_norm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same state with `X.weight = gain * direction / |direction|` for each normalised layer X.

    Both spellings of the pair are read; all other entries pass unchanged. The norm is taken per index of
    dimension 0, which is the input channel of a transposed convolution. A gain without its direction (or
    the other way round) stays as it is, so that strict loading names it.
    """
    folded = dict(state)
    for gain_end, direction_end in _FORMS:
        for key in [key for key in folded if key.endswith(gain_end)]:
            layer = key.removesuffix(gain_end)
            if layer + direction_end not in folded:
                continue
            gain = folded.pop(key)
            direction = folded.pop(layer + direction_end)
            exact = direction.double()
            norm = torch.linalg.vector_norm(exact, dim=(1, 2), keepdim=True)
            folded[layer + ".weight"] = (exact * gain.double() / norm).to(direction.dtype)
    return folded


class Snake(nn.Module):
    """x + sin(a x)^2 / a with one `a` per channel (arXiv:2006.08195)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        alpha = self.alpha[:, None].to(x.dtype)
        wave = (x * alpha).sin_().square_()
        return torch.addcmul(x, wave, 1.0 / (alpha + 1e-9))


class ResBlock(nn.Module):
    """Residual pairs of convolutions, the first of each pair dilated."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        half = (kernel - 1) // 2
        self.convs1 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, dilation=d, padding=half * d) for d in dilations
        )
        self.convs2 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, padding=half) for _ in dilations
        )
        self.activations1 = nn.ModuleList(Snake(channels) for _ in dilations)
        self.activations2 = nn.ModuleList(Snake(channels) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        pairs = zip(self.activations1, self.convs1, self.activations2, self.convs2, strict=True)
        for activation1, conv1, activation2, conv2 in pairs:
            x = x + conv2(activation2(conv1(activation1(x))))
        return x


class F0Predictor(nn.Module):
    """Mel to fundamental frequency: [B, mel, T] -> [B, T] in Hz, one value per frame.

    Each value depends on LAYERS frames to both sides; zeros stand in beyond the ends. Weights are kept and
    applied in float64: phase is the sum of F0 over the whole past, so that fp32 roundings, which differ with
    the length of a window, would add up to audible differences between windows. It is one percent of the
    vocoder's work.
    """

    LAYERS: Final = 5

    def __init__(self, mel_size: int, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(self.LAYERS):
            layers += [nn.Conv1d(channels if index else mel_size, channels, 3, padding=1), nn.ELU()]
        self.condnet = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, 1)
        stay_float64(self)

    def forward(self, mel: Tensor) -> Tensor:
        """In fp32."""
        return self.precise(mel).float()

    def precise(self, mel: Tensor) -> Tensor:
        """In float64."""
        with torch.autocast(mel.device.type, enabled=False):
            hidden = self.condnet(mel.double()).transpose(1, 2)
            values: Tensor = self.classifier(hidden)
            return values.squeeze(-1).abs()


def stay_float64(module: nn.Module) -> None:
    """Bring the weights to float64, now and whenever others are loaded."""
    module.double()
    # Assigned weights bring their own type.
    register: Callable[..., object] = module.register_load_state_dict_post_hook
    register(_to_float64)


def _to_float64(module: nn.Module, _: object) -> None:
    module.double()

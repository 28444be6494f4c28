"""The two building blocks of the HiFT decoder and its F0 predictor.

Convolution weights are plain here: see weights.py for how normalised ones become so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor, nn


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
        self.double()
        # Assigned weights bring their own type.
        register: Callable[..., object] = self.register_load_state_dict_post_hook
        register(_to_float64)

    def forward(self, mel: Tensor) -> Tensor:
        """In fp32."""
        return self.precise(mel).float()

    def precise(self, mel: Tensor) -> Tensor:
        """In float64."""
        with torch.autocast(mel.device.type, enabled=False):
            hidden = self.condnet(mel.double()).transpose(1, 2)
            values: Tensor = self.classifier(hidden)
            return values.squeeze(-1).abs()


def _to_float64(module: nn.Module, _: object) -> None:
    module.double()

"""Causal convolutions of the estimator, and what they remember between steps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_KERNEL = 3
TAIL = _KERNEL - 1
"""Frames that a causal convolution remembers."""


class ConvTails:
    """The last inputs of every causal convolution, read and renewed in the order of the network.

    before [B, sum of channels, TAIL]; None: the beginning of the input.
    """

    def __init__(self, before: Tensor | None) -> None:
        self._before = before
        self._offset = 0
        self._after: list[Tensor] = []

    def pad(self, x: Tensor) -> Tensor:
        """x [B, C, n] -> [B, C, TAIL + n] with what came before it."""
        if self._before is None:
            padded = F.pad(x, (TAIL, 0))
        else:
            end = self._offset + x.shape[1]
            padded = torch.cat((self._before[:, self._offset : end], x), dim=2)
            self._offset = end
        self._after.append(padded[:, :, -TAIL:])
        return padded

    def after(self) -> Tensor:
        return torch.cat(self._after, dim=1)


class CausalConv(nn.Conv1d):
    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(channels, out_channels, _KERNEL)

    def run(self, x: Tensor, tails: ConvTails) -> Tensor:
        out: Tensor = self(tails.pad(x))
        return out


class CausalBlock(nn.Module):
    """Convolution, layer norm over channels, Mish. The unused places keep the checkpoint's numbering."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            CausalConv(channels, out_channels), nn.Identity(), nn.LayerNorm(out_channels)
        )

    def run(self, x: Tensor, tails: ConvTails, mask: Tensor | None) -> Tensor:
        conv, _, norm = self.block
        assert isinstance(conv, CausalConv)
        x = norm(conv.run(masked(x, mask), tails).transpose(1, 2)).transpose(1, 2)
        return masked(F.mish(x), mask)


class ResnetBlock(nn.Module):
    def __init__(self, channels: int, out_channels: int, time_size: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Mish(), nn.Linear(time_size, out_channels))
        self.block1 = CausalBlock(channels, out_channels)
        self.block2 = CausalBlock(out_channels, out_channels)
        self.res_conv = nn.Conv1d(channels, out_channels, 1)

    def run(self, x: Tensor, time: Tensor, tails: ConvTails, mask: Tensor | None) -> Tensor:
        hidden = self.block1.run(x, tails, mask) + self.mlp(time)[:, :, None]
        out: Tensor = self.block2.run(hidden, tails, mask) + self.res_conv(masked(x, mask))
        return out


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask

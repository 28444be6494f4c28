"""Causal convolutions of the estimator, and what they remember between steps.

Frames come before channels throughout, [B, n, C], as the transformer blocks between have them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .product import Product

_KERNEL = 3
TAIL = _KERNEL - 1
"""Frames that a causal convolution remembers."""


class ConvTails:
    """The last inputs of every causal convolution, read and renewed in the order of the network.

    before [B, TAIL, sum of channels]; None: the beginning of the input.
    """

    def __init__(self, before: Tensor | None) -> None:
        self._before = before
        self._offset = 0
        self._after: list[Tensor] = []

    def pad(self, x: Tensor) -> Tensor:
        """x [B, n, C] -> [B, TAIL + n, C] with what came before it."""
        if self._before is None:
            padded = F.pad(x, (0, 0, TAIL, 0))
        else:
            end = self._offset + x.shape[2]
            padded = torch.cat((self._before[:, :, self._offset : end], x), dim=1)
            self._offset = end
        self._after.append(padded[:, -TAIL:])
        return padded

    def after(self) -> Tensor:
        return torch.cat(self._after, dim=2)


class CausalConv(nn.Conv1d):
    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(channels, out_channels, _KERNEL)
        self._product = Product(self)

    def run(self, x: Tensor, tails: ConvTails) -> Tensor:
        return self._product(tails.pad(x))


class PointConv(nn.Conv1d):
    """Each frame by itself."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(channels, out_channels, 1)
        self._product = Product(self)

    def run(self, x: Tensor) -> Tensor:
        return self._product(x)


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
        return masked(F.mish(norm(conv.run(masked(x, mask), tails))), mask)


class ResnetBlock(nn.Module):
    def __init__(self, channels: int, out_channels: int, time_size: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Mish(), nn.Linear(time_size, out_channels))
        self.block1 = CausalBlock(channels, out_channels)
        self.block2 = CausalBlock(out_channels, out_channels)
        self.res_conv = PointConv(channels, out_channels)

    def run(self, x: Tensor, time: Tensor, tails: ConvTails, mask: Tensor | None) -> Tensor:
        hidden = self.block1.run(x, tails, mask) + self.mlp(time)[:, None]
        return self.block2.run(hidden, tails, mask) + self.res_conv.run(masked(x, mask))


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask

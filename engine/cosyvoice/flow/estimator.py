"""The flow's velocity network: a causal U-Net of one level with transformer blocks.

Frames come before channels throughout, [B, n, C], as the transformer blocks have them. Of earlier steps the
causal convolutions see their tails (ConvTails), and attention sees keys and values (KeyValueStep).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import EstimatorConfig
from ..linear import PackedLinear
from .cache import KeyValueStep

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
        self._packed = PackedLinear(self)

    def run(self, x: Tensor, tails: ConvTails) -> Tensor:
        return self._packed(tails.pad(x))


class PointConv(nn.Conv1d):
    """Each frame by itself."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(channels, out_channels, 1)
        self._packed = PackedLinear(self)

    def run(self, x: Tensor) -> Tensor:
        return self._packed(x)


class CausalBlock(nn.Module):
    """Convolution, layer norm over channels, Mish. The unused places keep the checkpoint's numbering."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            CausalConv(channels, out_channels), nn.Identity(), nn.LayerNorm(out_channels)
        )

    def run(self, x: Tensor, tails: ConvTails) -> Tensor:
        conv, _, norm = self.block
        assert isinstance(conv, CausalConv)
        return F.mish(norm(conv.run(x, tails)))


class ResnetBlock(nn.Module):
    def __init__(self, channels: int, out_channels: int, time_size: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Mish(), nn.Linear(time_size, out_channels))
        self.block1 = CausalBlock(channels, out_channels)
        self.block2 = CausalBlock(out_channels, out_channels)
        self.res_conv = PointConv(channels, out_channels)

    def run(self, x: Tensor, time: Tensor, tails: ConvTails) -> Tensor:
        hidden = self.block1.run(x, tails) + self.mlp(time)[:, None]
        return self.block2.run(hidden, tails) + self.res_conv.run(x)


_TIME_SCALE = 1000.0


class SelfAttention(nn.Module):
    """heads * head_dim need not be the channel width. No bias on queries, keys and values."""

    def __init__(self, index: int, config: EstimatorConfig) -> None:
        super().__init__()
        inner = config.num_heads * config.attention_head_dim
        self.index = index
        self.heads = config.num_heads
        self.to_q = nn.Linear(config.channels, inner, bias=False)
        self.to_k = nn.Linear(config.channels, inner, bias=False)
        self.to_v = nn.Linear(config.channels, inner, bias=False)
        out = nn.Linear(inner, config.channels)
        self.to_out = nn.ModuleList([out])
        self._inputs = PackedLinear(self.to_q, self.to_k, self.to_v)
        self._out = PackedLinear(out)

    def forward(self, x: Tensor, mask: Tensor | None, step: KeyValueStep | None) -> Tensor:
        # [3, B, heads, n, head_dim], as views
        inputs = self._inputs(x)
        inputs = inputs.view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if step is None:
            query, key, value = inputs
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        else:
            mixed = step.attend(self.index, inputs[0], inputs[1:])
        return self._out(mixed.transpose(1, 2).flatten(2))


class GeluProjection(nn.Module):
    def __init__(self, size: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(size, inner)
        self._packed = PackedLinear(self.proj, activation="gelu")

    def forward(self, x: Tensor) -> Tensor:
        return self._packed(x)


class EstimatorFeedForward(nn.Module):
    """The place between the two projections keeps the checkpoint's numbering."""

    def __init__(self, size: int) -> None:
        super().__init__()
        out = nn.Linear(4 * size, size)
        self.net = nn.Sequential(GeluProjection(size, 4 * size), nn.Identity(), out)
        self._out = PackedLinear(out)

    def forward(self, x: Tensor) -> Tensor:
        return self._out(self.net[0](x))


class TransformerBlock(nn.Module):
    def __init__(self, index: int, config: EstimatorConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.channels)
        self.attn1 = SelfAttention(index, config)
        self.norm3 = nn.LayerNorm(config.channels)
        self.ff = EstimatorFeedForward(config.channels)

    def forward(self, x: Tensor, mask: Tensor | None, step: KeyValueStep | None) -> Tensor:
        x = x + self.attn1(self.norm1(x), mask, step)
        out: Tensor = x + self.ff(self.norm3(x))
        return out


class Stage(nn.ModuleList):
    """A resnet, its transformer blocks and, where the reference has one, a convolution."""

    def __init__(
        self, indices: Iterator[int], channels: int, config: EstimatorConfig, *, conv: bool
    ) -> None:
        width = config.channels
        blocks = [TransformerBlock(next(indices), config) for _ in range(config.n_blocks)]
        parts = [ResnetBlock(channels, width, time_size(config)), nn.ModuleList(blocks)]
        super().__init__([*parts, CausalConv(width, width)] if conv else parts)

    def mix(
        self,
        x: Tensor,
        time: Tensor,
        tails: ConvTails,
        mask: Tensor | None,
        step: KeyValueStep | None,
    ) -> Tensor:
        """The resnet and the transformer blocks; x [B, n, C]."""
        resnet, blocks = self[0], self[1]
        assert isinstance(resnet, ResnetBlock)
        assert isinstance(blocks, nn.ModuleList)
        x = resnet.run(x, time, tails)
        for block in blocks:
            x = block(x, mask, step)
        return x

    def convolve(self, x: Tensor, tails: ConvTails) -> Tensor:
        conv = self[2]
        assert isinstance(conv, CausalConv)
        return conv.run(x, tails)


class TimeEmbedding(nn.Module):
    def __init__(self, size: int, out_size: int) -> None:
        super().__init__()
        self.size = size
        self.linear_1 = nn.Linear(size, out_size)
        self.linear_2 = nn.Linear(out_size, out_size)

    def forward(self, t: Tensor) -> Tensor:
        """t [B] in [0, 1] -> [B, out_size]."""
        half = self.size // 2
        order = torch.arange(half, dtype=torch.float32, device=t.device)
        angle = _TIME_SCALE * t[:, None] * torch.exp(order * -(math.log(10000.0) / (half - 1)))
        code = torch.cat((angle.sin(), angle.cos()), dim=1).to(self.linear_1.weight.dtype)
        out: Tensor = self.linear_2(F.silu(self.linear_1(code)))
        return out


class Estimator(nn.Module):
    def __init__(self, config: EstimatorConfig) -> None:
        super().__init__()
        self.config = config
        width = config.channels
        indices = iter(range(blocks_of(config)))
        self.time_mlp = TimeEmbedding(config.in_channels, time_size(config))
        self.down_blocks = nn.ModuleList([Stage(indices, config.in_channels, config, conv=True)])
        self.mid_blocks = nn.ModuleList(
            Stage(indices, width, config, conv=False) for _ in range(config.num_mid_blocks)
        )
        self.up_blocks = nn.ModuleList([Stage(indices, 2 * width, config, conv=True)])
        self.final_block = CausalBlock(width, width)
        self.final_proj = PointConv(width, config.out_channels)

    def advance(
        self,
        x: Tensor,
        time: Tensor,
        tails: ConvTails,
        mask: Tensor | None,
        step: KeyValueStep | None,
    ) -> Tensor:
        """The next n frames of each session: inputs x [B, n, in_channels], time [B or 1, ...] -> [B, n, 80].

        The rows of a session lie together, and the first frame begins a chunk. step: keys and values
        of earlier passes; None where the frames are the whole input, and then mask: of attention among them,
        None where each sees all.
        """
        (down,) = self.down_blocks
        (up,) = self.up_blocks
        assert isinstance(down, Stage)
        assert isinstance(up, Stage)
        skip = down.mix(x, time, tails, mask, step)
        x = down.convolve(skip, tails)
        for middle in self.mid_blocks:
            assert isinstance(middle, Stage)
            x = middle.mix(x, time, tails, mask, step)
        x = up.mix(torch.cat((x, skip), dim=2), time, tails, mask, step)
        x = self.final_block.run(up.convolve(x, tails), tails)
        return self.final_proj.run(x)


def time_size(config: EstimatorConfig) -> int:
    return 4 * config.channels


def tail_channels(config: EstimatorConfig) -> int:
    """Channels of all causal convolutions' inputs together."""
    resnets = config.num_mid_blocks + 2
    # The first convolution of a resnet sees its input, all others the U-Net's width.
    inputs = config.in_channels + resnets * config.channels
    return inputs + (resnets + 3) * config.channels


def blocks_of(config: EstimatorConfig) -> int:
    """Transformer blocks in all."""
    return config.n_blocks * (config.num_mid_blocks + 2)

"""The velocity network of CosyVoice 3's flow: a diffusion transformer (arXiv:2212.09748).

Frames come before channels throughout, [B, n, C]. Of earlier steps the position convolution sees its last
inputs, and attention sees keys and values (KeyValueStep). Time enters by scales and shifts alone, which are
the same for all frames of all utterances: `modulate` computes them once for each Euler step.

Positions turn the first head's queries and keys only (see `rotate`): so the published weights were trained.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import DitConfig
from ...linear import PackedLinear
from ..cache import KeyValueStep

_EPS: Final = 1e-6
_KERNEL: Final = 31
_GROUPS: Final = 16
TAIL: Final = _KERNEL - 1
"""Frames that a position convolution remembers."""
_CONVOLUTIONS: Final = 2
_TIME_SIZE: Final = 256
_TIME_SCALE: Final = 1000.0
_BLOCK_PARTS: Final = 6
_END_PARTS: Final = 2
_ROPE_BASE: Final = 10000.0


def tail_channels(config: DitConfig) -> int:
    """Channels of both position convolutions' inputs together."""
    return _CONVOLUTIONS * config.dim


@dataclass(frozen=True, slots=True)
class Angles:
    """Of positions: cosine and sine [B, n, head_dim / 2], float32."""

    cosine: Tensor
    sine: Tensor


def rotate(x: Tensor, angles: Angles) -> Tensor:
    """x [..., B, n, head_dim]: neighbouring channels turned as pairs."""
    first, second = x[..., 0::2], x[..., 1::2]
    cosine, sine = angles.cosine.to(x.dtype), angles.sine.to(x.dtype)
    turned = first * cosine - second * sine, second * cosine + first * sine
    return torch.stack(turned, dim=-1).flatten(-2)


class RotaryPositions(nn.Module):
    """Rotary positions (arXiv:2104.09864), counted from the prompt's first frame."""

    inv_freq: Tensor

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        even = torch.arange(0, head_dim, 2).float()
        self.register_buffer("inv_freq", 1.0 / _ROPE_BASE ** (even / head_dim))

    def angles(self, first: Tensor, frames: int) -> Angles:
        """For `frames` positions from first [B] on."""
        position = first[:, None] + torch.arange(frames, device=first.device)
        angle = position[..., None].float() * self.inv_freq.float()
        return Angles(angle.cos(), angle.sin())


class TimeEmbedder(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.time_mlp = nn.Sequential(nn.Linear(_TIME_SIZE, size), nn.SiLU(), nn.Linear(size, size))

    def forward(self, t: Tensor) -> Tensor:
        """t [B] in [0, 1] -> [B, size]."""
        half = _TIME_SIZE // 2
        order = torch.arange(half, dtype=torch.float32, device=t.device)
        rate = torch.exp(order * -(math.log(10000.0) / (half - 1)))
        # In this order: the angle reaches 1000, where the roundings of another one show.
        angle = (_TIME_SCALE * t[:, None]) * rate
        code: Tensor = self.time_mlp(torch.cat((angle.sin(), angle.cos()), dim=1))
        return code


class Modulation(nn.Module):
    """Scales, shifts and gates of a block, from the embedded time."""

    def __init__(self, size: int, parts: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size, parts * size)

    def forward(self, time: Tensor) -> Tensor:
        made: Tensor = self.linear(F.silu(time))
        return made


def _modulated(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=_EPS), 1 + scale)


class CausalPositions(nn.Module):
    """Each frame's place among those before it: two grouped convolutions, left-looking."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv1d(size, size, _KERNEL, groups=_GROUPS), nn.Mish())
        self.conv2 = nn.Sequential(nn.Conv1d(size, size, _KERNEL, groups=_GROUPS), nn.Mish())

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, n, C], before [B, TAIL, 2 C]: what both convolutions saw last -> [B, n, C] and the next
        `before`. At the beginning that is zeros, for the second one too."""
        after = []
        for conv, tail in zip(
            (self.conv1, self.conv2), before.chunk(_CONVOLUTIONS, 2), strict=True
        ):
            x = torch.cat((tail, x), dim=1)
            after.append(x[:, -TAIL:])
            x = conv(x.transpose(1, 2)).transpose(1, 2)
        return x, torch.cat(after, dim=2)


class DitInputs(nn.Module):
    """x, prompt, mu and speaker side by side, brought to the network's width."""

    def __init__(self, mel_size: int, size: int) -> None:
        super().__init__()
        self.proj = nn.Linear(4 * mel_size, size)
        self.conv_pos_embed = CausalPositions(size)
        self._proj = PackedLinear(self.proj)

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        projected = self._proj(x)
        places, after = self.conv_pos_embed(projected, before)
        return projected + places, after


class DitAttention(nn.Module):
    """heads * head_dim need not be the width of x."""

    def __init__(self, index: int, config: DitConfig) -> None:
        super().__init__()
        inner = config.heads * config.head_dim
        self.index = index
        self.heads = config.heads
        self.to_q = nn.Linear(config.dim, inner)
        self.to_k = nn.Linear(config.dim, inner)
        self.to_v = nn.Linear(config.dim, inner)
        out = nn.Linear(inner, config.dim)
        self.to_out = nn.ModuleList([out])
        self._inputs = PackedLinear(self.to_q, self.to_k, self.to_v)
        self._out = PackedLinear(out)

    def forward(
        self,
        x: Tensor,
        angles: Angles,
        mask: Tensor | None,
        steps: Sequence[KeyValueStep] | None,
    ) -> Tensor:
        # [3, B, heads, n, head_dim], as views
        inputs = self._inputs(x)
        inputs = inputs.view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        inputs[:2, :, 0] = rotate(inputs[:2, :, 0], angles)
        if steps is None:
            query, key, value = inputs
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        else:
            rows = inputs.shape[1] // len(steps)
            parts = [
                step.attend(self.index, own[0], own[1:], mask)
                for step, own in zip(steps, torch.split(inputs, rows, dim=1), strict=True)
            ]
            mixed = torch.cat(parts) if len(parts) > 1 else parts[0]
        return self._out(mixed.transpose(1, 2).flatten(2))


class DitFeedForward(nn.Module):
    """The place between the two projections keeps the checkpoint's numbering."""

    def __init__(self, size: int, inner: int) -> None:
        super().__init__()
        wide, narrow = nn.Linear(size, inner), nn.Linear(inner, size)
        self.ff = nn.Sequential(nn.Sequential(wide), nn.Identity(), narrow)
        self._wide = PackedLinear(wide, activation="tanh-gelu")
        self._narrow = PackedLinear(narrow)

    def forward(self, x: Tensor) -> Tensor:
        return self._narrow(self._wide(x))


class DitBlock(nn.Module):
    def __init__(self, index: int, config: DitConfig) -> None:
        super().__init__()
        self.attn_norm = Modulation(config.dim, _BLOCK_PARTS)
        self.attn = DitAttention(index, config)
        self.ff = DitFeedForward(config.dim, config.ff_mult * config.dim)

    def forward(
        self,
        x: Tensor,
        modulation: Tensor,
        angles: Angles,
        mask: Tensor | None,
        steps: Sequence[KeyValueStep] | None,
    ) -> Tensor:
        """modulation [B or 1, 1, 6 C]: what attn_norm makes of the time."""
        shift, scale, gate, shift_ff, scale_ff, gate_ff = modulation.chunk(_BLOCK_PARTS, dim=2)
        x = x + gate * self.attn(_modulated(x, scale, shift), angles, mask, steps)
        out: Tensor = x + gate_ff * self.ff(_modulated(x, scale_ff, shift_ff))
        return out


class Dit(nn.Module):
    def __init__(self, config: DitConfig, mel_size: int) -> None:
        super().__init__()
        self.config = config
        self.time_embed = TimeEmbedder(config.dim)
        self.input_embed = DitInputs(mel_size, config.dim)
        self.rotary_embed = RotaryPositions(config.head_dim)
        self.transformer_blocks = nn.ModuleList(DitBlock(i, config) for i in range(config.depth))
        self.norm_out = Modulation(config.dim, _END_PARTS)
        self.proj_out = nn.Linear(config.dim, mel_size)
        self._proj_out = PackedLinear(self.proj_out)

    def modulate(self, t: Tensor) -> Tensor:
        """t [B] -> [B, parts of all blocks, then of the end, each of the width]."""
        time = self.time_embed(t)
        made = []
        for block in self.transformer_blocks:
            assert isinstance(block, DitBlock)
            made.append(block.attn_norm(time))
        return torch.cat((*made, self.norm_out(time)), dim=1)

    def advance(
        self,
        x: Tensor,
        modulation: Tensor,
        angles: Angles,
        before: Tensor,
        mask: Tensor | None,
        steps: Sequence[KeyValueStep] | None,
    ) -> tuple[Tensor, Tensor]:
        """The next n frames of each session: x [B, n, 4 mel] -> velocity [B, n, mel] and the next `before`.

        The rows of a session lie together, and the first frame begins a chunk. modulation [B or 1, ...]: of
        `modulate`. angles: of the frames' positions. before: see CausalPositions. mask: of attention among
        these frames, None where each sees all.
        """
        hidden, after = self.input_embed(x, before)
        width = _BLOCK_PARTS * self.config.dim
        *of_blocks, end = torch.split(modulation[:, None], width, dim=2)
        for block, own in zip(self.transformer_blocks, of_blocks, strict=True):
            hidden = block(hidden, own, angles, mask, steps)
        # The other way round than in the blocks.
        scale, shift = end.chunk(_END_PARTS, dim=2)
        return self._proj_out(_modulated(hidden, scale, shift)), after

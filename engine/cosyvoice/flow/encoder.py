"""The flow's conformer: speech tokens at 25/s to features at 50/s.

Positions in its attention are relative (Transformer-XL, arXiv:1901.02860, appendix B).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import FRAMES_PER_TOKEN, EncoderConfig
from .attention import chunk_mask, with_past
from .cache import KeyValueStep


def encode_positions(first: int, last: int, size: int, device: torch.device) -> Tensor:
    """pe(r) for r = first down to last: [first - last + 1, size], float32, sine and cosine in turn."""
    position = torch.arange(first, last - 1, -1, dtype=torch.float32, device=device)
    even = torch.arange(0, size, 2, dtype=torch.float32, device=device)
    angle = position[:, None] * torch.exp(even * -(math.log(10000.0) / size))
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)


class ProjectedPositions:
    """W pe(r) of one attention layer, per head, for a range of r that grows on demand.

    It depends on the weights alone, so all sessions use one; it grows by doubling.
    """

    def __init__(self, heads: int) -> None:
        self._heads = heads
        self._first = -1
        self._last = 0
        self._rows: Tensor | None = None

    def get(self, first: int, last: int, weight: Tensor) -> Tensor:
        """[heads, first - last + 1, head_dim] for r = first down to last (last <= 0 <= first)."""
        rows = self._rows
        if rows is None or first > self._first or last < self._last:
            rows = self._grow(first, last, weight)
        begin = self._first - first
        return rows[:, begin : begin + first - last + 1]

    def _grow(self, first: int, last: int, weight: Tensor) -> Tensor:
        self._first = max(self._first, 2 * first, 64)
        self._last = min(self._last, 2 * last, -64)
        code = encode_positions(self._first, self._last, weight.shape[1], weight.device)
        rows = code.to(weight.dtype) @ weight.t()
        rows = rows.reshape(rows.shape[0], self._heads, -1).transpose(0, 1)
        self._rows = rows.contiguous()
        return self._rows


def shift_positions(scores: Tensor, keys: int) -> Tensor:
    """Scores against r = keys - 1 down to 1 - n for n queries -> scores [..., n, keys] against keys.

    The queries are the last n of the keys' positions: query i stands at keys - n + i.
    """
    scores = scores.contiguous()
    n, width = scores.shape[-2:]
    strides = (*scores.stride()[:-2], width - 1, 1)
    return scores.as_strided(
        (*scores.shape[:-2], n, keys), strides, scores.storage_offset() + n - 1
    )


# Some layer norms of the reference are built with this epsilon, the rest with torch's default.
_BLOCK_EPS = 1e-12
_UP_KERNEL = 2 * FRAMES_PER_TOKEN + 1
_UP_TAIL = 2
"""Token-rate outputs that the convolution after the doubling reaches back to."""


class RelativeAttention(nn.Module):
    def __init__(self, index: int, size: int, heads: int) -> None:
        super().__init__()
        self.index = index
        self.heads = heads
        self.linear_q = nn.Linear(size, size)
        self.linear_k = nn.Linear(size, size)
        self.linear_v = nn.Linear(size, size)
        self.linear_out = nn.Linear(size, size)
        self.linear_pos = nn.Linear(size, size, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(heads, size // heads))
        self.pos_bias_v = nn.Parameter(torch.zeros(heads, size // heads))
        self._positions = ProjectedPositions(heads)
        self.register_load_state_dict_post_hook(_forget_positions)  # type: ignore[no-untyped-call]

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        self._positions = ProjectedPositions(self.heads)
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def forward(
        self, x: Tensor, mask: Tensor | None, steps: Sequence[KeyValueStep] | None
    ) -> Tensor:
        query, key, value = (
            linear(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for linear in (self.linear_q, self.linear_k, self.linear_v)
        )
        if steps is None:
            mixed = self._attend(query, key, value, mask)
        else:
            parts = []
            new = torch.stack((key, value))
            for row, step in enumerate(steps):
                session = slice(row, row + 1)
                keys, values = step.extend(self.index, new[:, session])
                parts.append(self._attend(query[session], keys, values, mask))
            mixed = torch.cat(parts) if len(parts) > 1 else parts[0]
        out: Tensor = self.linear_out(mixed.transpose(1, 2).flatten(2))
        return out

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        queries, keys = query.shape[2], key.shape[2]
        code = self._positions.get(keys - 1, 1 - queries, self.linear_pos.weight)
        scores = (query + self.pos_bias_v[:, None]) @ code.transpose(1, 2)
        bias = shift_positions(scores, keys) / math.sqrt(query.shape[3])
        seen = with_past(mask, keys)
        if seen is not None:
            bias = bias.masked_fill(~seen, -torch.inf)
        query = query + self.pos_bias_u[:, None]
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)


def _forget_positions(module: nn.Module, _: object) -> None:
    assert isinstance(module, RelativeAttention)
    module._positions = ProjectedPositions(module.heads)


class ConformerFeedForward(nn.Module):
    def __init__(self, size: int, units: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(size, units)
        self.w_2 = nn.Linear(units, size)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.w_2(F.silu(self.w_1(x)))
        return out


class EncoderBlock(nn.Module):
    def __init__(self, index: int, config: EncoderConfig) -> None:
        super().__init__()
        self.self_attn = RelativeAttention(index, config.size, config.attention_heads)
        self.feed_forward = ConformerFeedForward(config.size, config.linear_units)
        self.norm_ff = nn.LayerNorm(config.size, eps=_BLOCK_EPS)
        self.norm_mha = nn.LayerNorm(config.size, eps=_BLOCK_EPS)

    def forward(
        self, x: Tensor, mask: Tensor | None, steps: Sequence[KeyValueStep] | None
    ) -> Tensor:
        x = x + self.self_attn(self.norm_mha(x), mask, steps)
        out: Tensor = x + self.feed_forward(self.norm_ff(x))
        return out


class InputProjection(nn.Module):
    """Linear, layer norm, and the scale that goes with relative positions."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.out = nn.Sequential(nn.Linear(size, size), nn.LayerNorm(size, eps=1e-5))
        self._scale = math.sqrt(size)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(x) * self._scale
        return out


class LookAhead(nn.Module):
    """Mixes each token with the `ahead` tokens after it and the two before. inner: the width in between."""

    def __init__(self, size: int, ahead: int, inner: int | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(size, inner or size, ahead + 1)
        self.conv2 = nn.Conv1d(inner or size, size, 3)

    def forward(self, x: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, N + ahead, size], tail [B, inner, 2] -> [B, N, size] and the next tail."""
        hidden = F.leaky_relu(self.conv1(x.transpose(1, 2)))
        hidden = torch.cat((tail, hidden), dim=2)
        mixed = self.conv2(hidden).transpose(1, 2)
        return x[:, : mixed.shape[1]] + mixed, hidden[:, :, -tail.shape[2] :]


class Upsample(nn.Module):
    """Doubles the rate: each token twice, then a causal convolution."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(size, size, _UP_KERNEL)

    def forward(self, x: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, N, size], tail [B, 2, size] -> [B, 2N, size] and the next tail."""
        x = torch.cat((tail, x), dim=1)
        doubled = x.repeat_interleave(FRAMES_PER_TOKEN, dim=1).transpose(1, 2)
        return self.conv(doubled).transpose(1, 2), x[:, -tail.shape[1] :]


@dataclass(frozen=True, slots=True)
class EncoderTails:
    """The last inputs of the causal convolutions. look_ahead [B, size, 2], upsample [B, 2, size]."""

    look_ahead: Tensor
    upsample: Tensor


@dataclass(frozen=True, slots=True)
class EncoderSteps:
    """One pass's access to the caches of each session: before and after the doubling."""

    low: Sequence[KeyValueStep]
    high: Sequence[KeyValueStep]


class Encoder(nn.Module):
    def __init__(self, config: EncoderConfig, look_ahead: int) -> None:
        super().__init__()
        self.config = config
        self.look_ahead = look_ahead
        self.embed = InputProjection(config.size)
        self.pre_lookahead_layer = LookAhead(config.size, look_ahead)
        self.encoders = nn.ModuleList(EncoderBlock(i, config) for i in range(config.num_blocks))
        self.up_layer = Upsample(config.size)
        self.up_embed = InputProjection(config.size)
        self.up_encoders = nn.ModuleList(
            EncoderBlock(i, config) for i in range(config.num_up_blocks)
        )
        self.after_norm = nn.LayerNorm(config.size, eps=1e-5)

    def advance(
        self,
        x: Tensor,
        after: int | Sequence[int],
        tails: EncoderTails,
        steps: EncoderSteps | None,
        *,
        streaming: bool = True,
    ) -> tuple[Tensor, EncoderTails]:
        """The next N tokens of each session. The first of them begins a chunk.

        x [B, at most N + look_ahead, size]: embedded tokens, those of the look-ahead last. after: how many
        look-ahead positions lie beyond the end of the input, one number or one per row (then x has
        N + look_ahead positions and the last `after` of the row are not read).
        """
        embedded = self.embed(x)
        if isinstance(after, int):
            embedded = F.pad(embedded, (0, 0, 0, after))
        elif any(after):
            embedded = embedded * _inside(embedded, after)
        x, look_ahead = self.pre_lookahead_layer(embedded, tails.look_ahead)
        low, high = (None, None) if steps is None else (steps.low, steps.high)
        x = self._blocks(self.encoders, x, 1, low, streaming)
        x, upsample = self.up_layer(x, tails.upsample)
        x = self.up_embed(x)
        x = self._blocks(self.up_encoders, x, FRAMES_PER_TOKEN, high, streaming)
        return self.after_norm(x), EncoderTails(look_ahead, upsample)

    def _blocks(
        self,
        blocks: nn.ModuleList,
        x: Tensor,
        rate: int,
        steps: Sequence[KeyValueStep] | None,
        streaming: bool,
    ) -> Tensor:
        chunk = self.config.chunk_tokens * rate
        mask = chunk_mask(x.shape[1], chunk, x.device) if streaming else None
        for block in blocks:
            x = block(x, mask, steps)
        return x

    def empty_tails(self, like: Tensor, rows: int | None = None) -> EncoderTails:
        """The tails at the beginning of the input."""
        rows, size = like.shape[0] if rows is None else rows, self.config.size
        return EncoderTails(like.new_zeros(rows, size, 2), like.new_zeros(rows, _UP_TAIL, size))


def _inside(x: Tensor, after: Sequence[int]) -> Tensor:
    """[B, T, 1]: 0 for the last after[b] positions of row b, else 1."""
    end = torch.tensor([x.shape[1] - count for count in after], device=x.device)
    return (torch.arange(x.shape[1], device=x.device) < end[:, None])[..., None].to(x.dtype)

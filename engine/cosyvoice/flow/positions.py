"""Relative positions for attention (Transformer-XL, arXiv:1901.02860, appendix B)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


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

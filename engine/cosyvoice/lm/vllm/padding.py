"""Attention heads smaller than any kernel takes, padded with zeros; the model computes the same.

Only small test models have such heads; the published one's, of 64, stay as they are. vLLM takes a head's
size to be hidden size / heads, so the hidden state is padded along with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from ...checkpoint import CheckpointError
from ...config import LmConfig

_SMALLEST_HEAD: Final = 32
_PADDED_HEAD: Final = 64


@dataclass(frozen=True, slots=True)
class Padding:
    """heads of size `head` (d) become heads of `size` (D) elements; equal if nothing is to be done.

    Rotary positions turn element i and i + d/2 by the angle position * base^(-2i/d). The pair's place
    among the padded elements is where the angle is the same: i * D/d and that + D/2. Scores are divided
    by the root of D in place of d, so queries grow by the root of D/d. RMSNorm's mean is over D/d
    times as many elements, all new ones zero: its gain shrinks by the root of D/d, its epsilon by D/d.
    """

    heads: int
    head: int
    size: int

    @classmethod
    def of(cls, config: LmConfig) -> Padding:
        """Raises CheckpointError for a head that does not fit."""
        size = config.head_dim
        if size >= _SMALLEST_HEAD:
            return cls(config.num_attention_heads, size, size)
        if _PADDED_HEAD % size or size % 2:
            raise CheckpointError(f"attention heads of {size} elements cannot run in vLLM")
        return cls(config.num_attention_heads, size, _PADDED_HEAD)

    @property
    def hidden_size(self) -> int:
        return self.heads * self.size

    @property
    def share(self) -> float:
        """Of the padded elements, those that are the model's own."""
        return self.head / self.size

    def padded(self, name: str, tensor: Tensor) -> Tensor:
        """The tensor of this name (vLLM's) in its padded form."""
        if self.size == self.head:
            return tensor
        kind = name.rsplit(".", 2)[-2]
        grown = math.sqrt(self.size / self.head)
        if kind == "q_proj":
            tensor = tensor * grown
        if kind.endswith("norm"):
            tensor = tensor / grown
        if kind in ("q_proj", "k_proj", "v_proj"):
            tensor = self._spread(tensor, 0)
        elif kind == "o_proj":
            tensor = self._spread(tensor, 1)
        if kind in ("o_proj", "down_proj") or kind.endswith("norm"):
            tensor = self._extended(tensor, 0)
        if tensor.dim() == 2 and kind not in ("o_proj", "down_proj"):
            tensor = self._extended(tensor, 1)
        return tensor

    def _spread(self, tensor: Tensor, dim: int) -> Tensor:
        """Each head's elements to their places: the first of every D/d."""
        shape = list(tensor.shape)
        elements = tensor.unsqueeze(dim + 1)  # the order within a head is the same, only wider
        zeros = elements.new_zeros(
            [*shape[: dim + 1], self.size // self.head - 1, *shape[dim + 1 :]]
        )
        return torch.cat((elements, zeros), dim + 1).flatten(dim, dim + 1)

    def _extended(self, tensor: Tensor, dim: int) -> Tensor:
        """Zeros after the hidden state's elements."""
        shape = list(tensor.shape)
        shape[dim] = self.hidden_size - shape[dim]
        return torch.cat((tensor, tensor.new_zeros(shape)), dim)

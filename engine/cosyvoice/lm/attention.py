"""Keys and values of the contexts that the LM is reading: one slot per stream."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor

from ..config import LmConfig

BLOCK: Final = 256
"""Slots grow by this many positions at least."""


class KvCache:
    """Two tensors [layers, slots, positions, kv heads, head size] that grow as they are needed.

    Unwritten positions hold zeros or what an earlier stream left there, always finite: attention masks
    them, and a mask does not stop a NaN.
    """

    def __init__(self, config: LmConfig, device: torch.device, dtype: torch.dtype) -> None:
        self._row = (config.num_key_value_heads, config.head_dim)
        self._layers = config.num_hidden_layers
        self._device = device
        self._dtype = dtype
        self.reset()

    @property
    def slots(self) -> int:
        return self.keys.shape[1]

    @property
    def capacity(self) -> int:
        """Positions per slot."""
        return self.keys.shape[2]

    @property
    def nbytes(self) -> int:
        return 2 * self.keys.numel() * self.keys.element_size()

    def reset(self) -> None:
        """Give the memory back; no stream may be under way."""
        self.keys = self._zeros(0, 0)
        self.values = self._zeros(0, 0)

    def reserve(self, slots: int, positions: int) -> None:
        """Make room for so many slots of so many positions. What is written stays."""
        if slots <= self.slots and positions <= self.capacity:
            return
        if slots > self.slots:
            slots = max(slots, 2 * self.slots)
        if positions > self.capacity:
            positions = -(-max(positions, self.capacity * 3 // 2) // BLOCK) * BLOCK
        size = max(slots, self.slots), max(positions, self.capacity)
        self.keys = self._grown(self.keys, *size)
        self.values = self._grown(self.values, *size)

    def clear(self, slot: int) -> None:
        """Write zeros over a slot that may hold numbers that are not finite."""
        self.keys[:, slot] = 0
        self.values[:, slot] = 0

    def _zeros(self, slots: int, positions: int) -> Tensor:
        size = (self._layers, slots, positions, *self._row)
        return torch.zeros(size, device=self._device, dtype=self._dtype)

    def _grown(self, old: Tensor, slots: int, positions: int) -> Tensor:
        new = self._zeros(slots, positions)
        new[:, : old.shape[1], : old.shape[2]] = old
        return new


def adjacent(slots: Sequence[int]) -> bool:
    """Whether the slots follow one another, so that a view reaches them without a copy."""
    return all(after == before + 1 for before, after in pairwise(slots))

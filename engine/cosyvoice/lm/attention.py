"""The LM's KV cache, and attention in a pass over contexts of different lengths.

Each stream has a slot of the cache. A pass reads spans of ids into their slots: spans of one id are computed
together, padded to the longest context; longer spans one by one, or together off the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..config import LmConfig
from ..transfer import to_device

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
        """Make room for this many slots of this many positions. Written positions stay."""
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


class Span(NamedTuple):
    """Ids that continue a context: they take the positions from `start` on in `slot`."""

    slot: int
    start: int
    ids: Sequence[int]

    @property
    def end(self) -> int:
        return self.start + len(self.ids)


@dataclass(frozen=True, slots=True)
class _Singles:
    """Spans of one id: computed together, padded to the longest context."""

    rows: Tensor
    slots: Tensor | slice
    longest: int
    mask: Tensor | None

    def attention(self, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        k = keys[self.slots, : self.longest].transpose(1, 2)
        v = values[self.slots, : self.longest].transpose(1, 2)
        # The heads that share keys take the place of query positions: nothing is repeated in memory.
        return F.scaled_dot_product_attention(q, k.to(q.dtype), v.to(q.dtype), self.mask)


@dataclass(frozen=True, slots=True)
class _Run:
    """A span of several ids: rows begin:end, each sees the context up to itself."""

    begin: int
    end: int
    slot: int
    length: int
    mask: Tensor

    def attention(self, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        rows, shared, group, size = q.shape
        k = keys[self.slot, : self.length].transpose(0, 1).unsqueeze(0)
        v = values[self.slot, : self.length].transpose(0, 1).unsqueeze(0)
        q = q.permute(1, 2, 0, 3).reshape(1, shared, group * rows, size)
        out = F.scaled_dot_product_attention(
            q, k.to(q.dtype), v.to(q.dtype), self.mask.repeat(group, 1)
        )
        return out.view(shared, group, rows, size).permute(2, 0, 1, 3)


@dataclass(frozen=True, slots=True)
class _PaddedRuns:
    """Spans of several ids, computed together: padded to the longest span and the longest context.

    places [S, L]: the rows of a span, its last one again where it is shorter. rows: those of all spans.
    within: where they are in `places`, seen flat. mask [S, 1, L, longest].
    """

    places: Tensor
    rows: Tensor
    within: Tensor
    slots: Tensor
    longest: int
    mask: Tensor

    def attention(self, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Of the spans' rows."""
        _, shared, group, size = q.shape
        spans, length = self.places.shape
        k = keys[self.slots, : self.longest].transpose(1, 2).to(q.dtype)
        v = values[self.slots, : self.longest].transpose(1, 2).to(q.dtype)
        padded = q[self.places].permute(0, 2, 3, 1, 4).reshape(spans, shared, -1, size)
        mask = self.mask.expand(-1, group, -1, -1).reshape(spans, 1, -1, self.longest)
        out = F.scaled_dot_product_attention(padded, k, v, mask)
        out = out.view(spans, shared, group, length, size).permute(0, 3, 1, 2, 4)
        return out.flatten(0, 1)[self.within]


class Batch:
    """The spans of one pass, flattened.

    ids, positions: [rows]. targets: [rows], where each row's key goes in a layer's cache, seen flat.
    highest: the largest id. pad: compute spans of several ids together, whatever that adds, as launches cost
    most; None: off the CPU.
    """

    def __init__(
        self,
        spans: Sequence[Span],
        capacity: int,
        device: torch.device,
        pad: bool | None = None,
    ) -> None:
        ids = [number for span in spans for number in span.ids]
        positions = [at for span in spans for at in range(span.start, span.end)]
        targets = [
            span.slot * capacity + at for span in spans for at in range(span.start, span.end)
        ]
        rows = np.array([ids, positions, targets], dtype=np.int64)
        (numbers,) = to_device([rows], device)
        self.ids, self.positions, self.targets = numbers.unbind(0)
        self.highest = max(ids)
        self._singles = _singles(spans, device)
        self._runs: list[_Run] = []
        self._padded: _PaddedRuns | None = None
        if device.type != "cpu" if pad is None else pad:
            self._padded = _padded(spans, device)
        else:
            self._runs = _runs(spans, device)

    def attention(self, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """q: [rows, kv heads, queries per kv head, head size]; gives the same shape."""
        if self._singles is not None and not self._runs and self._padded is None:
            return self._singles.attention(q, keys, values)
        out = torch.empty_like(q)
        if self._singles is not None:
            rows = self._singles.rows
            out[rows] = self._singles.attention(q[rows], keys, values)
        if self._padded is not None:
            out[self._padded.rows] = self._padded.attention(q, keys, values)
        for run in self._runs:
            out[run.begin : run.end] = run.attention(q[run.begin : run.end], keys, values)
        return out


def _placed(spans: Sequence[Span]) -> Iterator[tuple[int, Span]]:
    """Each span and its first row."""
    row = 0
    for span in spans:
        yield row, span
        row += len(span.ids)


def _singles(spans: Sequence[Span], device: torch.device) -> _Singles | None:
    found = [(row, span) for row, span in _placed(spans) if len(span.ids) == 1]
    if not found:
        return None
    rows = [row for row, _ in found]
    slots = [span.slot for _, span in found]
    lengths = [span.end for _, span in found]
    longest = max(lengths)
    (numbers,) = to_device([np.array([rows, slots, lengths], dtype=np.int64)], device)
    mask = None
    if min(lengths) < longest:
        ends = numbers[2].unsqueeze(1)
        mask = (torch.arange(longest, device=device) < ends)[:, None, None, :]
    where = slice(slots[0], slots[-1] + 1) if adjacent(slots) else numbers[1]
    return _Singles(numbers[0], where, longest, mask)


def _padded(spans: Sequence[Span], device: torch.device) -> _PaddedRuns | None:
    found = [(row, span) for row, span in _placed(spans) if len(span.ids) > 1]
    if not found:
        return None
    length = max(len(span.ids) for _, span in found)
    longest = max(span.end for _, span in found)
    step = np.arange(length)
    counts = np.array([len(span.ids) for _, span in found], dtype=np.int64)[:, None]
    begins = np.array([row for row, _ in found], dtype=np.int64)[:, None]
    starts = np.array([span.start for _, span in found], dtype=np.int64)[:, None]
    last = np.minimum(step, counts - 1)
    valid = step < counts
    places, rows, within, slots, ends = to_device(
        [
            begins + last,
            (begins + last)[valid],
            np.flatnonzero(valid),
            np.array([span.slot for _, span in found], dtype=np.int64),
            starts + last,
        ],
        device,
    )
    mask = (torch.arange(longest, device=device) <= ends[..., None])[:, None]
    return _PaddedRuns(places, rows, within, slots, longest, mask)


def _runs(spans: Sequence[Span], device: torch.device) -> list[_Run]:
    runs = []
    for row, span in _placed(spans):
        if len(span.ids) > 1:
            at = torch.arange(span.start, span.end, device=device).unsqueeze(1)
            mask = torch.arange(span.end, device=device) <= at
            runs.append(_Run(row, row + len(span.ids), span.slot, span.end, mask))
    return runs

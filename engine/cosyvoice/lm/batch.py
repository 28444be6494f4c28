"""Which rows of a pass belong to which context, and the attention over contexts of different lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .attention import adjacent


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


class Batch:
    """The spans of one pass, flattened.

    ids, positions: [rows]. targets: [rows], where each row's key goes in a layer's cache, seen flat.
    highest: the largest id.
    """

    def __init__(self, spans: Sequence[Span], capacity: int, device: torch.device) -> None:
        ids = [number for span in spans for number in span.ids]
        positions = [at for span in spans for at in range(span.start, span.end)]
        targets = [
            span.slot * capacity + at for span in spans for at in range(span.start, span.end)
        ]
        numbers = torch.tensor([ids, positions, targets], device=device)
        self.ids, self.positions, self.targets = numbers.unbind(0)
        self.highest = max(ids)
        self._singles = _singles(spans, device)
        self._runs = _runs(spans, device)

    def attention(self, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """q: [rows, kv heads, queries per kv head, head size]; gives the same shape."""
        if self._singles is not None and not self._runs:
            return self._singles.attention(q, keys, values)
        out = torch.empty_like(q)
        if self._singles is not None:
            rows = self._singles.rows
            out[rows] = self._singles.attention(q[rows], keys, values)
        for run in self._runs:
            out[run.begin : run.end] = run.attention(q[run.begin : run.end], keys, values)
        return out


def _singles(spans: Sequence[Span], device: torch.device) -> _Singles | None:
    found, rows, row = [], [], 0
    for span in spans:
        if len(span.ids) == 1:
            found.append(span)
            rows.append(row)
        row += len(span.ids)
    if not found:
        return None
    slots = [span.slot for span in found]
    lengths = [span.end for span in found]
    longest = max(lengths)
    mask = None
    if min(lengths) < longest:
        ends = torch.tensor(lengths, device=device).unsqueeze(1)
        mask = (torch.arange(longest, device=device) < ends)[:, None, None, :]
    where = (
        slice(slots[0], slots[-1] + 1) if adjacent(slots) else torch.tensor(slots, device=device)
    )
    return _Singles(torch.tensor(rows, device=device), where, longest, mask)


def _runs(spans: Sequence[Span], device: torch.device) -> list[_Run]:
    runs, row = [], 0
    for span in spans:
        count = len(span.ids)
        if count > 1:
            at = torch.arange(span.start, span.end, device=device).unsqueeze(1)
            mask = torch.arange(span.end, device=device) <= at
            runs.append(_Run(row, row + count, span.slot, span.end, mask))
        row += count
    return runs

"""Where what utterances keep between steps lies: in slabs of their own (cache.py), or in pages of one memory
(pages.py). A store begins memories, opens them for a pass, and keeps the tails that the pass leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor

from ..config import FRAMES_PER_TOKEN
from ..transfer import to_device
from .cache import (
    AttentionCache,
    CachedStep,
    CacheShape,
    KeyValueStep,
    SeparateSteps,
    Slab,
    Workspace,
)
from .encoder import EncoderTails
from .pages import HostTable, PagedStep, PagePool, PageTable
from .state import FlowMemory, FlowShapes, FlowTails, Pages, Tails

Empty = Callable[[Sequence[int]], Tensor]
"""Gives memory of some size, uninitialised."""
_ENCODER_PAGES: Final = 4
"""Pages of the encoder's caches for one of the estimator's: a window does not bound them, and they are a
hundred times smaller."""


@dataclass(frozen=True, slots=True)
class OpenPass:
    """Access to all that a pass of S sessions reads and leaves. tails: those of the sessions in one batch.

    kept: where a PagedStore keeps the tails after it.
    """

    low: KeyValueStep
    high: KeyValueStep
    estimator: KeyValueStep
    tails: FlowTails
    kept: Tensor | None = None


class FlowStore(Protocol):
    @property
    def reads_freely(self) -> bool:
        """Whether a pass may be checked before the next begins: on a GPU that would let it run dry."""
        ...

    @property
    def free_pages(self) -> int:
        """Pages of the estimator's cache that nobody holds; 0 where memory is not paged."""
        ...

    def begin(self) -> FlowMemory:
        """The memory of an input's beginning."""
        ...

    def open(
        self,
        memories: Sequence[FlowMemory],
        pages: Sequence[Pages],
        tokens: int,
        dtype: torch.dtype,
    ) -> OpenPass:
        """For a pass over `tokens` tokens of each. pages: of each; none: it leaves nothing behind."""
        ...

    def keep(self, opened: OpenPass, after: FlowTails, pages: Sequence[Pages]) -> list[Tails]:
        """The tails after a pass of each of its sessions, to be committed with its pages."""
        ...


class SlabStore:
    """tails: of an input's beginning. chunk: in tokens."""

    def __init__(self, shapes: FlowShapes, tails: FlowTails, chunk: int, empty: Empty) -> None:
        self._shapes = shapes
        self._tails = tails
        self._chunk = chunk
        self._empty = empty

    @property
    def reads_freely(self) -> bool:
        return True

    @property
    def free_pages(self) -> int:
        return 0

    def begin(self) -> FlowMemory:
        low, high, estimator = (
            AttentionCache(partial(self._take, shape)) for shape, _ in _kinds(self._shapes)
        )
        return FlowMemory(low, high, estimator, self._tails)

    def _take(self, shape: CacheShape, frames: int) -> Slab:
        return Slab(self._empty(shape.size(frames)))

    def open(
        self,
        memories: Sequence[FlowMemory],
        pages: Sequence[Pages],
        tokens: int,
        dtype: torch.dtype,
    ) -> OpenPass:
        workspace = Workspace()
        steps = []
        for at, (shape, rate) in enumerate(_kinds(self._shapes)):
            sessions = []
            for number, memory in enumerate(memories):
                page = pages[number].of_caches[at][0] if pages else None
                cache = memory.caches[at]
                sessions.append(CachedStep(cache, page, workspace, rate * self._chunk))
            steps.append(SeparateSteps(sessions, shape.batch))
        low, high, estimator = steps
        tails = [memory.tails for memory in memories]
        own = [each for each in tails if isinstance(each, FlowTails)]
        encoder = EncoderTails(
            torch.cat([each.encoder.look_ahead for each in own]).to(dtype),
            torch.cat([each.encoder.upsample for each in own]).to(dtype),
        )
        inner = torch.cat([each.estimator for each in own], dim=1).to(dtype)
        return OpenPass(low, high, estimator, FlowTails(encoder, inner))

    def keep(self, opened: OpenPass, after: FlowTails, pages: Sequence[Pages]) -> list[Tails]:
        # As tensors of their own: a view would keep the batch's memory.
        rows, encoder = self._shapes.estimator.batch, after.encoder
        kept: list[Tails] = []
        for row in range(len(pages)):
            one, guided = slice(row, row + 1), slice(rows * row, rows * (row + 1))
            own = EncoderTails(encoder.look_ahead[one].clone(), encoder.upsample[one].clone())
            kept.append(FlowTails(own, after.estimator[:, guided].clone()))
        return kept


@dataclass(frozen=True, slots=True)
class PlacedTails:
    """Tails that lie in the store under a page's number. page: None at an input's beginning."""

    page: Slab | None
    nbytes: int

    @property
    def number(self) -> int:
        return 0 if self.page is None else self.page.number


class PagedStore:
    """All memory that utterances and prompts can have, taken at once: so many pages of the estimator's cache,
    some of which are the store's own. tails: of an input's beginning. chunk: in tokens."""

    def __init__(
        self,
        shapes: FlowShapes,
        tails: FlowTails,
        chunk: int,
        pages: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        counts = _ENCODER_PAGES * pages, _ENCODER_PAGES * pages, pages
        self.pools = [
            PagePool(shape, count, rate * chunk, dtype, device)
            for (shape, rate), count in zip(_kinds(shapes), counts, strict=True)
        ]
        self._chunk = chunk
        self._beginning = PlacedTails(None, tails.nbytes)
        # One for each of the estimator's pages; those of page 0 are the beginning's.
        self._look_ahead = tails.encoder.look_ahead.repeat_interleave(pages, dim=0)
        self._upsample = tails.encoder.upsample.repeat_interleave(pages, dim=0)
        self._estimator = tails.estimator[:, None].repeat_interleave(pages, dim=1)
        self._device = device

    @staticmethod
    def pages_in(nbytes: int, shapes: FlowShapes, tail_bytes: int, chunk: int, size: int) -> int:
        """How many pages a store of so many bytes has. size: of a number."""
        low, high, estimator = (
            size * shape.elements * rate * chunk for shape, rate in _kinds(shapes)
        )
        return nbytes // (estimator + tail_bytes + _ENCODER_PAGES * (low + high))

    @property
    def reads_freely(self) -> bool:
        return False

    @property
    def free_pages(self) -> int:
        return self.estimator.free

    @property
    def estimator(self) -> PagePool:
        return self.pools[-1]

    def begin(self) -> FlowMemory:
        low, high, estimator = (pool.new_cache() for pool in self.pools)
        return FlowMemory(low, high, estimator, self._beginning)

    def open(
        self,
        memories: Sequence[FlowMemory],
        pages: Sequence[Pages],
        tokens: int,
        dtype: torch.dtype,
    ) -> OpenPass:
        host = []
        for at, pool in enumerate(self.pools):
            caches = [memory.caches[at] for memory in memories]
            new = [each.of_caches[at] for each in pages]
            host.append(HostTable.of(pool, caches, new))
        tails = [memory.tails for memory in memories]
        numbers = [each.number for each in tails if isinstance(each, PlacedTails)]
        kept = [each.estimator[-1].slab.number for each in pages]
        arrays = [array for table in host for array in (table.places, table.hidden)]
        arrays += [np.array(each, dtype=np.int64) for each in (numbers, kept)]
        *parts, before, after = to_device(arrays, self._device)
        steps = []
        for at, (pool, table) in enumerate(zip(self.pools, host, strict=True)):
            places, hidden = parts[2 * at : 2 * at + 2]
            given = PageTable(places, None if table.all_seen else hidden, table.kept)
            frames = pool.chunk // self._chunk * tokens
            steps.append(PagedStep(pool, given, frames, dtype))
        low, high, estimator = steps
        return OpenPass(low, high, estimator, self._tails_at(before, dtype), after)

    def _tails_at(self, numbers: Tensor, dtype: torch.dtype) -> FlowTails:
        encoder = EncoderTails(
            self._look_ahead.index_select(0, numbers).to(dtype),
            self._upsample.index_select(0, numbers).to(dtype),
        )
        return FlowTails(encoder, self._estimator.index_select(1, numbers).flatten(1, 2).to(dtype))

    def keep(self, opened: OpenPass, after: FlowTails, pages: Sequence[Pages]) -> list[Tails]:
        places = opened.kept
        self._look_ahead[places] = after.encoder.look_ahead.to(self._look_ahead.dtype)
        self._upsample[places] = after.encoder.upsample.to(self._upsample.dtype)
        estimator = after.estimator.to(self._estimator.dtype)
        self._estimator[:, places] = torch.unflatten(estimator, 1, (len(pages), -1))
        return [PlacedTails(each.estimator[-1].slab, self._beginning.nbytes) for each in pages]


def _kinds(shapes: FlowShapes) -> tuple[tuple[CacheShape, int], ...]:
    """The three caches' shapes, and their frames for each token."""
    return (
        (shapes.low, 1),
        (shapes.high, FRAMES_PER_TOKEN),
        (shapes.estimator, FRAMES_PER_TOKEN),
    )

"""Keys and values in pages of one chunk, for devices where a launch costs more than a copy.

All utterances' pages lie in one piece of memory, so one operator reads those of a whole batch by their
numbers, whatever the lengths of the pasts. A page is one chunk: passes that leave something behind are made
of whole chunks, so pages are full, never shared by an utterance and its voice's prompt, and never
moved. The rows of a batch are aligned at their end: what they lack at the beginning is page 0, which holds
zeros and is not seen. So the distance from a query to a key is the same in all rows.

Attention reads a layer's pages into one padded tensor and attends to that in one call. Kernels that attend
to pages in place want pages of 128 or 256 frames (FlashAttention 2, FlexAttention), 0.3 to 0.6 GB here,
which no two prompts could share; they know no bias by position either, as the encoder needs. The
copy costs reading the keys once and writing them once more.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .attention import FRAMES, chunk_mask
from .cache import AttentionCache, Bias, CachePage, CacheShape, Slab, storable

_ZEROS: Final = 0
"""The page that pads the rows of a batch."""
WASTE: Final = 1
"""The page where a recorded graph's spare rows leave what they compute."""
RESERVED: Final = 2
_ALIGNED: Final = 8


class PagePool:
    """memory [layers, 2, pages * batch * heads, chunk, head_dim]; 2: keys, values.

    Pages may be taken and let go in several threads.
    """

    def __init__(
        self,
        shape: CacheShape,
        pages: int,
        chunk: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.shape = shape
        self.chunk = chunk
        self.rows = shape.batch * shape.heads
        """Of `memory`, that make a page."""
        size = shape.layers, 2, pages * self.rows, chunk, shape.head_dim
        self.memory = torch.empty(size, dtype=dtype, device=device)
        self.memory[:, :, : self.rows].zero_()
        part = torch.arange(self.rows, device=device)
        self.part = part.view(shape.batch, shape.heads, 1)
        """Rows of a page, from its first."""
        self._free = deque(range(RESERVED, pages))

    @property
    def free(self) -> int:
        return len(self._free)

    def new_cache(self) -> AttentionCache:
        return AttentionCache(self.take, self.chunk)

    def take(self, frames: int) -> Slab:
        """A page, free again when nobody holds it. frames: of a chunk. Raises torch.OutOfMemoryError."""
        assert frames == self.chunk
        try:
            number = self._free.popleft()
        except IndexError:
            raise torch.OutOfMemoryError("no page of the flow's memory is left") from None
        shape = self.shape
        rows = self.memory.narrow(2, number * self.rows, self.rows)
        page = Slab(torch.unflatten(rows, 2, (shape.batch, shape.heads)), number=number)
        # Kernels that read the page run before any that write it for its next owner: there is one stream.
        weakref.finalize(page, self._free.append, number).atexit = False
        return page


@dataclass(frozen=True, slots=True)
class HostTable:
    """What a pass of S sessions reads and writes, on the host.

    places [S, P + kept]: for each page its first row in the pool's memory; the last `kept` are new.
    hidden [S, P]: how many of the first frames of a page of the past are not seen.
    """

    places: NDArray[np.int64]
    hidden: NDArray[np.int64]
    kept: int

    @classmethod
    def of(
        cls,
        pool: PagePool,
        caches: Sequence[AttentionCache],
        new: Sequence[Sequence[CachePage]],
    ) -> HostTable:
        """new: the pages of each session, or of none."""
        numbers = [
            [*(slab.number for slab in cache.sealed), *(page.slab.number for page in cache.pages)]
            for cache in caches
        ]
        width, kept = max(map(len, numbers)), len(new[0]) if new else 0
        places = np.full((len(caches), width + kept), _ZEROS, dtype=np.int64)
        hidden = np.zeros((len(caches), width), dtype=np.int64)
        for row, (cache, own) in enumerate(zip(caches, numbers, strict=True)):
            begin = width - len(own)
            places[row, begin:width] = own
            hidden[row, :begin] = pool.chunk
            if cache.unseen:
                hidden[row, begin + len(cache.sealed)] = cache.unseen
        for row, pages in enumerate(new):
            places[row, width:] = [page.slab.number for page in pages]
        return cls(places * pool.rows, hidden, kept)

    @property
    def all_seen(self) -> bool:
        return not self.hidden.any()


@dataclass(frozen=True, slots=True)
class PageTable:
    """A HostTable on the device. hidden: None where all is seen."""

    places: Tensor
    hidden: Tensor | None
    kept: int

    @property
    def sessions(self) -> int:
        return self.places.shape[0]

    @property
    def past(self) -> int:
        """P."""
        return self.places.shape[1] - self.kept


class PagedStep:
    """A KeyValueStep of all sessions at once. frames: n. dtype: of the pass."""

    def __init__(self, pool: PagePool, table: PageTable, frames: int, dtype: torch.dtype) -> None:
        self.pool = pool
        self.table = table
        self.frames = frames
        self.dtype = dtype
        self._rows = table.sessions * pool.shape.batch
        self._reads_own = table.kept > 0 and dtype == pool.memory.dtype
        """Whether the new frames are read from where they were stored."""
        # Rows of the pool's memory, [rows, heads, P + kept].
        places = (table.places[:, None, None, :] + pool.part).flatten(0, 1)
        self._read = (places if self._reads_own else places[..., : table.past]).flatten()
        self._write = places[..., table.past :] if table.kept else None
        self._mask = self._visible()

    def attend(self, layer: int, query: Tensor, new: Tensor, bias: Bias | None = None) -> Tensor:
        memory = self.pool.memory[layer]
        if self._write is not None:
            chunks = torch.unflatten(new, FRAMES, (-1, self.pool.chunk))
            memory[:, self._write] = storable(chunks, memory.dtype).to(memory.dtype)
        heads, width = query.shape[1], query.shape[3]
        found = memory.index_select(1, self._read).view(2, self._rows, heads, -1, width)
        if not self._reads_own:
            found = torch.cat((found.to(new.dtype), new), dim=FRAMES)
        keys, values = found
        mask = self._mask
        if bias is not None:
            scores = bias(slice(None), keys.shape[FRAMES])
            mask = scores if mask is None else scores + mask
        return F.scaled_dot_product_attention(query, keys, values, attn_mask=mask)

    def _visible(self) -> Tensor | None:
        """Added to the scores, [rows, 1, 1 or n, keys]: 0 for what is seen, minus infinity for the rest."""
        table, pool, frames = self.table, self.pool, self.frames
        device, sessions = table.places.device, table.sessions
        own = chunk_mask(frames, pool.chunk, device)
        if table.hidden is None and own is None:
            return None
        if table.hidden is None:
            width = table.past * pool.chunk
            seen = torch.ones(sessions, 1, width, dtype=torch.bool, device=device)
        else:
            position = torch.arange(pool.chunk, device=device)
            seen = (position >= table.hidden[..., None]).view(sessions, 1, -1)
        if own is None:
            seen = F.pad(seen, (0, frames), value=True)
        else:
            past = seen.expand(-1, frames, -1)
            seen = torch.cat((past, own.expand(sessions, -1, -1)), dim=2)
        keys = seen.shape[2]
        # Fused attention wants rows of a mask that begin at multiples of 8, and would copy it in each layer.
        seen = F.pad(seen, (0, -keys % _ALIGNED))
        mask = torch.zeros(seen.shape, dtype=self.dtype, device=device)
        mask = mask.masked_fill(~seen, -torch.inf)
        # Each row of a session has it.
        return mask[:, None].expand(-1, pool.shape.batch, -1, -1).flatten(0, 1)[:, None, :, :keys]

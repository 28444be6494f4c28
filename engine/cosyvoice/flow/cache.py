"""Keys and values of attention layers kept between the steps of a session.

A cache is a list of pages and a page is never changed once it is appended. So sessions share the pages
of their voice's prompt, a copy of a cache costs a list, a step that is abandoned leaves nothing
behind, and nothing is moved when a cache grows. The price is that each layer gathers its pages at each
step; they go to one place that is used again and again, so that it stays in the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from .masks import with_past

FRAMES: Final = -2
"""The dimension that counts frames, in pages as in keys and values."""


_GATHERED: Final = 5 << 19
"""Bytes that are gathered at once on a CPU: as many heads as stay in its cache until they are read."""


class KeyValueStep(Protocol):
    """What one pass of a network reads of earlier passes, and leaves for later ones."""

    def extend(self, layer: int, new: Tensor) -> tuple[Tensor, Tensor]:
        """The pass's own keys and values [2, batch, heads, n, head_dim] after those already there.

        Keys and values [batch, heads, frames, head_dim]; they stay as they are until the next call.
        """
        ...

    def attend(self, layer: int, query: Tensor, new: Tensor, mask: Tensor | None) -> Tensor:
        """Attention of query [batch, heads, n, head_dim] to what `extend` gives; the result is like it.

        mask: among the pass's own frames, None where each sees all.
        """
        ...


def attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """mask: of the newest keys; the earlier ones are seen."""
    seen = with_past(mask, keys.shape[FRAMES])
    return F.scaled_dot_product_attention(query, keys, values, attn_mask=seen)


class Workspace:
    """Memory that the layers of a pass use in turn."""

    def __init__(self) -> None:
        self._room = torch.empty(0)

    def get(self, size: Sequence[int], like: Tensor) -> Tensor:
        """Uninitialised, in the type and on the device of `like`; it ends the use of what was got before."""
        elements = math.prod(size)
        room = self._room
        if room.numel() < elements or room.dtype != like.dtype or room.device != like.device:
            self._room = room = like.new_empty(elements)
        return room[:elements].view(tuple(size))


@dataclass(frozen=True, slots=True)
class CacheShape:
    """Of one frame of a cache. batch: how many rows one session has (2 with guidance)."""

    layers: int
    batch: int
    heads: int
    head_dim: int

    @property
    def elements(self) -> int:
        return 2 * self.layers * self.batch * self.heads * self.head_dim


@dataclass(slots=True)
class AttentionCache:
    """Pages [layers, 2, batch, heads, frames, head_dim]; 2: keys, values. Prompt pages come first.

    window: how many frames after the prompt's a pass can see; None: all of them.
    """

    shape: CacheShape
    pages: list[Tensor] = field(default_factory=list)
    prompt_pages: int = 0
    window: int | None = None

    @property
    def frames(self) -> int:
        """Frames held; with a window, at most the prompt's, the window's and less than one page's."""
        return sum(page.shape[FRAMES] for page in self.pages)

    @property
    def nbytes(self) -> int:
        """Bytes of this session's own pages, the prompt's not counted."""
        return bytes_of(self.pages[self.prompt_pages :])

    def copy(self, *, window: int | None = None) -> AttentionCache:
        return AttentionCache(self.shape, list(self.pages), self.prompt_pages, window)

    def seal(self) -> None:
        """All pages so far become the prompt's."""
        self.prompt_pages = len(self.pages)

    def append(self, page: Tensor) -> None:
        self.pages.append(page)
        if self.window is not None:
            self._drop_unseen(self.window)

    def _drop_unseen(self, window: int) -> None:
        sizes = [page.shape[FRAMES] for page in self.pages[self.prompt_pages :]]
        unseen, held = 0, sum(sizes)
        while unseen < len(sizes) and held - sizes[unseen] >= window:
            held -= sizes[unseen]
            unseen += 1
        del self.pages[self.prompt_pages : self.prompt_pages + unseen]

    def visible(self) -> list[Tensor]:
        """The pages that a pass reads: exactly the window, cut inside a page where it begins there."""
        own = self.pages[self.prompt_pages :]
        if self.window is None or not own:
            return self.pages
        unseen = sum(page.shape[FRAMES] for page in own) - self.window
        if unseen > 0:
            own[0] = own[0].narrow(FRAMES, unseen, own[0].shape[FRAMES] - unseen)
        return self.pages[: self.prompt_pages] + own

    def new_page(self, frames: int, like: Tensor) -> Tensor:
        shape = self.shape
        size = (shape.layers, 2, shape.batch, shape.heads, frames, shape.head_dim)
        return torch.empty(size, dtype=like.dtype, device=like.device)


class CachedStep:
    """One pass of one session: reads the cache's pages, fills a new page if one is given.

    frames: those that earlier passes left and this one sees.
    """

    def __init__(self, cache: AttentionCache, page: Tensor | None, workspace: Workspace) -> None:
        self.shape = cache.shape
        self._pages = list(cache.visible())
        self._new = page
        self._workspace = workspace
        self.frames = sum(page.shape[FRAMES] for page in self._pages)

    def extend(self, layer: int, new: Tensor) -> tuple[Tensor, Tensor]:
        keys, values = self._gathered(self._parts(layer, new))
        return keys, values

    def attend(self, layer: int, query: Tensor, new: Tensor, mask: Tensor | None) -> Tensor:
        parts = self._parts(layer, new)
        each = sum(part[:, :, :1].numel() for part in parts) * new.element_size()
        some = max(1, _GATHERED // each)
        heads = query.shape[1]
        if query.is_cuda or some >= heads:
            keys, values = self._gathered(parts)
            return attend(query, keys, values, mask)
        made = []
        for first in range(0, heads, some):
            group = slice(first, first + some)
            keys, values = self._gathered([part[:, :, group] for part in parts])
            made.append(attend(query[:, group], keys, values, mask))
        return torch.cat(made, dim=1)

    def _parts(self, layer: int, new: Tensor) -> list[Tensor]:
        """Keys and values in pieces, the pass's own last, after they have been stored."""
        if self._new is not None:
            stored = self._new[layer]
            _store(stored, new)
            if stored.dtype == new.dtype:
                new = stored
        return [*(page[layer].to(new.dtype) for page in self._pages), new]

    def _gathered(self, parts: Sequence[Tensor]) -> Tensor:
        if len(parts) == 1:
            return parts[0]
        size = list(parts[-1].shape)
        size[FRAMES] += self.frames
        room = self._workspace.get(size, parts[-1])
        return torch.cat(list(parts), dim=FRAMES, out=room)

    def load(self, first: int, room: Tensor) -> None:
        """Copies what was kept into room [layers, 2, batch, heads, at least frames, head_dim].

        first: the cache's layer that is room's first.
        """
        begin, layers = 0, slice(first, first + room.shape[0])
        for page in self._pages:
            end = begin + page.shape[FRAMES]
            room[..., begin:end, :].copy_(page[layers])
            begin = end

    def keep(self, first: int, new: Tensor) -> None:
        """Stores what the layers from `first` on add, [layers, 2, batch, heads, frames, head_dim]."""
        if self._new is not None:
            _store(self._new[first : first + new.shape[0]], new)


class OffsetStep:
    """A pass whose layer 0 is layer `first` of the cache: one Euler step of the estimator."""

    def __init__(self, step: KeyValueStep, first: int) -> None:
        self._step = step
        self._first = first

    def extend(self, layer: int, new: Tensor) -> tuple[Tensor, Tensor]:
        return self._step.extend(self._first + layer, new)

    def attend(self, layer: int, query: Tensor, new: Tensor, mask: Tensor | None) -> Tensor:
        return self._step.attend(self._first + layer, query, new, mask)


def _store(page: Tensor, value: Tensor) -> None:
    if page.dtype == torch.float16 and value.dtype != torch.float16:
        # A value beyond half's range would be infinite and spoil every later step.
        limit = torch.finfo(torch.float16).max
        value = value.clamp(-limit, limit)
    page.copy_(value)


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of the tensors' elements; a tensor given twice counts once."""
    distinct = {id(tensor): tensor for tensor in tensors}
    return sum(tensor.numel() * tensor.element_size() for tensor in distinct.values())

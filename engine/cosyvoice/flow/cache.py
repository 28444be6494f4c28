"""Keys and values of attention layers kept between the steps of a session.

A cache is a list of pages and a page is never changed once it is appended. So sessions share the pages
of their voice's prompt, a copy of a cache costs a list, a step that is abandoned leaves nothing
behind, and nothing is moved when a cache grows. The price is one concatenation per layer and step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

import torch
from torch import Tensor

FRAMES: Final = -2
"""The dimension that counts frames, in pages as in keys and values."""


class KeyValueStep(Protocol):
    """What one pass of a network reads of earlier passes, and leaves for later ones."""

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Adds the pass's own keys and values [batch, heads, n, head_dim] to those already there."""
        ...


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
    """One pass of one session: reads the cache's pages, fills a new page if one is given."""

    def __init__(self, cache: AttentionCache, page: Tensor | None) -> None:
        self.page = page
        self._past = [pages.unbind(0) for pages in cache.visible()]

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        if self.page is not None:
            stored = self.page[layer]
            _store(stored[0], key)
            _store(stored[1], value)
        if not self._past:
            return key, value
        past = [page[layer].to(key.dtype) for page in self._past]
        joined = torch.cat([*past, torch.stack((key, value))], dim=FRAMES)
        return joined[0], joined[1]


class OffsetStep:
    """A pass whose layer 0 is layer `first` of the cache: one Euler step of the estimator."""

    def __init__(self, step: KeyValueStep, first: int) -> None:
        self._step = step
        self._first = first

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        return self._step.extend(self._first + layer, key, value)


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

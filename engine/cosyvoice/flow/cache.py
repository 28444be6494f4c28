"""Keys and values of attention layers kept between the steps of a session, and the memory that they lie in.

They lie in slabs that are filled from the front. A place is written once, by whoever claimed it: so
sessions share the slabs of their voice's prompt, a copy of a cache costs a list, a step that is abandoned
leaves nothing behind, and nothing is moved when a cache grows. A session that takes room for many steps
at once has its keys in one stretch of memory, and attention reads them where they are.

MemoryPool keeps the memory of ended sessions for the next ones. On a GPU torch does that. On a CPU large
memory goes back to the system as soon as it is let go, and comes anew page by page, zeroed: for the
caches of a second of speech that is a tenth of all work, and more in a virtual machine.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import torch
from torch import Tensor

from .attention import FRAMES, attend, chunk_mask, kernel_for

_LEAST: Final = 1 << 20
"""Smaller pieces are left to the C library, which keeps them by itself."""
_SPARE: Final = 1.25
"""A piece may be this many times larger than what it is used for."""


class MemoryPool:
    """Pieces of a CPU's memory. A piece comes back when no tensor is left that lies in it, and not before.

    It may be used from several threads.
    """

    def __init__(self) -> None:
        self._returned: deque[mmap.mmap] = deque()
        self._idle: list[mmap.mmap] = []
        self._lock = threading.Lock()

    @property
    def idle(self) -> int:
        """Bytes that are kept and that nobody uses."""
        with self._lock:
            self._gather()
            return sum(map(len, self._idle))

    def empty(self, size: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Uninitialised, as torch.empty, which serves off the CPU and for what is small."""
        count = math.prod(size)
        if device.type != "cpu" or count * dtype.itemsize < _LEAST:
            return torch.empty(tuple(size), dtype=dtype, device=device)
        piece = self._take(count * dtype.itemsize)
        lent = (ctypes.c_char * len(piece)).from_buffer(piece)
        # The tensor's storage holds `lent` as long as there is a view of it. The last view may end in any
        # thread at any time, also in one that holds the lock: so nothing but an append, which needs none.
        weakref.finalize(lent, self._returned.append, piece).atexit = False
        return torch.frombuffer(lent, dtype=dtype, count=count).view(tuple(size))

    def shrink(self, nbytes: int) -> int:
        """Give this many idle bytes back to the system, or all; returns how many it gave."""
        freed = 0
        with self._lock:
            self._gather()
            while self._idle and freed < nbytes:
                freed += len(self._idle.pop(0))
        return freed

    def _take(self, nbytes: int) -> mmap.mmap:
        with self._lock:
            self._gather()
            fit = [at for at, p in enumerate(self._idle) if nbytes <= len(p) <= _SPARE * nbytes]
            if fit:
                return self._idle.pop(min(fit, key=lambda at: len(self._idle[at])))
        return mmap.mmap(-1, nbytes)

    def _gather(self) -> None:
        while self._returned:
            self._idle.append(self._returned.popleft())


_LATER: Final = 4
"""A slab after the first takes 1/_LATER of the room: that memory was promised to nobody."""


Take = Callable[[int], "Slab"]
"""Gives a slab of this many frames, uninitialised."""
Bias = Callable[[slice, int], Tensor]
"""For these rows and the last so many positions: what is added to their scores [rows, heads, n, keys]."""


class KeyValueStep(Protocol):
    """The keys and values that a pass of a network reads from earlier passes, and leaves for later ones.

    Those of all sessions of the pass, whose pasts have different lengths. The rows of a session lie
    together, and all sessions have n new frames, of which the first begins a chunk.
    """

    def attend(self, layer: int, query: Tensor, new: Tensor, bias: Bias | None = None) -> Tensor:
        """Attention of query [rows, heads, n, head_dim] to the past of each session and to its new frames, up
        to the end of the query's chunk; new [2, rows, heads, n, head_dim]: their keys and values.

        The result is like query.
        """
        ...


class Workspace:
    """Memory that the layers of a pass use one after another."""

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
    """The shape of one frame of a cache. batch: rows of one session (2 with guidance)."""

    layers: int
    batch: int
    heads: int
    head_dim: int

    @property
    def elements(self) -> int:
        return 2 * self.layers * self.batch * self.heads * self.head_dim

    def size(self, frames: int) -> tuple[int, ...]:
        """[layers, 2, batch, heads, frames, head_dim]; 2: keys, values."""
        return (self.layers, 2, self.batch, self.heads, frames, self.head_dim)


@dataclass(eq=False, slots=True, weakref_slot=True)
class Slab:
    """Memory for some frames (see CacheShape.size). claimed: how many of them are taken.

    number: its place in a pool (pages.py); 0 for memory of its own.
    """

    memory: Tensor
    claimed: int = 0
    number: int = 0

    @property
    def capacity(self) -> int:
        return self.memory.shape[FRAMES]


@dataclass(frozen=True, slots=True)
class CachePage:
    """Frames begin:end of a slab: those of one pass, or of several that follow each other."""

    slab: Slab
    begin: int
    end: int

    @property
    def frames(self) -> int:
        return self.end - self.begin

    @property
    def memory(self) -> Tensor:
        return self.slab.memory.narrow(FRAMES, self.begin, self.frames)

    def parts(self, skipped: int, frames: int) -> list[CachePage]:
        """The frames after the first `skipped` ones, in slabs of their own of `frames` frames each."""
        begins = range(self.begin + skipped, self.end, frames)
        return [CachePage(self.slab, at, min(at + frames, self.end)).copy() for at in begins]

    def copy(self) -> CachePage:
        """The same frames in a slab of their own."""
        memory = self.memory.clone(memory_format=torch.contiguous_format)
        return CachePage(Slab(memory, self.frames), 0, self.frames)


@dataclass(slots=True)
class AttentionCache:
    """The prompt's frames, then the session's own, in the order of `pages`.

    take: where memory comes from. chunk: frames of each slab; None: as many as there is room for.
    window: how many of its own frames a pass can see; None: all of them. room: frames that memory is taken
    for at once, where a pass finds none left; at least the pass's.
    """

    take: Take
    chunk: int | None = None
    sealed: tuple[Slab, ...] = ()
    """The prompt's, all of which are full."""
    pages: list[CachePage] = field(default_factory=list)
    window: int | None = None
    room: int = 0

    @property
    def prompt(self) -> list[Tensor]:
        return [slab.memory for slab in self.sealed]

    @property
    def memories(self) -> list[Tensor]:
        """The session's own slabs, whole."""
        return [page.slab.memory for page in self.pages]

    @property
    def nbytes(self) -> int:
        """Bytes of this session's own slabs, with what is free in them; the prompt's not counted."""
        return bytes_of(self.memories)

    def copy(self, *, window: int | None, room: int) -> AttentionCache:
        copied = replace(self, pages=list(self.pages), window=window, room=room)
        copied._drop_unseen()
        return copied

    def seal(self) -> None:
        """All frames so far become the prompt's."""
        for page in self.pages:
            full = page.frames == page.slab.capacity
            self.sealed += ((page if full else page.copy()).slab,)
        self.pages = []

    def claim(self, frames: int) -> list[CachePage]:
        """Places for the frames of a pass. Until they are appended the cache is as before."""
        if self.chunk is not None:
            slabs = [self.take(self.chunk) for _ in range(frames // self.chunk)]
            return [CachePage(slab, 0, self.chunk) for slab in slabs]
        last = self.pages[-1] if self.pages else None
        if last is None or last.slab.claimed != last.end or last.end + frames > last.slab.capacity:
            room = self.room // _LATER if self.pages else self.room
            last = CachePage(self.take(max(frames, room)), 0, 0)
        last.slab.claimed += frames
        return [CachePage(last.slab, last.end, last.end + frames)]

    def append(self, pages: Sequence[CachePage]) -> None:
        for page in pages:
            last = self.pages[-1] if self.pages else None
            if last is not None and last.slab is page.slab and last.end == page.begin:
                self.pages[-1] = CachePage(page.slab, last.begin, page.end)
            else:
                self.pages.append(page)
        self._drop_unseen()
        if self.unseen and self.pages[0].slab.capacity > pages[-1].frames:
            # A slab that was taken when there was no window: give back what is not seen of it.
            self.pages[:1] = self.pages[0].parts(self.unseen, pages[-1].frames)

    @property
    def unseen(self) -> int:
        """How many of the oldest own frames no pass can see any more."""
        if self.window is None:
            return 0
        return max(0, sum(page.frames for page in self.pages) - self.window)

    def _drop_unseen(self) -> None:
        while self.pages and self.unseen >= self.pages[0].frames:
            del self.pages[0]

    def visible(self) -> list[Tensor]:
        """The past that a pass reads: exactly the window, cut inside a page where it begins there."""
        own = [page.memory for page in self.pages]
        if unseen := self.unseen:
            own[0] = own[0].narrow(FRAMES, unseen, own[0].shape[FRAMES] - unseen)
        return [*self.prompt, *own]


class CachedStep:
    """One pass of one session: reads what earlier passes left, fills a new page if one is given.

    chunk: frames that see each other.
    """

    def __init__(
        self, cache: AttentionCache, page: CachePage | None, workspace: Workspace, chunk: int
    ) -> None:
        self._past = cache.visible()
        self._new = None if page is None else page.memory
        self._workspace = workspace
        self._chunk = chunk
        self._frames = sum(past.shape[FRAMES] for past in self._past)
        self._joint: Tensor | None = None
        if page is not None and page.begin:
            # The pass's own frames come right behind the last ones: both are read as one.
            seen = self._past[-1].shape[FRAMES]
            both = page.begin - seen, seen + page.frames
            self._joint = page.slab.memory.narrow(FRAMES, *both)

    def extend(self, layer: int, new: Tensor) -> Tensor:
        """The pass's own keys and values [2, rows, heads, n, head_dim] after those already there.

        They stay as they are until the next call.
        """
        return self._gathered(self._stored(layer, new), layer)

    def attend(self, layer: int, query: Tensor, new: Tensor, bias: Tensor | None) -> Tensor:
        """As of a KeyValueStep. bias: against all keys."""
        frames = query.shape[FRAMES]
        kernel = kernel_for(query) if bias is None else None
        if kernel is None:
            keys, values = self.extend(layer, new)
            mask = chunk_mask(frames, self._chunk, query.device)
            return attend(query, keys, values, mask, bias)
        new = self._stored(layer, new)
        made = []
        for begin in range(0, frames, self._chunk):
            # What comes after the chunk is not seen, so it need not be masked.
            end = min(begin + self._chunk, frames)
            seen = self._parts(new.narrow(FRAMES, 0, end), layer)
            made.append(kernel.attend(query[:, :, begin:end], seen))
        return torch.cat(made, dim=FRAMES) if len(made) > 1 else made[0]

    def keys_of(self, frames: int) -> int:
        """How many keys there are with so many new frames."""
        return self._frames + frames

    def _stored(self, layer: int, new: Tensor) -> Tensor:
        """The pass's keys and values, where they were stored if that lost nothing."""
        if self._new is None:
            return new
        stored = self._new[layer]
        stored.copy_(storable(new, stored.dtype))
        return stored if stored.dtype == new.dtype else new

    def _parts(self, new: Tensor, layer: int) -> list[Tensor]:
        """All keys and values that are seen, in pieces, in the type of `new`, which are the last of them."""
        past = [past[layer].to(new.dtype) for past in self._past]
        if self._joint is None or self._joint.dtype != new.dtype:
            return [*past, new]
        seen = past.pop().shape[FRAMES]
        return [*past, self._joint[layer].narrow(FRAMES, 0, seen + new.shape[FRAMES])]

    def _gathered(self, new: Tensor, layer: int) -> Tensor:
        parts = self._parts(new, layer)
        if len(parts) == 1:
            return parts[0]
        size = list(new.shape)
        size[FRAMES] += self._frames
        return torch.cat(parts, dim=FRAMES, out=self._workspace.get(size, new))


class SeparateSteps:
    """A KeyValueStep that goes from session to session: on a CPU that costs next to nothing, and keys and
    values are read where they lie. rows: of each session."""

    def __init__(self, sessions: Sequence[CachedStep], rows: int) -> None:
        self._sessions = sessions
        self._rows = rows

    def attend(self, layer: int, query: Tensor, new: Tensor, bias: Bias | None = None) -> Tensor:
        made = []
        for number, session in enumerate(self._sessions):
            own = slice(number * self._rows, (number + 1) * self._rows)
            biased = None if bias is None else bias(own, session.keys_of(query.shape[FRAMES]))
            made.append(session.attend(layer, query[own], new[:, own], biased))
        return torch.cat(made) if len(made) > 1 else made[0]


class OffsetStep:
    """A pass whose layer 0 is layer `first` of the cache: one Euler step of the estimator."""

    def __init__(self, step: KeyValueStep, first: int) -> None:
        self._step = step
        self._first = first

    def attend(self, layer: int, query: Tensor, new: Tensor, bias: Bias | None = None) -> Tensor:
        return self._step.attend(self._first + layer, query, new, bias)


def storable(value: Tensor, dtype: torch.dtype) -> Tensor:
    """What is kept of it in a type."""
    if dtype == torch.float16 and value.dtype != torch.float16:
        # A value beyond half's range would be infinite and spoil every later step.
        limit = torch.finfo(torch.float16).max
        return value.clamp(-limit, limit)
    return value


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of the tensors' elements; a tensor given twice counts once."""
    distinct = {id(tensor): tensor for tensor in tensors}
    return sum(tensor.numel() * tensor.element_size() for tensor in distinct.values())

"""Memory that sessions have left, for the next ones.

A GPU's memory is kept by torch. On a CPU large memory goes back to the system as soon as it is let go, and
comes anew page by page, zeroed: for the caches of a second of speech that is a tenth of all work, and more
in a virtual machine.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

_LEAST: Final = 1 << 20
"""Bytes that are worth keeping; the C library keeps less by itself."""
_SPARE: Final = 1.25
"""A piece serves for what needs so much less than it has."""


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
        """Gives so many idle bytes back to the system, or all; returns how many it were."""
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

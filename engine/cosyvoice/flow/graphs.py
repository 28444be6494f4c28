"""One Euler step of the estimator as a recorded graph, which a GPU replays without Python in between.

A graph reads and writes fixed memory, so it is recorded per shape: sessions and context rounded up, the
rest is padding that attention does not see. Before each replay the sessions' keys and values are brought
into the fixed memory, all layers of a page in one copy; what the step adds goes back to their pages.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import torch
from cachetools import LRUCache
from torch import Tensor

from .attention import attend, chunk_mask
from .cache import CachedStep, CacheShape
from .estimator import TAIL, ConvTails, Estimator, blocks_of, tail_channels, time_size

_log = logging.getLogger(__name__)

Capture = Callable[[Callable[[], None]], Callable[[], None]]
"""Records work without arguments and results; gives what does it again on the same memory."""

GraphMode = Literal["auto", "off"]

_SHARE: Final = 16
"""1/_SHARE of the device's memory is for graphs: with 80 GiB, 16 streams of 20 s in half
precision."""
_WHOLE: Final = 1 << 20
_CONTEXT_STEP: Final = 256
"""Contexts are rounded up to a multiple of this many frames."""
_ALIGNED: Final = 8
"""The number of keys is a multiple of this: the fused kernels of attention require it of a mask."""
_MOST_GRAPHS: Final = 32
_MOST_CHUNKS: Final = 4
"""Longer passes keep a GPU busy as they are."""
_OFTEN: Final = 3
_MOST_ASKED: Final = 256
_TOLERANCE: Final = 1e-2
"""Between a replay and the same work without a graph, relative to the largest value. Only to find
recordings that are wrong: rounding is far below it."""


@dataclass(frozen=True, slots=True)
class GraphShape:
    """rows: of all sessions, padding included. context: most frames before the step's own."""

    rows: int
    frames: int
    context: int
    dtype: torch.dtype

    @classmethod
    def around(
        cls, sessions: int, rows: int, frames: int, context: int, dtype: torch.dtype
    ) -> GraphShape:
        """The recorded shape that serves `sessions` sessions of `rows` rows each."""
        slots = 1 << (sessions - 1).bit_length()
        room = -(-max(context, 1) // _CONTEXT_STEP) * _CONTEXT_STEP
        return cls(slots * rows, frames, room + -frames % _ALIGNED, dtype)

    def elements(self, layers: int, heads: int, head_dim: int) -> int:
        """Elements of the keys and values in fixed memory."""
        return 2 * layers * self.rows * heads * (self.context + self.frames) * head_dim


class StepGraph:
    """The recorded step. Raises what `capture` raises, and RuntimeError if the replay is wrong.

    room: as many elements as the shape needs for keys and values.
    """

    def __init__(
        self, estimator: Estimator, shape: GraphShape, room: Tensor, capture: Capture
    ) -> None:
        config = estimator.config
        self._estimator = estimator
        self._context = shape.context
        self._layers = blocks_of(config)
        keys = shape.context + shape.frames
        heads, width = config.num_heads, config.attention_head_dim
        self._cached = room.view(self._layers, 2, shape.rows, heads, keys, width)
        self._cached.zero_()
        self._inputs = room.new_zeros(shape.rows, shape.frames, config.in_channels)
        self._time = room.new_zeros(1, time_size(config))
        self._tails = room.new_zeros(shape.rows, TAIL, tail_channels(config))
        self._own = chunk_mask(shape.frames, config.chunk_frames, room.device)
        queries = 1 if self._own is None else shape.frames
        size = shape.rows, 1, queries, keys
        self._seen = torch.ones(size, dtype=torch.bool, device=room.device)
        self._velocity = room.new_zeros(shape.rows, shape.frames, config.out_channels)
        self._after = torch.zeros_like(self._tails)
        self._replay = capture(self._work)
        self._check()

    def extend(self, layer: int, new: Tensor) -> tuple[Tensor, Tensor]:
        """As a KeyValueStep: that of all rows at once."""
        cached = self._cached[layer]
        cached[..., self._context :, :].copy_(new)
        return cached[0], cached[1]

    def attend(self, layer: int, query: Tensor, new: Tensor, mask: Tensor | None) -> Tensor:
        keys, values = self.extend(layer, new)
        return attend(query, keys, values, mask)

    def open(self, caches: Sequence[CachedStep]) -> None:
        """Begins a pass of these sessions."""
        self._seen.fill_(False)
        self._seen[..., self._context :] = True if self._own is None else self._own
        rows = caches[0].shape.batch
        for number, cache in enumerate(caches):
            session = slice(number * rows, (number + 1) * rows)
            self._seen[session, ..., : cache.frames] = True
            # Nothing is seen there, but 0 times a number left there must be 0.
            self._cached[:, :, session, :, cache.frames : self._context].zero_()

    def run(
        self, step: int, inputs: Tensor, time: Tensor, tails: Tensor, caches: Sequence[CachedStep]
    ) -> tuple[Tensor, Tensor]:
        """Euler step `step` of the pass: velocity and tails as of Estimator.advance.

        The velocity stays as it is until the next run.
        """
        count, first = inputs.shape[0], step * self._layers
        self._inputs[:count].copy_(inputs)
        self._time.copy_(time)
        self._tails[:count].copy_(tails)
        rows = caches[0].shape.batch
        parts = torch.split(self._cached[:, :, :count], rows, dim=2)
        for cache, part in zip(caches, parts, strict=True):
            cache.load(first, part[..., : self._context, :])
        self._replay()
        for cache, part in zip(caches, parts, strict=True):
            cache.keep(first, part[..., self._context :, :])
        return self._velocity[:count], self._after[:count].clone()

    def _work(self) -> None:
        tails = ConvTails(self._tails)
        velocity = self._estimator.advance(self._inputs, self._time, tails, self._seen, [self])
        self._velocity.copy_(velocity)
        self._after.copy_(tails.after())

    def _check(self) -> None:
        """Replays on other numbers than were recorded, and compares."""
        for static in (self._inputs, self._time, self._tails):
            static.normal_()
        self._replay()
        replayed = self._velocity.clone(), self._after.clone()
        self._work()
        for one, other in zip(replayed, (self._velocity, self._after), strict=True):
            error = float((one - other).abs().max())
            if not error <= _TOLERANCE * max(1.0, float(other.abs().max())):
                raise RuntimeError(f"the replay of a graph is wrong by {error:.1e}")


class GraphCache:
    """Graphs of one estimator, recorded when their shape first comes, or has come a few times where it
    may be a single utterance's; those not used for longest go first.

    All share `nbytes` bytes of fixed memory, taken at once; a step that needs more is done without a
    graph. If a recording fails, that is logged and no other is tried. passes: that graphs have served.
    """

    def __init__(self, capture: Capture, nbytes: int, device: torch.device) -> None:
        self.failed = False
        self.passes = 0
        self._capture = capture
        self._room = torch.empty(nbytes, dtype=torch.uint8, device=device)
        self._graphs: LRUCache[GraphShape, StepGraph] = LRUCache(_MOST_GRAPHS)
        self._asked: Counter[GraphShape] = Counter()

    def __len__(self) -> int:
        return len(self._graphs)

    @property
    def nbytes(self) -> int:
        """Bytes of the fixed memory for keys and values."""
        return self._room.numel()

    def open(
        self, estimator: Estimator, frames: int, like: Tensor, caches: Sequence[CachedStep]
    ) -> StepGraph | None:
        """A graph for a pass of these sessions, None where the pass must do without."""
        if self.failed:
            return None
        context = max(cache.frames for cache in caches)
        rows = caches[0].shape.batch
        shape = GraphShape.around(len(caches), rows, frames, context, like.dtype)
        graph = self._graphs.get(shape)
        if graph is None and self._pays(shape, estimator.config.chunk_frames):
            graph = self._record(estimator, shape, caches[0].shape, like)
            if graph is not None:
                self._graphs[shape] = graph
        if graph is None:
            return None
        graph.open(caches)
        self.passes += 1
        return graph

    def _pays(self, shape: GraphShape, chunk: int) -> bool:
        """Whether the shape will come again: what is not whole chunks may be one utterance's end."""
        if shape.frames > _MOST_CHUNKS * chunk:
            return False
        if shape.frames % chunk == 0:
            return True
        if len(self._asked) >= _MOST_ASKED:
            self._asked.clear()
        self._asked[shape] += 1
        return self._asked[shape] >= _OFTEN

    def _record(
        self, estimator: Estimator, shape: GraphShape, cache: CacheShape, like: Tensor
    ) -> StepGraph | None:
        elements = shape.elements(blocks_of(estimator.config), cache.heads, cache.head_dim)
        nbytes = elements * like.element_size()
        if nbytes > self.nbytes:
            return None
        try:
            return StepGraph(estimator, shape, self._room[:nbytes].view(like.dtype), self._capture)
        except Exception as error:
            _log.warning("no CUDA graphs from here on: recording %s failed (%s)", shape, error)
            self.failed = True
            self._graphs.clear()
            self._room = self._room[:0].clone()
            return None


def graphs_for(device: torch.device, mode: GraphMode) -> GraphCache | None:
    """None where there are no graphs: by the operator's choice, off CUDA, or for want of memory.

    Takes its share of the device's memory now, so that it is not counted as free.
    """
    if mode == "off" or device.type != "cuda":
        return None
    try:
        nbytes = int(torch.cuda.mem_get_info(device)[1]) // _SHARE // _WHOLE * _WHOLE
        return GraphCache(CudaCapture(), nbytes, device)
    except RuntimeError as error:
        _log.warning("no CUDA graphs: %s", error)
        return None


class CudaCapture:
    """Records on the current CUDA device; all recordings share one pool of memory."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        # Kernels are chosen and libraries set up at first calls, which must not be recorded.
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            work()
            work()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            work()
        return graph.replay

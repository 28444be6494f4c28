"""All Euler steps of a pass as one recorded graph, which a GPU replays without Python in between.

A graph reads and writes fixed memory, so it is recorded per shape: sessions and pages of context rounded
up, the rest is padding that attention does not see. Keys and values are not moved: the graph is given the
numbers of their pages.

Each recording is replayed once on numbers of its own, beside the same work without a graph, before it
serves. If one fails or is wrong, that is logged, counted, and all passes are done without graphs.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from cachetools import LRUCache
from torch import Tensor

from ..options import GraphMode
from ..transfer import to_host
from .estimator import TAIL, Estimator, tail_channels
from .pages import WASTE, PagedStep, PagePool, PageTable
from .solver import GUIDED_ROWS, EulerInputs, Solver

if TYPE_CHECKING:
    from .model import Flow

_log = logging.getLogger(__name__)

Capture = Callable[[Callable[[], None]], Callable[[], None]]
"""Records work without arguments and results; gives what does it again on the same memory."""

_SHARE: Final = 16
"""A layer's keys and values may take 1/_SHARE of the device's memory in a graph: with 24 GiB, 64 utterances
of 100 s in half precision."""
_PAGES_STEP: Final = 4
_MOST_PAGES: Final = 48
_MOST_GRAPHS: Final = 48
"""A graph of ten Euler steps has ten thousand kernels, of some KiB each."""
_MOST_CHUNKS: Final = 4
"""Longer passes keep a GPU busy as they are."""
_OFTEN: Final = 3
_MOST_ASKED: Final = 256
_TOLERANCE: Final = 1e-2
"""Between a replay and the same work without a graph, relative to the largest value. Only to find
recordings that are wrong: rounding is far below it."""


@dataclass(frozen=True, slots=True)
class GraphShape:
    """sessions, pages of the past: padding included. kept: new pages of each, 0 where nothing is kept."""

    sessions: int
    pages: int
    frames: int
    kept: int
    dtype: torch.dtype

    @classmethod
    def around(cls, step: PagedStep) -> GraphShape:
        """The recorded shape that serves the pass."""
        sessions, pages = step.table.sessions, step.table.past
        # By 4 up to 16, then by 8, then by 16: at most a third is padding.
        grain = _PAGES_STEP
        while pages > 4 * grain:
            grain *= 2
        room = -(-max(pages, 1) // grain) * grain
        slots = 1 << (sessions - 1).bit_length()
        return cls(slots, room, step.frames, step.table.kept, step.dtype)

    def nbytes(self, pool: PagePool) -> int:
        """Of a layer's keys and values, as attention reads them."""
        frames = self.pages * pool.chunk + self.frames
        each = 2 * pool.rows * pool.shape.head_dim * self.dtype.itemsize
        return self.sessions * frames * each


class _FixedMemory:
    """What all graphs of one estimator read and write, taken once for the largest shape."""

    def __init__(self, sessions: int, flow: Flow) -> None:
        config, steps = flow.config.estimator, flow.config.steps
        rows, frames = GUIDED_ROWS * sessions, _MOST_CHUNKS * config.chunk_frames
        noise, like = flow.noise, flow.noise.new_zeros(0, dtype=flow.cache_dtype)
        self._mel = config.out_channels
        self._x = noise.new_zeros(sessions * frames * self._mel)
        self._made = torch.zeros_like(self._x)
        self._inputs = like.new_zeros(rows * frames * config.in_channels)
        self._tails = like.new_zeros(steps, rows, TAIL, tail_channels(config))
        self._after = torch.zeros_like(self._tails)
        self._width = config.in_channels

    def of(self, shape: GraphShape) -> tuple[EulerInputs, Tensor, Tensor]:
        """What a graph of this shape starts from; where it leaves x and the tails."""
        x = shape.sessions, shape.frames, self._mel
        inputs = shape.sessions, GUIDED_ROWS, shape.frames, self._width
        rows = GUIDED_ROWS * shape.sessions
        begin = EulerInputs(_part(self._x, x), _part(self._inputs, inputs), self._tails[:, :rows])
        return begin, _part(self._made, x), self._after[:, :rows]


def _part(memory: Tensor, size: tuple[int, ...]) -> Tensor:
    return memory[: math.prod(size)].view(size)


class PassGraph:
    """The recorded steps. Raises what `capture` raises, and RuntimeError if the replay is wrong."""

    def __init__(
        self,
        flow: Flow,
        shape: GraphShape,
        pool: PagePool,
        times: Tensor,
        memory: _FixedMemory,
        capture: Capture,
    ) -> None:
        self._solver: Solver = flow.solver
        self._estimator: Estimator = flow.usual.estimator
        self._pool = pool
        self._shape = shape
        self._times = times.clone()
        size = shape.sessions, shape.pages + shape.kept
        self._places = times.new_zeros(size, dtype=torch.int64)
        self._hidden = torch.zeros_like(self._places[:, : shape.pages])
        self._begin, self._made, self._after = memory.of(shape)
        self._clear()
        self._replay = capture(self._work)
        self._check()

    def run(self, begin: EulerInputs, step: PagedStep) -> tuple[Tensor, Tensor]:
        """As Solver.integrate."""
        table, count = step.table, begin.x.shape[0]
        first = self._shape.pages - table.past
        self._clear()
        self._places[:count, first:] = table.places
        self._hidden[:count, first:] = 0 if table.hidden is None else table.hidden
        assert begin.tails is not None
        assert self._begin.tails is not None
        self._begin.x[:count] = begin.x
        self._begin.inputs[:count] = begin.inputs
        self._begin.tails[:, : begin.tails.shape[1]] = begin.tails
        self._replay()
        return self._made[:count].clone(), self._after[:, : begin.tails.shape[1]].clone()

    def _clear(self) -> None:
        """Nothing is seen, and what is kept goes to waste."""
        self._places.zero_()
        self._places[:, self._shape.pages :] = WASTE * self._pool.rows
        self._hidden.fill_(self._pool.chunk)

    def _work(self) -> None:
        table = PageTable(self._places, self._hidden, self._shape.kept)
        step = PagedStep(self._pool, table, self._shape.frames, self._shape.dtype)
        made, after = self._solver.integrate(self._estimator, self._begin, self._times, None, step)
        self._made.copy_(made)
        self._after.copy_(after)

    def _check(self) -> None:
        """Replays on other numbers than were recorded, and compares.

        All sessions have the same ones, as they share the pages; one page of the past is seen.
        """
        begin, tails = self._begin, self._begin.tails
        assert tails is not None
        begin.x[:] = torch.randn_like(begin.x[:1])
        begin.inputs[:] = torch.randn_like(begin.inputs[:1])
        each = torch.unflatten(tails, 1, (-1, GUIDED_ROWS))
        each[:] = torch.randn_like(each[:, :1])
        pages = [self._pool.take(self._pool.chunk) for _ in range(1 + self._shape.kept)]
        pages[0].memory.normal_()
        self._hidden[:, -1] = 0
        for at, page in enumerate(pages, start=self._shape.pages - 1):
            self._places[:, at] = page.number * self._pool.rows
        self._replay()
        replayed = self._made.clone(), self._after.clone()
        self._work()
        for one, other in zip(replayed, (self._made, self._after), strict=True):
            found = torch.stack(((one - other).abs().max(), other.abs().max()))
            error, largest = to_host(found.float())
            if not error <= _TOLERANCE * max(1.0, largest):
                raise RuntimeError(f"the replay of a graph is wrong by {error:.1e}")


@dataclass(slots=True)
class GraphCounts:
    """Passes that graphs have served, and that were done without one though graphs are on."""

    passes: int = 0
    without: int = 0


class GraphCache:
    """Graphs of one flow, recorded when their shape first comes, or has come a few times where it may be a
    single utterance's; those not used for longest go first.

    sessions: in a pass at most. nbytes: of a layer's keys and values as attention reads them; a pass that
    needs more is done without a graph.
    """

    def __init__(self, flow: Flow, capture: Capture, sessions: int, nbytes: int) -> None:
        self.failed = False
        self.counts = GraphCounts()
        self._flow = flow
        self._capture = capture
        self._most = 1 << (sessions - 1).bit_length()
        self._nbytes = nbytes
        self._memory: _FixedMemory | None = _FixedMemory(self._most, flow)
        self._graphs: LRUCache[GraphShape, PassGraph] = LRUCache(_MOST_GRAPHS)
        self._asked: Counter[GraphShape] = Counter()

    def __len__(self) -> int:
        return len(self._graphs)

    def run(
        self, begin: EulerInputs, times: Tensor, step: PagedStep
    ) -> tuple[Tensor, Tensor] | None:
        """As Solver.integrate; None where the pass must do without."""
        graph = self._find(step, times)
        if graph is None:
            self.counts.without += 1
            return None
        self.counts.passes += 1
        return graph.run(begin, step)

    def _find(self, step: PagedStep, times: Tensor) -> PassGraph | None:
        if self._memory is None:
            return None
        shape = GraphShape.around(step)
        graph = self._graphs.get(shape)
        if graph is None and self._pays(shape, step.pool):
            graph = self._record(shape, step.pool, times, self._memory)
            if graph is not None:
                self._graphs[shape] = graph
        return graph

    def _pays(self, shape: GraphShape, pool: PagePool) -> bool:
        """Whether it may be recorded, and will come again: what is not whole chunks may be one utterance's
        end."""
        fits = shape.sessions <= self._most and shape.pages <= _MOST_PAGES
        if not fits or shape.frames > _MOST_CHUNKS * pool.chunk:
            return False
        if shape.nbytes(pool) > self._nbytes:
            return False
        if shape.kept:
            return True
        if len(self._asked) >= _MOST_ASKED:
            self._asked.clear()
        self._asked[shape] += 1
        return self._asked[shape] >= _OFTEN

    def _record(
        self, shape: GraphShape, pool: PagePool, times: Tensor, memory: _FixedMemory
    ) -> PassGraph | None:
        try:
            return PassGraph(self._flow, shape, pool, times, memory, self._capture)
        except Exception as error:
            _log.warning("no CUDA graphs from here on: recording %s failed (%s)", shape, error)
            self.failed = True
            self._graphs.clear()
            self._memory = None
            return None


def graphs_for(flow: Flow, mode: GraphMode, sessions: int) -> GraphCache | None:
    """None where there are no graphs: by the operator's choice, off CUDA, or for want of memory.

    sessions: in a pass at most.
    """
    device = flow.noise.device
    if mode == "off" or device.type != "cuda":
        return None
    try:
        nbytes = int(torch.cuda.mem_get_info(device)[1]) // _SHARE
        return GraphCache(flow, CudaCapture(), sessions, nbytes)
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

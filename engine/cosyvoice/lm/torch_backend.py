"""The speech LM in torch: all streams that can advance do so in one step, one token each.

Streams join and leave between steps. Long prompts are read in parts, beside the others' tokens. The event
loop keeps the books, the device thread computes; when no stream can advance, nothing runs.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...interface import EngineDied, EngineError, EngineNotReady
from ..scheduling.device import DeviceClosed, DeviceThread
from .bistream import Composition, LmInput, composition
from .decoder import LmDecoder
from .interface import LmFailed, LmNotFinite, LmPrompt, SamplingOptions
from .sampling import Draw, UniformSource
from .step import Stepper, StepResult, StepRow
from .stream import ComposedStream

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TorchLmSettings:
    """max_streams: that hold a context at once; more wait for a place, first come, first served.

    max_context: ids that one stream may read and speak in all.
    max_step_ids: ids read in one step; it bounds how long a long prompt holds up the other streams.
    priority: of its steps on the device thread, lower goes first.
    """

    max_streams: int = 64
    max_context: int = 4096
    max_step_ids: int = 512
    priority: int = 0

    def __post_init__(self) -> None:
        if self.max_streams < 1 or self.max_step_ids < 1 or self.max_context < 3:
            raise ValueError(
                "the LM needs a stream, an id per step and a context of three at least"
            )


class TorchTokenStream(ComposedStream):
    """interface.SpeechTokenStream. The backend calls `next_row` and, when the row is computed, `took`.

    slot: where its keys and values lie; None while it needs none.
    """

    def __init__(
        self,
        composition: Composition,
        options: SamplingOptions,
        on_change: Callable[[TorchTokenStream], None],
    ) -> None:
        super().__init__(composition, options)
        self._on_change = on_change
        self._random = UniformSource(options.seed)
        self._context: list[int] = []
        """All ids of the stream, in order."""
        self._read = 0
        """How many of them are in the cache."""
        self.slot: int | None = None

    def can_advance(self) -> bool:
        """Whether there is something to compute now. Ends the stream if there never will be."""
        under_way = self._input is not None
        lm_input = self.next_input()
        if lm_input is not None and not under_way:
            self._context.extend(lm_input.ids)
        return lm_input is not None and not self.over

    @property
    def pending(self) -> int:
        """Ids to be read before the next token is drawn."""
        return len(self._context) - self._read

    def next_row(self, most: int) -> StepRow:
        """The next row to compute, of `most` ids at most. Only if `can_advance`, and with a slot."""
        assert self._input is not None
        assert self.slot is not None
        end = self._read + min(most, self.pending)
        draw = self._next_draw(self._input) if end == len(self._context) else None
        return StepRow(self.slot, self._context, self._read, end, draw)

    def took(self, row: StepRow, token: int | None) -> None:
        """The row has been computed."""
        self._read = row.end
        if token is None or self.over:
            return
        if not self.drew(token):
            self._context.append(token)

    def _changed(self) -> None:
        self._on_change(self)

    def _next_draw(self, lm_input: LmInput) -> Draw:
        banned = lm_input.banned_ids
        if len(self._drawn) < lm_input.min_tokens:
            banned += lm_input.stop_ids
        if self._options.greedy:
            return Draw(banned, (), 0.0, self._options)
        return Draw(banned, self._history(), self._random.next(), self._options)


@dataclass(slots=True)
class _Counters:
    steps: int = 0
    step_seconds: float = 0.0
    rows: int = 0
    read: int = 0
    tokens: int = 0
    loops: int = 0
    recomputed: int = 0
    not_finite: int = 0
    failed_steps: int = 0


class TorchSpeechLM:
    """interface.SpeechLM on a device thread, which it shares with whoever else was given it."""

    def __init__(
        self,
        load: Callable[[], LmDecoder],
        thread: DeviceThread,
        settings: TorchLmSettings | None = None,
    ) -> None:
        """load: makes the decoder; `start` calls it on the device thread."""
        self._load = load
        self._thread = thread
        self._settings = settings or TorchLmSettings()
        self._decoder: LmDecoder | None = None
        self._stepper: Stepper | None = None
        self._streams: dict[
            TorchTokenStream, None
        ] = {}  # that could advance or hold a slot, in order
        self._free_slots: list[int] = []
        self._stepping: set[TorchTokenStream] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._counters = _Counters()
        self._cache_bytes = 0

    @property
    def ready(self) -> bool:
        return self._running

    async def start(self) -> None:
        """Load the weights and serve. Raises whatever loading raises."""
        if self._task is not None:
            return
        self._decoder = await self._thread.submit(self._load)
        self._stepper = Stepper(self._decoder)
        self._free_slots = list(range(self._settings.max_streams))
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run(self._stepper), name="speech LM")

    async def stop(self) -> None:
        """End all streams with EngineDied and drop the weights, once the step that runs is done."""
        task, self._task = self._task, None
        if task is None:
            return
        self._wake.set()
        for stream in list(self._streams):
            stream.end(EngineDied("the speech model was stopped"))
        await asyncio.gather(task, return_exceptions=True)
        self._streams.clear()
        self._decoder = self._stepper = None
        self._cache_bytes = 0

    def open(self, prompt: LmPrompt, options: SamplingOptions) -> TorchTokenStream:
        return self.open_composition(self.compose(prompt, options), options)

    def compose(self, prompt: LmPrompt, options: SamplingOptions) -> Composition:
        """The order of ids that `open` uses. Raises ValueError, EngineNotReady, LmTooLong."""
        if self._decoder is None or not self._running:
            raise EngineNotReady("the speech model is not running")
        config = self._decoder.config
        longest = min(self._settings.max_context, config.max_position_embeddings)
        return composition(config, prompt, options, longest)

    def open_composition(
        self, composition: Composition, options: SamplingOptions
    ) -> TorchTokenStream:
        """Begin a stream that reads in an order of its own (the reference's quirks, say)."""
        if not self._running:
            raise EngineNotReady("the speech model is not running")
        stream = TorchTokenStream(composition, options, self._changed)
        self._streams[stream] = None
        return stream

    def stats(self) -> Mapping[str, float]:
        counters = self._counters
        holding = sum(1 for stream in self._streams if stream.slot is not None)
        return {
            "lm_streams": len(self._streams),
            "lm_slots_used": holding,
            "lm_batch_rows_total": counters.rows,
            "lm_steps_total": counters.steps,
            "lm_step_seconds_total": counters.step_seconds,
            "lm_ids_read_total": counters.read,
            "lm_tokens_total": counters.tokens,
            "lm_loops_total": counters.loops,
            "lm_recomputed_total": counters.recomputed,
            "lm_not_finite_total": counters.not_finite,
            "lm_failed_steps_total": counters.failed_steps,
            "lm_cache_bytes": self._cache_bytes,
        }

    @property
    def _running(self) -> bool:
        return self._task is not None and not self._task.done()

    # Between steps

    def _changed(self, stream: TorchTokenStream) -> None:
        """A stream has new text, or has ended."""
        if stream.over and stream not in self._stepping:
            self._release(stream)
        self._wake.set()

    def _release(self, stream: TorchTokenStream) -> None:
        if stream in self._streams:
            del self._streams[stream]
            self._counters.loops += stream.looped
        if stream.slot is not None:
            heapq.heappush(self._free_slots, stream.slot)
            stream.slot = None

    async def _run(self, stepper: Stepper) -> None:
        try:
            await self._serve(stepper)
        except DeviceClosed as error:  # the device went first
            self._stepping = set()
            for stream in list(self._streams):
                stream.end(error)

    async def _serve(self, stepper: Stepper) -> None:
        while self._task is not None:
            rows = self._compose()
            if rows:
                await self._step(stepper, rows)
                continue
            if not self._streams and self._cache_bytes:
                self._cache_bytes = 0
                await self._thread.submit(stepper.free, self._settings.priority)
                continue
            self._wake.clear()
            await self._wake.wait()
        await self._thread.submit(stepper.free, self._settings.priority)

    def _compose(self) -> dict[TorchTokenStream, StepRow]:
        """The next step's rows: those that decode always, parts of prompts as far as there is room."""
        ready = [s for s in list(self._streams) if s.can_advance() and self._placed(s)]
        room = self._settings.max_step_ids - sum(1 for s in ready if s.pending == 1)
        rows: dict[TorchTokenStream, StepRow] = {}
        for stream in ready:
            if stream.pending == 1:
                rows[stream] = stream.next_row(1)
            elif room > 0 or not rows:
                rows[stream] = stream.next_row(max(room, 1))
                room -= rows[stream].end - rows[stream].begin
        return rows

    def _placed(self, stream: TorchTokenStream) -> bool:
        if stream.slot is None and self._free_slots:
            stream.slot = heapq.heappop(self._free_slots)  # low slots first: the cache stays small
        return stream.slot is not None

    async def _step(self, stepper: Stepper, rows: dict[TorchTokenStream, StepRow]) -> None:
        self._stepping = set(rows)
        result: StepResult | None = None
        error: EngineError | None = None
        try:
            done, seconds = await self._thread.submit(
                lambda: _timed(stepper, list(rows.values())), self._settings.priority
            )
            self._count(done, rows, seconds)
            result = done
            self._cache_bytes = stepper.cache_bytes
        except DeviceClosed:
            raise
        except Exception as raised:
            _log.exception("a step of the speech model failed")
            self._counters.failed_steps += 1
            error = (
                raised if isinstance(raised, EngineError) else LmFailed("the speech model failed")
            )
        self._stepping = set()
        for i, (stream, row) in enumerate(rows.items()):
            if error is not None or result is None:
                stream.end(error)
            elif i in result.failed:
                self._counters.not_finite += 1
                stream.end(LmNotFinite("the speech model's numbers overflowed"))
            else:
                stream.took(row, result.tokens[i])
            if stream.over:
                self._release(stream)

    def _count(
        self, result: StepResult, rows: dict[TorchTokenStream, StepRow], seconds: float
    ) -> None:
        counters = self._counters
        counters.steps += 1
        counters.step_seconds += seconds
        counters.rows += len(rows)
        counters.read += sum(row.end - row.begin for row in rows.values())
        counters.tokens += sum(1 for token in result.tokens if token is not None)
        counters.recomputed += result.recomputed
        for stream in rows:
            stream.seconds += seconds / len(rows)


def _timed(stepper: Stepper, rows: list[StepRow]) -> tuple[StepResult, float]:
    began = time.perf_counter()
    result = stepper.step(rows)
    return result, time.perf_counter() - began

"""One stream of the torch LM: its composition, its context, and the tokens that wait for the reader.

Lives on the event loop; knows no torch but its random numbers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from ...errors import EngineError
from ..config import TOKEN_RATE
from .backend import SamplingOptions
from .bistream import Chunk, Composition
from .errors import LmLoop
from .loops import LoopDetector
from .sampling import UniformSource
from .step import Draw, Row


class TorchTokenStream:
    """backend.TokenStream. The backend calls `next_row` and, when the row is computed, `took`.

    slot: where its keys and values lie; None while it needs none.
    """

    def __init__(
        self,
        composition: Composition,
        options: SamplingOptions,
        on_change: Callable[[TorchTokenStream], None],
    ) -> None:
        self._composition = composition
        self._options = options
        self._on_change = on_change
        self._random = UniformSource(options.seed)
        self._loops = LoopDetector(round(options.loop_seconds * TOKEN_RATE))
        self._chunk: Chunk | None = None
        self._context: list[int] = []
        self._read = 0
        self._drawn: list[int] = []
        self._ready: list[int] = []
        self._changed = asyncio.Event()
        self._error: EngineError | None = None
        self._finished = False
        self.over = False
        self.looped = False
        self.slot: int | None = None
        self.seconds = 0.0

    # The interface

    async def feed(self, text_ids: Sequence[int]) -> None:
        if self._finished:
            raise ValueError("the text is finished")
        if not self.over:
            self._composition.feed(text_ids)
            self._on_change(self)

    async def finish(self) -> None:
        if not self._finished:
            self._finished = True
            self._composition.finish()
            self._on_change(self)

    async def cancel(self) -> None:
        self._ready.clear()
        self._error = None
        self.end()

    def __aiter__(self) -> AsyncIterator[Sequence[int]]:
        return self

    async def __anext__(self) -> Sequence[int]:
        """All tokens that are ready. Cancel-safe: none is lost."""
        while not self._ready:
            if self._error is not None:
                raise self._error
            if self.over:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        tokens, self._ready = self._ready, []
        return tokens

    # The backend's side

    def end(self, error: EngineError | None = None) -> None:
        """No more tokens; the reader gets those that are ready first, then the error."""
        if not self.over:
            self.over = True
            self._error = error
            self._changed.set()
            self._on_change(self)

    def can_advance(self) -> bool:
        """Whether there is something to compute now. Ends the stream if nothing will ever be."""
        if self.over:
            return False
        if self._chunk is None:
            try:
                self._chunk = self._composition.next_chunk()
            except EngineError as error:
                self.end(error)
                return False
            if self._chunk is None:
                if self._composition.done:
                    self.end()
                return False
            self._context.extend(self._chunk.ids)
            self._drawn = []
        return True

    @property
    def pending(self) -> int:
        """Ids to be read before the next token is drawn."""
        return len(self._context) - self._read

    def next_row(self, most: int) -> Row:
        """What to compute next, `most` ids at most. Only if `can_advance`, and with a slot."""
        assert self._chunk is not None
        assert self.slot is not None
        end = self._read + min(most, self.pending)
        draw = self._next_draw(self._chunk) if end == len(self._context) else None
        return Row(self.slot, self._context, self._read, end, draw)

    def took(self, row: Row, token: int | None) -> None:
        """The row has been computed."""
        self._read = row.end
        if token is None or self.over:
            return
        chunk = self._chunk
        assert chunk is not None
        self._drawn.append(token)
        stopped = token in chunk.stop_ids
        if not stopped:
            self._put(token)
        if stopped or len(self._drawn) == chunk.max_tokens:
            self._composition.ended(self._drawn)
            self._chunk, self._drawn = None, []
        else:
            self._context.append(token)

    def _next_draw(self, chunk: Chunk) -> Draw:
        banned = chunk.banned_ids
        if len(self._drawn) < chunk.min_tokens:
            banned += chunk.stop_ids
        options = self._options
        history: Sequence[int] = ()
        uniform = 0.0
        if not options.greedy:
            uniform = self._random.next()
            if options.win:
                history = (self._composition.decoded[-options.win :] + self._drawn)[-options.win :]
        return Draw(banned, history, uniform, options)

    def _put(self, token: int) -> None:
        self._ready.append(token)
        self._changed.set()
        if self._loops.add(token):
            self.looped = True
            fails = self._options.on_loop == "fail"
            self.end(LmLoop("the speech model repeats itself") if fails else None)

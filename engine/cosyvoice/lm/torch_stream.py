"""One stream of the torch LM: its context, and what of it comes into the next step."""

from __future__ import annotations

from collections.abc import Callable

from .interface import SamplingOptions
from .bistream import Chunk, Composition
from .sampling import Draw, UniformSource
from .step import Row
from .stream import ComposedStream


class TorchTokenStream(ComposedStream):
    """backend.TokenStream. The backend calls `next_row` and, when the row is computed, `took`.

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
        self._read = 0
        self.slot: int | None = None

    def can_advance(self) -> bool:
        """Whether there is something to compute now. Ends the stream if nothing will ever be."""
        under_way = self._chunk is not None
        chunk = self.next_chunk()
        if chunk is not None and not under_way:
            self._context.extend(chunk.ids)
        return chunk is not None and not self.over

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
        if not self.drew(token):
            self._context.append(token)

    def _changed(self) -> None:
        self._on_change(self)

    def _next_draw(self, chunk: Chunk) -> Draw:
        banned = chunk.banned_ids
        if len(self._drawn) < chunk.min_tokens:
            banned += chunk.stop_ids
        if self._options.greedy:
            return Draw(banned, (), 0.0, self._options)
        return Draw(banned, self._history(), self._random.next(), self._options)

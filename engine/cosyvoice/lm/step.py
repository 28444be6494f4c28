"""One step of the torch LM, as it runs on the device thread: read ids, draw tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .decoder import LmDecoder, Span
from .sampling import Draw, draw_tokens


@dataclass(frozen=True, slots=True)
class StepRow:
    """A stream's part of a step: read context[begin:end] into its slot, then draw, if `draw` says how.

    What comes before `begin` is in the slot already.
    """

    slot: int
    context: Sequence[int]
    begin: int
    end: int
    draw: Draw | None

    @property
    def span(self) -> Span:
        return Span(self.slot, self.begin, self.context[self.begin : self.end])

    @property
    def whole(self) -> Span:
        return Span(self.slot, 0, self.context[: self.end])


@dataclass(frozen=True, slots=True)
class StepResult:
    """tokens: for each row the token, None if none was asked for or the numbers were not finite.

    failed: rows whose numbers are not finite in fp32 either. recomputed: rows that fp32 has saved.
    """

    tokens: list[int | None]
    failed: frozenset[int]
    recomputed: int


class Stepper:
    """A decoder and its cache. Use it on the device thread only."""

    def __init__(self, decoder: LmDecoder) -> None:
        self._decoder = decoder
        self._cache = decoder.new_cache()

    @property
    def cache_bytes(self) -> int:
        return self._cache.nbytes

    def free(self) -> None:
        """Give the cache's memory back; no stream may be under way."""
        self._cache.reset()

    def clear(self, slot: int) -> None:
        self._cache.clear(slot)

    def step(self, rows: Sequence[StepRow]) -> StepResult:
        hidden = self._last(self._decoder.forward([row.span for row in rows], self._cache), rows)
        logits = self._decoder.logits(hidden)
        finite = logits.isfinite().all(-1)
        tokens: list[int | None] = [None] * len(rows)
        failed: set[int] = set()
        recomputed = 0
        if not bool(finite.all()):
            bad = [i for i, fine in enumerate(finite.tolist()) if not fine]
            recomputed = self._recompute(rows, bad, logits, failed)
        drawn = [i for i, row in enumerate(rows) if row.draw is not None and i not in failed]
        if drawn:
            draws = [how for i in drawn if (how := rows[i].draw) is not None]
            chosen = logits if len(drawn) == len(rows) else logits[drawn]
            for i, token in zip(drawn, draw_tokens(chosen, draws).tolist(), strict=True):
                tokens[i] = token
        return StepResult(tokens, frozenset(failed), recomputed)

    def _last(self, hidden: Tensor, rows: Sequence[StepRow]) -> Tensor:
        """The hidden state of each row's last id."""
        if hidden.shape[0] == len(rows):
            return hidden
        ends, end = [], -1
        for row in rows:
            end += row.end - row.begin
            ends.append(end)
        return hidden[ends]

    def _recompute(
        self, rows: Sequence[StepRow], bad: Sequence[int], logits: Tensor, failed: set[int]
    ) -> int:
        """Read these rows' whole contexts again in fp32: a number that overflowed may lie far back."""
        for i in bad:
            slot = rows[i].slot
            self._cache.clear(slot)
            if self._decoder.dtype != torch.float32:
                hidden = self._decoder.forward([rows[i].whole], self._cache, torch.float32)
                logits[i] = self._decoder.logits(hidden[-1:])[0]
            if not bool(logits[i].isfinite().all()):
                failed.add(i)
                self._cache.clear(slot)
        return len(bad) - len(failed)

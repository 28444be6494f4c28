"""One step of the torch LM, as it runs on the device thread: read ids, draw tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..transfer import to_device, to_host
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
        drawn = [i for i, row in enumerate(rows) if row.draw is not None]
        # Drawn before it is known whether the numbers are finite: the host waits only once.
        chosen, fine = self._drawn(logits, rows, drawn, finite)
        failed: set[int] = set()
        recomputed = 0
        if not fine.all():
            bad = np.flatnonzero(~fine).tolist()
            recomputed = self._recompute(rows, bad, logits, failed)
            again = [i for i in drawn if i in bad and i not in failed]
            chosen |= self._drawn(logits, rows, again, finite)[0]
        tokens = [None if i in failed else chosen.get(i) for i in range(len(rows))]
        return StepResult(tokens, frozenset(failed), recomputed)

    def _drawn(
        self, logits: Tensor, rows: Sequence[StepRow], drawn: Sequence[int], finite: Tensor
    ) -> tuple[dict[int, int], NDArray[np.bool_]]:
        """The tokens of the rows `drawn`, and `finite`; one read."""
        if not drawn:
            return {}, to_host(finite).astype(np.bool_)
        draws = [how for i in drawn if (how := rows[i].draw) is not None]
        chosen = logits if len(drawn) == len(rows) else self._rows_of(logits, drawn)
        found = to_host(torch.cat((draw_tokens(chosen, draws), finite.long())))
        tokens = dict(zip(drawn, found[: len(drawn)].tolist(), strict=True))
        return tokens, found[len(drawn) :].astype(np.bool_)

    def _rows_of(self, values: Tensor, rows: Sequence[int]) -> Tensor:
        (index,) = to_device([np.array(rows, dtype=np.int64)], values.device)
        return values.index_select(0, index)

    def _last(self, hidden: Tensor, rows: Sequence[StepRow]) -> Tensor:
        """The hidden state of each row's last id."""
        if hidden.shape[0] == len(rows):
            return hidden
        ends, end = [], -1
        for row in rows:
            end += row.end - row.begin
            ends.append(end)
        return self._rows_of(hidden, ends)

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
            if not to_host(logits[i].isfinite().all()):
                failed.add(i)
                self._cache.clear(slot)
        return len(bad) - len(failed)

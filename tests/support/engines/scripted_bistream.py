"""The golden vectors' scripted sampler as an order of ids: the fill token and the end at set places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cosyserve.benchmarks.parity.reference.lm import QuirkyBistream
from cosyserve.engine.cosyvoice.config import LmConfig
from cosyserve.engine.cosyvoice.lm.bistream import LmInput, LmLimits
from cosyserve.engine.cosyvoice.lm.interface import LmPrompt


class ScriptedBistream(QuirkyBistream):
    """A input in which a stop id is due becomes two: up to that place, and one that can draw nothing else.

    case: of goldens.meta("f_llm").
    """

    def __init__(self, config: LmConfig, case: dict[str, Any], max_context: int) -> None:
        prompt = LmPrompt(tuple(case["prompt_text"]), tuple(case["prompt_speech"]))
        super().__init__(config, prompt, LmLimits(0.0, float("inf"), max_context))
        self._case = case
        self._planned: LmInput | None = None
        self._due: int | None = None
        self._said: list[int] = []

    def next_input(self) -> LmInput | None:
        if self._planned is not None:
            return self._stop(self._planned, tuple(self._said[-1:]))
        lm_input = super().next_input()
        self._due = None if lm_input is None else self._place(lm_input)
        if lm_input is None or self._due is None:
            return lm_input
        self._planned, self._said = lm_input, []
        if self._due == 0:
            return self._stop(lm_input, lm_input.ids)
        return replace(lm_input, max_tokens=self._due, stop_ids=(), min_tokens=0)

    def ended(self, tokens: Sequence[int]) -> None:
        if self._planned is None:
            super().ended(tokens)
            return
        self._said += tokens
        if tokens[-1] in self._planned.stop_ids:
            self._planned = None
            super().ended(self._said)

    def _place(self, lm_input: LmInput) -> int | None:
        """The token of the input that the script says is a stop id."""
        begin = len(self.decoded)
        if lm_input.final:
            return max(0, int(self._case["eos_at_len_out_tokens"]) - begin)
        fills = (at - begin for at in self._case["fill_at_len_out_tokens"])
        return next((at for at in fills if 0 <= at < lm_input.max_tokens), None)

    def _stop(self, lm_input: LmInput, ids: tuple[int, ...]) -> LmInput:
        banned = tuple(i for i in range(self.ids.head_size) if i not in lm_input.stop_ids)
        return replace(lm_input, ids=ids, max_tokens=1, min_tokens=0, banned_ids=banned)

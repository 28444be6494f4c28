"""The sampling as a logits processor of vLLM's first model runner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from vllm.sampling_params import SamplingParams
from vllm.v1.sample.logits_processor import (
    BatchUpdate,
    LogitsProcessor,
    MoveDirectionality,
)

from ..sampling import draw_tokens, sound
from .drawing import KEY, InputDrawing, InputDraws, check_parameters


class SpeechSamplerV1(LogitsProcessor):
    """Draws a token for each row and leaves it as the only possible one."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        # Of each row of the batch its input's draws and its tokens, a list that vLLM appends to.
        self._rows: dict[int, tuple[InputDraws, Sequence[int]]] = {}

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Raises ValueError."""
        check_parameters(sampling_params)

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        if batch_update is None:
            return
        rows = self._rows
        for index in batch_update.removed:
            rows.pop(index, None)
        for index, parameters, _, tokens in batch_update.added:
            rows.pop(index, None)
            if KEY in (parameters.extra_args or {}):
                rows[index] = InputDraws(InputDrawing.read(parameters.extra_args)), tokens
        for source, target, way in batch_update.moved:
            moved, replaced = rows.pop(source, None), rows.pop(target, None)
            if moved is not None:
                rows[target] = moved
            if replaced is not None and way == MoveDirectionality.SWAP:
                rows[source] = replaced

    def apply(self, logits: Tensor) -> Tensor:
        if self._rows:
            rows = sorted(self._rows)
            draws = [self._rows[row][0].next(self._rows[row][1]) for row in rows]
            no_result = [self._rows[row][0].no_result for row in rows]
            at, otherwise = torch.tensor((rows, no_result), device=logits.device)
            chosen = logits[at]
            tokens = torch.where(sound(chosen), draw_tokens(chosen, draws), otherwise)
            logits[at] = float("-inf")
            logits[at, tokens] = 0.0
        return logits

"""The sampling as a logits processor of vLLM's second model runner, which keeps its books on the device.

The same law and the same random numbers as in the first; nothing here waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vllm.v1.worker.gpu.sample.logits_processor import (
    LogitsContext,
    LogitsProcessor,
    LogitsProcRequestState,
)

from .drawing import KEY, ChunkDrawing
from .guards import check_parameters

if TYPE_CHECKING:
    from torch import Tensor
    from vllm.sampling_params import SamplingParams

    from .slots import SlotDraws


class SpeechSampler(LogitsProcessor):
    """Draws a token for each row and leaves it as the only possible one."""

    def __init__(self, vllm_config: Any, req_states: LogitsProcRequestState) -> None:
        # vLLM loads this class where no model runs, too, and asks that to be cheap.
        from .slots import SlotDraws

        self._states = req_states
        self._draws: SlotDraws = SlotDraws(
            req_states.max_num_reqs, vllm_config.model_config.max_model_len, req_states.device
        )

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Raises ValueError."""
        check_parameters(sampling_params)

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        ours = KEY in (sampling_params.extra_args or {})
        drawing = ChunkDrawing.read(sampling_params.extra_args) if ours else None
        self._draws.set(req_idx, drawing, int(self._states.prompt_len.np[req_idx]))
        return ours

    def apply_staged_writes(self) -> None:
        self._draws.flush()

    def apply(self, logits: Tensor, ctx: LogitsContext) -> Tensor:
        slots: Sequence[int] = ctx.idx_mapping_np.tolist()
        if any(self._draws.used(slot) for slot in slots):
            self._draws.apply(
                logits, ctx.expanded_idx_mapping, ctx.pos + 1, self._states.all_token_ids.gpu
            )
        return logits

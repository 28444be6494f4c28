"""The sampling as a logits processor of vLLM's second model runner, which keeps its state on the device.

The draws of all inputs are tables on the device, one row per slot; nothing here waits for the device. The
distribution and the random numbers are those of the first runner's processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from vllm.v1.worker.gpu.sample.logits_processor import (
    LogitsContext,
    LogitsProcessor,
    LogitsProcRequestState,
)

from ..sampling import NO_TOKEN, RasParams, draw, ras_distribution, sound
from .drawing import KEY, LONGEST_WINDOW, InputDrawing, check_parameters

if TYPE_CHECKING:
    from torch import Tensor
    from vllm.sampling_params import SamplingParams


_MOST_BANNED: Final = 256
"""The special ids of a family; CosyVoice 3 has 200."""
_ALWAYS: Final = 1 << 30
_PARAMS: Final = 4


class SlotDraws:
    """InputDraws for a batch whose tokens are known on the device only."""

    def __init__(self, slots: int, longest: int, device: torch.device) -> None:
        """longest: tokens of an input."""
        self._device = device
        self._used = [False] * slots
        self._staged: dict[int, tuple[InputDrawing | None, int]] = {}

        def table(width: int, dtype: torch.dtype) -> Tensor:
            return torch.zeros(slots, width, dtype=dtype, device=device)

        # ours, greedy, prompt length, tokens, the id that stands for no result
        self._facts = table(5, torch.int64)
        self._params = table(_PARAMS, torch.float64)
        self._params += 1.0  # a params for slots that never had one
        self._banned = table(_MOST_BANNED, torch.int64)
        # A banned id is banned before this token of the input.
        self._until = table(_MOST_BANNED, torch.int64)
        self._history = table(LONGEST_WINDOW, torch.int64)
        self._uniforms = table(longest, torch.float64)

    def used(self, slot: int) -> bool:
        return self._used[slot]

    def set(self, slot: int, drawing: InputDrawing | None, prompt: int) -> None:
        """The slot's new occupant; None: it is not ours. prompt: ids before the input's first token.

        Raises ValueError for more bans than there is room for.
        """
        if drawing is not None and len(drawing.banned) + len(drawing.held) > _MOST_BANNED:
            raise ValueError(f"more than {_MOST_BANNED} ids are banned")
        self._used[slot] = drawing is not None
        self._staged[slot] = drawing, prompt

    def flush(self) -> None:
        """Bring what was set to the device."""
        staged, self._staged = self._staged, {}
        for slot, (drawing, prompt) in staged.items():
            if drawing is None:
                self._facts[slot] = 0
                continue
            bans = [(i, _ALWAYS) for i in drawing.banned]
            bans += [(i, drawing.min_tokens) for i in drawing.held]
            bans += [(0, 0)] * (_MOST_BANNED - len(bans))
            history = [NO_TOKEN] * (LONGEST_WINDOW - len(drawing.history)) + [*drawing.history]
            params = [drawing.top_p, drawing.top_k, drawing.win, drawing.tau]
            self._put(
                self._facts,
                slot,
                [1, drawing.greedy, prompt, drawing.max_tokens, drawing.no_result],
            )
            self._put(self._params, slot, params)
            self._put(self._banned, slot, [i for i, _ in bans])
            self._put(self._until, slot, [until for _, until in bans])
            self._put(self._history, slot, history)
            self._put(self._uniforms, slot, drawing.uniforms())

    def apply(self, logits: Tensor, slots: Tensor, lengths: Tensor, tokens: Tensor) -> None:
        """In place: every id of a row of ours becomes -inf but the drawn one, which becomes 0.

        Results of the other rows are thrown away.

        logits: [rows, ids]; slots: [rows]; lengths: [rows] ids that the row's draw follows; tokens:
        [slots, positions] all ids so far.
        """
        slots = slots.long()
        ours, greedy, prompt, most, no_result = self._facts[slots].unbind(1)
        done = lengths.long() - prompt
        held = self._until[slots] > done.unsqueeze(1)
        banned = torch.zeros_like(logits, dtype=torch.int32)
        banned.scatter_add_(1, self._banned[slots], held.int())
        allowed = logits.masked_fill(banned > 0, float("-inf"))

        at = done.clamp(min=0).minimum(most - 1).clamp(min=0)
        uniform = self._uniforms[slots].gather(1, at.unsqueeze(1)).squeeze(1)
        params = RasParams(*(column.unsqueeze(1) for column in self._params[slots].unbind(1)))
        history = self._recent(slots, prompt, lengths.long(), tokens)
        drawn = draw(ras_distribution(allowed, history, params), uniform)
        drawn = torch.where(greedy > 0, allowed.argmax(-1), drawn)
        drawn = torch.where(sound(allowed), drawn, no_result)
        only = torch.full_like(logits, float("-inf")).scatter_(1, drawn.unsqueeze(1), 0.0)
        logits.copy_(torch.where(ours.unsqueeze(1) > 0, only, logits))

    def _recent(self, slots: Tensor, prompt: Tensor, lengths: Tensor, tokens: Tensor) -> Tensor:
        """The last decoded ids of each row: the input's own, and before them the stream's."""
        back = torch.arange(LONGEST_WINDOW, 0, -1, device=self._device)
        place = lengths.unsqueeze(1) - back  # in the whole sequence
        before = place - prompt.unsqueeze(1)  # negative: in the history
        own = tokens[slots.unsqueeze(1), place.clamp(min=0)].long()
        earlier = self._history[slots].gather(
            1, (LONGEST_WINDOW + before).clamp(0, LONGEST_WINDOW - 1)
        )
        return torch.where(before >= 0, own, earlier)

    def _put(self, table: Tensor, slot: int, row: list[int] | list[float]) -> None:
        row = row[: table.shape[1]]  # vLLM draws no token beyond its longest context
        table[slot, : len(row)] = torch.tensor(row, dtype=table.dtype)


class SpeechSamplerV2(LogitsProcessor):
    """Draws a token for each row and leaves it as the only possible one."""

    def __init__(self, vllm_config: Any, req_states: LogitsProcRequestState) -> None:
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
        drawing = InputDrawing.read(sampling_params.extra_args) if ours else None
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

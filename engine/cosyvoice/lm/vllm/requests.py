"""A chunk as vLLM wants it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .drawing import ChunkDrawing

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.engine.protocol import StreamingInput


def sampling_parameters(drawing: ChunkDrawing) -> SamplingParams:
    """The most probable id always: the logits processor leaves one. See drawing.py."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=0.0,
        max_tokens=drawing.max_tokens,
        stop_token_ids=list(drawing.held),
        ignore_eos=True,
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
        extra_args=drawing.written(),
    )


def streaming_input(ids: Sequence[int], drawing: ChunkDrawing) -> StreamingInput:
    """ids: to append to what the request has read."""
    from vllm import TokensPrompt
    from vllm.engine.protocol import StreamingInput

    prompt = TokensPrompt(prompt_token_ids=list(ids))
    return StreamingInput(prompt=prompt, sampling_params=sampling_parameters(drawing))

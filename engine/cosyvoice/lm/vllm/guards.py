"""What would end vLLM's engine, and with it all streams, is refused before it gets there.

vLLM checks neither ids that are out of range (without a tokenizer) nor that a session stays within
max_model_len as it grows; penalties and prompt log-probabilities index by the head's size what is
numbered by the embedding's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..bistream import Chunk
from ..errors import LmTooLong
from ..ids import IdSpace
from .drawing import KEY, ChunkDrawing


def check_chunk(chunk: Chunk, ids: IdSpace, context: int, max_model_len: int) -> None:
    """Before a chunk is handed over to a request of which `context` ids are read already.

    Raises ValueError for ids out of range, LmTooLong.
    """
    for number in chunk.ids:
        if not 0 <= number < ids.size:
            raise ValueError(f"id {number} is not in 0..{ids.size - 1}")
    for number in (*chunk.stop_ids, *chunk.banned_ids):
        if not 0 <= number < ids.head_size:
            raise ValueError(f"id {number} is not in 0..{ids.head_size - 1}")
    if not chunk.ids or chunk.max_tokens < 1:
        raise ValueError("a chunk reads an id and draws a token at least")
    if context + len(chunk.ids) + chunk.max_tokens > max_model_len:
        raise LmTooLong("the reference and the text are too long for the speech model")


def check_parameters(parameters: Any) -> None:
    """Of a request, as vLLM takes it in. Raises ValueError for what neither our streams nor a trial of
    the engine ask for."""
    wrong = [name for name, value in _NEUTRAL.items() if getattr(parameters, name) != value]
    if wrong:
        raise ValueError(f"the speech model takes no {', '.join(wrong)}")
    if KEY not in (parameters.extra_args or {}):
        return
    drawing = ChunkDrawing.read(parameters.extra_args)
    if parameters.max_tokens != drawing.max_tokens:
        raise ValueError("there has to be a random number for each token")
    if tuple(parameters.stop_token_ids or ()) != drawing.held:
        raise ValueError("the ids that are held back have to be those that stop")


_NEUTRAL: Final[Mapping[str, object]] = {
    "n": 1,
    "temperature": 0.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "repetition_penalty": 1.0,
    "logprobs": None,
    "prompt_logprobs": None,
    "logit_bias": None,
    "allowed_token_ids": None,
}

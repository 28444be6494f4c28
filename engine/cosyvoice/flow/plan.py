"""Which passes a step makes: pieces of whole chunks, batched over the sessions that have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ..config import FlowConfig
from .state import FlowState

MAX_CHUNKS: Final = 4
"""Chunks in one pass: more are more efficient, up to a point, and hold more memory at once."""


@dataclass(frozen=True, slots=True)
class Pass:
    """The next `tokens` tokens of some states. keep: the states move on; else they stay untouched."""

    states: tuple[int, ...]
    tokens: int
    keep: bool


def plan_step(
    states: Sequence[FlowState], final: Sequence[bool], early: Sequence[bool], config: FlowConfig
) -> Iterator[Pass]:
    """Passes in order. Each must be done before the next is asked for: the states have moved then."""
    chunk = config.encoder.chunk_tokens
    kept = [i for i, state in enumerate(states) if not state.policy.recompute]
    while ready := {i: n for i in kept if (n := _ready(states[i], final[i], config) // chunk)}:
        most = min(_most_chunks(states[i]) for i in ready)
        yield Pass(tuple(ready), min(most, *ready.values()) * chunk, keep=True)
    rest: dict[int, list[int]] = {}
    for i, state in enumerate(states):
        tokens = _ready(state, final[i], config)
        if not (final[i] or early[i]):
            tokens -= tokens % chunk
        if tokens:
            rest.setdefault(tokens, []).append(i)
    for tokens, sessions in rest.items():
        yield Pass(tuple(sessions), tokens, keep=False)


def _ready(state: FlowState, final: bool, config: FlowConfig) -> int:
    """Tokens whose look-ahead is there, or known to be beyond the end."""
    return max(0, state.available - (0 if final else config.look_ahead))


def _most_chunks(state: FlowState) -> int:
    # A window is relative to the chunk, so that the result does not depend on the steps' lengths.
    return MAX_CHUNKS if state.policy.window is None else 1

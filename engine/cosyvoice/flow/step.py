"""A step of the flow: which passes it makes, and one pass of the networks.

A pass takes whole chunks of tokens, batched over the utterances that have them; what is left of an
utterance at its end, or given out early, is a pass of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import FRAMES_PER_TOKEN, FlowSizes
from ..transfer import to_device
from .encoder import Encoder, EncoderSteps
from .estimator import Estimator
from .graphs import GraphCache
from .solver import Condition, Solver
from .state import FlowState, FlowTails
from .stores import OpenPass

MAX_CHUNKS: Final = 4
"""Chunks in one pass: more are more efficient, up to a point, and hold more memory at once."""


@dataclass(frozen=True, slots=True)
class Pass:
    """The next `tokens` tokens of some states. keep: the states move on; else they stay untouched."""

    states: tuple[int, ...]
    tokens: int
    keep: bool


def plan_step(
    states: Sequence[FlowState], final: Sequence[bool], early: Sequence[bool], config: FlowSizes
) -> Iterator[Pass]:
    """Passes in order. Each must be done before the next is asked for: the states have moved then."""
    chunk = config.chunk_tokens
    kept = [i for i, state in enumerate(states) if not state.policy.recompute]
    while ready := {i: n for i in kept if (n := _ready(states[i], final[i], config) // chunk)}:
        most = min(_most_chunks(states[i]) for i in ready)
        yield Pass(tuple(ready), min(most, *ready.values()) * chunk, keep=True)
    remainders: dict[int, list[int]] = {}
    for i, state in enumerate(states):
        tokens = _ready(state, final[i], config)
        if not (final[i] or early[i]):
            tokens -= tokens % chunk
        if tokens:
            remainders.setdefault(tokens, []).append(i)
    for tokens, sessions in remainders.items():
        yield Pass(tuple(sessions), tokens, keep=False)


def _ready(state: FlowState, final: bool, config: FlowSizes) -> int:
    """Tokens whose look-ahead is there, or known to be beyond the end."""
    return max(0, state.available - (0 if final else config.look_ahead))


def _most_chunks(state: FlowState) -> int:
    # A window is relative to the chunk, so that the result does not depend on the steps' lengths.
    return MAX_CHUNKS if state.policy.window is None else 1


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks of a pass, in one precision. embedding: always in float32."""

    embedding: nn.Embedding
    encoder: Encoder
    projection: nn.Linear
    estimator: Estimator

    @property
    def dtype(self) -> torch.dtype:
        return self.projection.weight.dtype

    def to(self, dtype: torch.dtype) -> Networks:
        """A copy in another precision, but for the embedding of times: the steps' lengths are small."""
        estimator = copy.deepcopy(self.estimator).to(dtype)
        estimator.time_mlp = copy.deepcopy(self.estimator.time_mlp)
        return Networks(
            self.embedding,
            copy.deepcopy(self.encoder).to(dtype),
            copy.deepcopy(self.projection).to(dtype),
            estimator,
        )


def run_pass(
    networks: Networks,
    solver: Solver,
    noise: Tensor,
    states: Sequence[FlowState],
    tokens: int,
    opened: OpenPass,
    graphs: GraphCache | None = None,
) -> tuple[Tensor, FlowTails]:
    """The next `tokens` tokens of each state -> mel [S, mel, 2 tokens] (float32) and the tails.

    Fills the pages that the pass was opened with; changes nothing else. noise [1, mel, at least the last
    frame of any state].
    """
    dtype, frames = networks.dtype, FRAMES_PER_TOKEN * tokens
    ids, after = inputs_of(states, tokens + networks.encoder.look_ahead, noise.device)
    embedded = networks.embedding(ids).to(dtype)
    steps = EncoderSteps(opened.low, opened.high)
    h, encoder_tails = networks.encoder.advance(embedded, after, opened.tails.encoder, steps)
    mel, estimator_tails = solver.solve(
        networks.estimator,
        columns_of(noise, states, frames),
        condition_of(states, networks.projection(h).transpose(1, 2)),
        tails=opened.tails.estimator,
        step=opened.estimator,
        graphs=graphs,
    )
    return mel, FlowTails(encoder_tails, estimator_tails)


def inputs_of(
    states: Sequence[FlowState], width: int, device: torch.device
) -> tuple[Tensor, Tensor | int]:
    """Token ids [S, width], look-ahead included, and how many of them are beyond each input's end, [S] or
    0 for none."""
    ids = np.zeros((len(states), width), dtype=np.int64)
    after = np.zeros(len(states), dtype=np.int64)
    for row, state in enumerate(states):
        known = state.tokens[:width]
        ids[row, : len(known)] = known
        after[row] = width - len(known)
    placed, ends = to_device([ids, after], device)
    return placed, ends if after.any() else 0


def columns_of(noise: Tensor, states: Sequence[FlowState], frames: int) -> Tensor:
    begins = [FRAMES_PER_TOKEN * state.memory.position for state in states]
    return torch.stack([noise[0, :, begin : begin + frames] for begin in begins])


def condition_of(states: Sequence[FlowState], mu: Tensor) -> Condition:
    speaker = torch.stack([state.prompt.speaker for state in states]).to(mu.dtype)
    return Condition(mu, speaker, _prompts(states, mu.shape[2]))


def _prompts(states: Sequence[FlowState], frames: int) -> Tensor | None:
    """The prompts' part of these frames, [S, mel, n], zeros after it; None where all are beyond it."""
    begins = [FRAMES_PER_TOKEN * state.memory.position for state in states]
    given = [max(0, s.prompt.frames - at) for s, at in zip(states, begins, strict=True)]
    width = min(frames, max(given))
    if not width:
        return None
    rows = []
    for state, begin, own in zip(states, begins, given, strict=True):
        mel = state.prompt.mel
        # Where nothing is given, the zeros at the end serve.
        at = begin if own else max(state.prompt.frames, mel.shape[1] - width)
        row = mel[:, at : at + width]
        rows.append(row if row.shape[1] == width else F.pad(row, (0, width - row.shape[1])))
    return torch.stack(rows)

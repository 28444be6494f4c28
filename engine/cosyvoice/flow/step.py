"""A step of the flow: which passes it makes, and one pass of the networks.

A pass takes whole chunks of tokens, batched over the utterances that have them; what is left of an
utterance at its end, or given out early, is a pass of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import FRAMES_PER_TOKEN, FlowSizes
from .cache import Workspace
from .encoder import Encoder, EncoderSteps, EncoderTails
from .estimator import Estimator
from .graphs import GraphCache
from .solver import GUIDED_ROWS, Condition, Solver
from .state import FlowState, FlowTails, Pages

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
        """A copy in another precision."""
        return Networks(
            self.embedding,
            copy.deepcopy(self.encoder).to(dtype),
            copy.deepcopy(self.projection).to(dtype),
            copy.deepcopy(self.estimator).to(dtype),
        )


def run_pass(
    networks: Networks,
    solver: Solver,
    noise: Tensor,
    states: Sequence[FlowState],
    tokens: int,
    pages: Sequence[Pages | None],
    graphs: GraphCache | None = None,
) -> tuple[Tensor, list[FlowTails]]:
    """The next `tokens` tokens of each state -> mel [S, mel, 2 tokens] (float32) and each one's tails.

    Fills the pages; changes nothing else. noise [1, mel, at least the last frame of any state].
    """
    dtype = networks.dtype
    workspace = Workspace()
    chunk = networks.encoder.config.chunk_tokens
    opened = [
        state.memory.open(page, workspace, chunk) for state, page in zip(states, pages, strict=True)
    ]
    low, high, caches = zip(*opened, strict=True)
    tails = [state.memory.tails for state in states]
    before = EncoderTails(
        torch.cat([tail.encoder.look_ahead for tail in tails]).to(dtype),
        torch.cat([tail.encoder.upsample for tail in tails]).to(dtype),
    )
    ids, after = inputs_of(states, tokens + networks.encoder.look_ahead)
    embedded = networks.embedding(ids.to(noise.device)).to(dtype)
    h, encoder_tails = networks.encoder.advance(embedded, after, before, EncoderSteps(low, high))
    mel, estimator_tails = solver.solve(
        networks.estimator,
        columns_of(noise, states, FRAMES_PER_TOKEN * tokens),
        condition_of(states, networks.projection(h).transpose(1, 2)),
        tails=torch.cat([tail.estimator for tail in tails], dim=1).to(dtype),
        caches=caches,
        graphs=graphs,
    )
    return mel, split_tails(FlowTails(encoder_tails, estimator_tails), len(states))


def inputs_of(states: Sequence[FlowState], width: int) -> tuple[Tensor, list[int]]:
    """Token ids [S, width], look-ahead included, and how many of them are beyond each input's end."""
    known = [state.tokens[:width] for state in states]
    after = [width - int(ids.shape[0]) for ids in known]
    rows = [F.pad(ids, (0, count)) for ids, count in zip(known, after, strict=True)]
    return torch.stack(rows), after


def columns_of(noise: Tensor, states: Sequence[FlowState], frames: int) -> Tensor:
    begins = [FRAMES_PER_TOKEN * state.memory.position for state in states]
    return torch.stack([noise[0, :, begin : begin + frames] for begin in begins])


def condition_of(states: Sequence[FlowState], mu: Tensor) -> Condition:
    prompt = torch.zeros_like(mu)
    for row, state in enumerate(states):
        begin = FRAMES_PER_TOKEN * state.memory.position
        given = state.prompt.mel[:, begin : begin + mu.shape[2]]
        prompt[row, :, : given.shape[1]] = given
    speaker = torch.stack([state.prompt.speaker for state in states]).to(mu.dtype)
    return Condition(mu, speaker, prompt)


def split_tails(tails: FlowTails, sessions: int) -> list[FlowTails]:
    """The tails of each session, as tensors of its own (a view would keep the batch's memory)."""
    parts = []
    for row in range(sessions):
        one, guided = slice(row, row + 1), slice(GUIDED_ROWS * row, GUIDED_ROWS * (row + 1))
        encoder = tails.encoder
        encoder = EncoderTails(encoder.look_ahead[one].clone(), encoder.upsample[one].clone())
        parts.append(FlowTails(encoder, tails.estimator[:, guided].clone()))
    return parts

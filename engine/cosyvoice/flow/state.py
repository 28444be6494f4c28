"""The state of a voice's prompt and of an utterance between steps, and the policy for its length.

Plain values: the model holds nothing of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..config import FRAMES_PER_TOKEN, TOKEN_RATE
from .cache import AttentionCache, CachePage, CacheShape, bytes_of
from .encoder import EncoderTails

Ids = NDArray[np.int64]
"""Speech tokens, on the host."""
_FRAMES_PER_SECOND: Final = FRAMES_PER_TOKEN * TOKEN_RATE


@dataclass(frozen=True, slots=True)
class ContextPolicy:
    """How much of the session's own frames the estimator sees; the voice's prompt is always seen whole.

    window: the number of mel frames before the current chunk; None: all, which is exact. A window is an
    approximation that bounds memory and the cost of a step. The encoder's caches, under 1% of the
    estimator's, are never cut.
    recompute: keep the tokens only and compute from the prompt's end at every step: exact, no cache of
    its own, and a cost that grows with the position. Such a session is not batched with others.
    room: mel frames that memory is taken for at once by a session that keeps all; 0: what each step needs.
    What lies together is read faster.
    """

    window: int | None = None
    recompute: bool = False
    room: int = 0

    def __post_init__(self) -> None:
        if (self.window is not None and self.window < 0) or self.room < 0:
            raise ValueError("window and room must not be negative")
        if self.recompute and self.window is not None:
            raise ValueError("a session that recomputes has no window")
        if self.room and not self.keeps_all:
            raise ValueError("only a session that keeps all of its past takes room for it")

    @property
    def keeps_all(self) -> bool:
        return self.window is None and not self.recompute

    @classmethod
    def seconds(cls, seconds: float) -> ContextPolicy:
        """A window of this many seconds."""
        return cls(window=round(seconds * _FRAMES_PER_SECOND))


EXACT: Final = ContextPolicy()
RECOMPUTE: Final = ContextPolicy(recompute=True)


@dataclass(frozen=True, slots=True)
class FlowShapes:
    """Cache shapes of one model: encoder before and after the doubling, estimator over all Euler steps."""

    low: CacheShape
    high: CacheShape
    estimator: CacheShape

    def bytes_per_token(self, dtype: torch.dtype) -> int:
        """Cache bytes that one more speech token (two mel frames) costs."""
        per_frame = self.high.elements + self.estimator.elements
        return dtype.itemsize * (self.low.elements + FRAMES_PER_TOKEN * per_frame)


@dataclass(frozen=True, slots=True)
class FlowTails:
    """The last inputs of every causal convolution. estimator [steps, 2, frames, all their channels]."""

    encoder: EncoderTails
    estimator: Tensor

    @property
    def nbytes(self) -> int:
        return bytes_of((self.encoder.look_ahead, self.encoder.upsample, self.estimator))


class Tails(Protocol):
    """FlowTails of one utterance, or where they lie."""

    @property
    def nbytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Pages:
    """The caches' new pages of one pass."""

    low: Sequence[CachePage]
    high: Sequence[CachePage]
    estimator: Sequence[CachePage]

    @property
    def of_caches(self) -> tuple[Sequence[CachePage], ...]:
        """In the order of FlowMemory.caches."""
        return self.low, self.high, self.estimator


@dataclass(slots=True)
class FlowMemory:
    """All that the passes over the tokens so far left behind; the last one ended at a chunk's border."""

    low: AttentionCache
    high: AttentionCache
    estimator: AttentionCache
    tails: Tails
    position: int = 0
    """Tokens that passes have gone over, the prompt's included."""

    @property
    def caches(self) -> tuple[AttentionCache, AttentionCache, AttentionCache]:
        return self.low, self.high, self.estimator

    @property
    def nbytes(self) -> int:
        return sum(cache.nbytes for cache in self.caches) + self.tails.nbytes

    def copy(self, policy: ContextPolicy) -> FlowMemory:
        """The same memories, to go on with by this policy."""
        return replace(
            self,
            low=self.low.copy(window=None, room=policy.room // FRAMES_PER_TOKEN),
            high=self.high.copy(window=None, room=policy.room),
            estimator=self.estimator.copy(window=policy.window, room=policy.room),
        )

    def new_pages(self, tokens: int) -> Pages:
        frames = FRAMES_PER_TOKEN * tokens
        return Pages(self.low.claim(tokens), self.high.claim(frames), self.estimator.claim(frames))

    def commit(self, pages: Pages, tails: Tails, tokens: int) -> None:
        for cache, new in zip(self.caches, pages.of_caches, strict=True):
            cache.append(new)
        self.tails = tails
        self.position += tokens


@dataclass(frozen=True, slots=True)
class FlowPrompt:
    """A voice, ready to speak: computed once, shared by its sessions, never changed.

    speaker [mel_size]; mel [mel_size, n]: `frames` frames, then zeros; remainder: the prompt's tokens after
    the last whole chunk.
    """

    memory: FlowMemory
    speaker: Tensor
    mel: Tensor
    frames: int
    remainder: Ids

    @property
    def nbytes(self) -> int:
        keys = [part for cache in self.memory.caches for part in cache.prompt]
        tensors = bytes_of((self.speaker, self.mel)) + self.remainder.nbytes
        return bytes_of(keys) + self.memory.tails.nbytes + tensors


@dataclass(slots=True)
class FlowState:
    """One utterance in progress.

    tokens: those that no pass has gone over yet. emitted: mel frames given out, the prompt's counted as
    given.
    """

    prompt: FlowPrompt
    policy: ContextPolicy
    memory: FlowMemory
    tokens: Ids
    emitted: int
    finished: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes held for this utterance alone, the prompt's not counted."""
        own = 0 if self.memory.tails is self.prompt.memory.tails else self.memory.tails.nbytes
        return sum(cache.nbytes for cache in self.memory.caches) + own + self.tokens.nbytes

    @property
    def available(self) -> int:
        """Tokens from the memory's position on."""
        return len(self.tokens)

    def copy(self) -> FlowState:
        """An independent state at the same place; it shares what never changes."""
        return replace(self, memory=self.memory.copy(self.policy))

    def back_to(self, earlier: FlowState) -> None:
        """To a copy that was made of it."""
        self.memory = earlier.memory.copy(self.policy)
        self.tokens, self.emitted = earlier.tokens, earlier.emitted
        self.finished = earlier.finished

    def release(self) -> None:
        """Gives the utterance's own memory back; the state is finished."""
        self.memory = self.prompt.memory.copy(self.policy)
        self.tokens = self.tokens[:0].copy()
        self.finished = True


def total_nbytes(states: Iterable[FlowState]) -> int:
    """Bytes of the states and of their prompts together; what is shared counts once."""
    tensors: list[Tensor] = []
    others: dict[int, int] = {}
    for state in states:
        prompt = state.prompt
        tensors += (prompt.speaker, prompt.mel)
        for kept in (prompt.remainder, state.tokens, prompt.memory.tails, state.memory.tails):
            others[id(kept)] = kept.nbytes
        for memory in (prompt.memory, state.memory):
            for cache in memory.caches:
                tensors += (*cache.prompt, *cache.memories)
    return bytes_of(tensors) + sum(others.values())

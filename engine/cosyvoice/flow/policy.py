"""How much of its own past a session keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..config import FRAMES_PER_TOKEN, TOKEN_RATE

_FRAMES_PER_SECOND: Final = FRAMES_PER_TOKEN * TOKEN_RATE


@dataclass(frozen=True, slots=True)
class ContextPolicy:
    """What the estimator sees of the session's own frames; the voice's prompt is always seen whole.

    window: the last so many mel frames before the chunk in hand; None: all, which is exact. A window is an
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
        """A window of so many seconds."""
        return cls(window=round(seconds * _FRAMES_PER_SECOND))


EXACT: Final = ContextPolicy()
RECOMPUTE: Final = ContextPolicy(recompute=True)

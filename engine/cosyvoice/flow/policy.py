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
    """

    window: int | None = None
    recompute: bool = False

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 0:
            raise ValueError("window must not be negative")
        if self.recompute and self.window is not None:
            raise ValueError("a session that recomputes has no window")

    @classmethod
    def seconds(cls, seconds: float) -> ContextPolicy:
        """A window of so many seconds."""
        return cls(window=round(seconds * _FRAMES_PER_SECOND))


EXACT: Final = ContextPolicy()
RECOMPUTE: Final = ContextPolicy(recompute=True)

"""Rows of silent speech tokens, which are shortened before they become sound.

CosyVoice 3 draws silence for long at times. The LM keeps all of it in its context; the flow gets the
beginning of each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SilentTokens:
    """Speech tokens that are silence: of a row of them, mixed or not, the first `most` are spoken."""

    tokens: frozenset[int]
    most: int


class SilenceFilter:
    """One utterance's tokens without the rest of long rows; how they are cut into pieces changes nothing."""

    def __init__(self, silence: SilentTokens | None) -> None:
        """silence: None lets everything through."""
        self._silence = silence
        self._row = 0

    def feed(self, tokens: Sequence[int]) -> Sequence[int]:
        """Those of the next tokens that are spoken."""
        silence = self._silence
        if silence is None:
            return tokens
        spoken = []
        for token in tokens:
            self._row = self._row + 1 if token in silence.tokens else 0
            if self._row <= silence.most:
                spoken.append(token)
        return spoken

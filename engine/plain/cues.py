"""Cues: what a text may hold that is to be voiced and not read."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from ..segmentation.lookahead import NeedMoreText
from .rewriting import Rewriter

CUES: Final = (
    *("[breath]", "<strong>", "</strong>", "[noise]", "[laughter]", "[cough]", "[clucking]"),
    *("[accent]", "[quick_breath]", "<laughter>", "</laughter>", "[hissing]", "[sigh]"),
    *("[vocalized-noise]", "[lipsmack]", "[mn]"),
)
"""Those that CosyVoice 2 knows, in the order of their numbers."""
_STARTS: Final = frozenset(cue[0] for cue in CUES)
_LONGEST: Final = max(map(len, CUES))
_TO_NEXT: Final = re.compile(r".[^\[<]*", re.DOTALL)


def cue_length(text: str, at: int, final: bool, cues: Collection[str] = CUES) -> int:
    """Characters of the cue at `at`, 0 if none is there. Raises NeedMoreText."""
    if not cues or text[at] not in _STARTS:
        return 0
    rest = text[at : at + _LONGEST]
    for cue in cues:
        if rest.startswith(cue):
            return len(cue)
    if not final and any(cue.startswith(rest) for cue in cues):
        raise NeedMoreText
    return 0


class CueFilter(Rewriter):
    """Takes cues out, for a voice that has none."""

    def step(self) -> None:
        length = cue_length(self.text, self.at, self.final)
        if length:
            apart = self.text[self.at] == "[" and self.last.isalnum()
            self.put(length, " " if apart else "")
            return
        found = _TO_NEXT.match(self.text, self.at)
        assert found is not None
        self.copy(found.end() - self.at)

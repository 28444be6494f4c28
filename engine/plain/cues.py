"""Cues: tokens in a text that are voiced, not read, such as `[breath]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Final

from ..segmentation.lookahead import NeedMoreText
from .rewriting import Rewriter

CUES: Final = (
    *("[breath]", "<strong>", "</strong>", "[noise]", "[laughter]", "[cough]", "[clucking]"),
    *("[accent]", "[quick_breath]", "<laughter>", "</laughter>", "[hissing]", "[sigh]"),
    *("[vocalized-noise]", "[lipsmack]", "[mn]"),
)
"""The cues of CosyVoice 2, in the order of their token numbers."""
FindSounds = Callable[[str, int, bool], int]
"""(text, place, final) -> the length of the sounds in brackets there, 0 for none. Raises NeedMoreText."""
_STARTS: Final = frozenset(cue[0] for cue in CUES)
_LONGEST: Final = max(map(len, CUES))
_TO_NEXT: Final = re.compile(r".[^\[<]*", re.DOTALL)


def cue_length(text: str, at: int, final: bool, cues: Collection[str] = CUES) -> int:
    """The length of the cue at `at`, 0 if there is none. Raises NeedMoreText."""
    if not cues or text[at] not in _STARTS:
        return 0
    start = text[at : at + _LONGEST]
    for cue in cues:
        if start.startswith(cue):
            return len(cue)
    if not final and any(cue.startswith(start) for cue in cues):
        raise NeedMoreText
    return 0


class CueFilter(Rewriter):
    """Removes cues, for a voice without them."""

    def step(self) -> None:
        length = cue_length(self.text, self.at, self.final)
        if length:
            apart = self.text[self.at] == "[" and self.last.isalnum()
            self.put(length, " " if apart else "")
            return
        found = _TO_NEXT.match(self.text, self.at)
        assert found is not None
        self.copy(found.end() - self.at)

"""The stages of plain text, one after the other."""

from __future__ import annotations

from typing import Self

from .characters import Characters
from .cues import CUES, CueFilter, FindSounds
from .markup import Markup
from .rewriting import Rewriter


class PlainText:
    """Rewrites one task's text, as it arrives, to text as it is read aloud.

    The output depends only on the text and on where it was flushed, never on the deltas in which the
    text arrives. What may still become a mark is held back, for at most LOOK_AHEAD (links.py)
    characters of words; the cost is linear in the text. A line begins after a flush.

    markup: whether marks of Markdown and HTML are removed.
    cues: whether the voice has cues (`[breath]`, `<strong>`); without, they are removed.
    sounds: finds words that are spelled by sounds in brackets, which stay as they are.
    """

    def __init__(
        self, *, markup: bool = True, cues: bool = False, sounds: FindSounds | None = None
    ) -> None:
        self._stages: list[Rewriter] = []
        if not cues:
            self._stages.append(CueFilter())
        if markup:
            self._stages.append(Markup(cues=CUES if cues else (), sounds=sounds))
        self._stages.append(Characters())

    @classmethod
    def verbatim(cls) -> Self:
        """One that changes nothing, for phonetic transcriptions."""
        plain = cls()
        plain._stages = []
        return plain

    @property
    def pending(self) -> int:
        """The number of characters held back."""
        return sum(stage.pending for stage in self._stages)

    @property
    def decisions(self) -> int:
        """The number of steps that the stages took or put off: the work done."""
        return sum(stage.decisions for stage in self._stages)

    def feed(self, text: str) -> str:
        """Take the next delta of the text; return the output that it decides."""
        for stage in self._stages:
            text = stage.feed(text)
        return text

    def flush(self) -> str:
        """Decide everything pending and return it. More text may follow."""
        text = ""
        for stage in self._stages:
            text = stage.feed(text) + stage.flush()
        return text

    def source(self, begin: int, end: int) -> tuple[int, int]:
        """The stretch of the task's text that plain[begin:end] stands for.

        An empty stretch lies right after what the character before it stands for. Raises ValueError
        beyond the output so far.
        """
        for stage in reversed(self._stages):
            if begin == end > 0:
                begin = end = stage.origins.source(end - 1, end)[1]
            else:
                begin, end = stage.origins.source(begin, end)
        return begin, end

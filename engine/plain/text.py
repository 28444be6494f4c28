"""One task's text on its way to being read aloud."""

from __future__ import annotations

from typing import Self

from .characters import Characters
from .cues import CUES, CueFilter
from .markup import Markup
from .rewriting import Rewriter


class PlainText:
    """Takes text as it comes and gives it out as it is read aloud.

    What comes out depends on the text and on where it was flushed alone, never on how it is cut into
    pieces. A mark that may still become one is held back, for LOOK_AHEAD (links.py) characters of
    words at most; the cost is linear in the text. After a flush a line begins.

    markup: whether marks of Markdown and HTML are taken out.
    cues: whether the voice has cues (`[breath]`, `<strong>`); they are kept then, else taken out.
    """

    def __init__(self, *, markup: bool = True, cues: bool = False) -> None:
        self._stages: list[Rewriter] = []
        if not cues:
            self._stages.append(CueFilter())
        if markup:
            self._stages.append(Markup(cues=CUES if cues else ()))
        self._stages.append(Characters())

    @classmethod
    def verbatim(cls) -> Self:
        """One that leaves all as it is: for sounds in a phonetic alphabet."""
        plain = cls()
        plain._stages = []
        return plain

    @property
    def pending(self) -> int:
        """How many characters are held back."""
        return sum(stage.pending for stage in self._stages)

    @property
    def decisions(self) -> int:
        """How often something was decided or found undecided: the work done."""
        return sum(stage.decisions for stage in self._stages)

    def feed(self, text: str) -> str:
        """Take the next piece of text; return what it decides."""
        for stage in self._stages:
            text = stage.feed(text)
        return text

    def flush(self) -> str:
        """The rest of what has come: nothing that follows belongs to it. More text may follow."""
        text = ""
        for stage in self._stages:
            text = stage.feed(text) + stage.flush()
        return text

    def source(self, begin: int, end: int) -> tuple[int, int]:
        """Where what plain[begin:end] stands for lies in the text that came.

        An empty stretch lies right after what the character before it stands for. Raises ValueError
        beyond what was given out.
        """
        for stage in reversed(self._stages):
            if begin == end > 0:
                begin = end = stage.origins.source(end - 1, end)[1]
            else:
                begin, end = stage.origins.source(begin, end)
        return begin, end

"""Text as it comes, handed on at once, with the sentence ends marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...segmentation.ahead import MoreText
from ...segmentation.boundaries import Verdict
from ...segmentation.layout import Layout
from ...open_segment import OpenSegment

_LONGEST: Final = 2000
"""Characters of a sentence after which what is known of it is forgotten, so that memory is bounded."""
_SLICE: Final = 1024


@dataclass(frozen=True, slots=True)
class SentencePart:
    """whole[begin:begin + len(text)], in code points. ends: a sentence ends with it; then `text` may be "".

    Blanks between sentences begin the part after them.
    """

    text: str
    begin: int
    ends: bool


class SentenceStream:
    """Finds sentence ends by the same rules as TextSegmenter, but does not hold sentences back.

    A character is handed on as soon as it is certain that no sentence ends before it. Where
    sentences end depends on the text and on where it was flushed alone. The cost is linear in the
    text.
    """

    def __init__(self) -> None:
        self._buffer = ""
        self._begin = 0
        self._handed = 0
        self._open = OpenSegment()
        self._layout = Layout()
        self._quote_open = False

    def feed(self, text: str) -> list[SentencePart]:
        parts = []
        for start in range(0, len(text), _SLICE):
            self._buffer += text[start : start + _SLICE]
            parts += self._advance()
        return parts

    def flush(self) -> list[SentencePart]:
        """The rest of what has come; the last part ends a sentence. More text may follow."""
        parts = self._advance(final=True)
        if self._buffer:
            parts.append(self._cut(len(self._buffer), ends=True))
        self._layout = Layout()
        return parts

    def _advance(self, *, final: bool = False) -> list[SentencePart]:
        """final: nothing that may follow the text so far belongs to it."""
        self._layout.read(self._buffer, final)
        parts = []
        while (part := self._next_cut(final)) is not None:
            parts.append(part)
        settled = self._open.visible_end
        if settled > self._handed:
            text = self._buffer[self._handed : settled]
            parts.append(SentencePart(text, self._begin + self._handed, ends=False))
            self._handed = settled
        return parts

    def _next_cut(self, final: bool) -> SentencePart | None:
        """The part up to the next sentence end, None if the text so far decides none."""
        segment = self._open
        while True:
            try:
                verdict, end = segment.judge(self._buffer, self._layout, final)
            except MoreText:
                return None
            if verdict is Verdict.SENTENCE and segment.spoken:
                return self._cut(end, ends=True)
            if verdict is not Verdict.NOTHING:
                segment.pass_over(end)
            if segment.at >= len(self._buffer):
                return None
            if not segment.read(self._buffer, self._layout, _LONGEST):
                return self._cut(segment.visible_end or segment.at, ends=False)

    def _cut(self, end: int, *, ends: bool) -> SentencePart:
        part = SentencePart(self._buffer[self._handed : end], self._begin + self._handed, ends)
        line = self._buffer[:end].rpartition("\n")
        self._quote_open = (self._quote_open and not line[1]) ^ (line[2].count('"') % 2 == 1)
        self._open = OpenSegment(fresh=ends, quote_open=self._quote_open)
        self._buffer = self._buffer[end:]
        self._layout.drop(end)
        self._begin += end
        self._handed = 0
        return part

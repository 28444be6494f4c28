"""Cut text, as it comes, into the pieces an engine speaks one by one."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from .ahead import MoreText
from .boundaries import Verdict
from .characters import speakable
from .layout import Layout
from ..open_segment import OpenSegment

__all__ = ["Segment", "SegmentPolicy", "TextSegmenter", "speakable"]

_NEWLINE: Final = re.compile(r"[\n\v\f\x85\u2028\u2029]")
_SLICE: Final = 1024
"""Characters taken into the buffer at once; a cut copies the rest of it, so it is kept short."""


@dataclass(frozen=True, slots=True)
class SegmentPolicy:
    """Where segments may end. Lengths are in characters, East Asian wide ones counting 2.

    max_characters: no segment is longer, blanks and all.
    split_clauses: whether segments after the first end at clause ends.
    clause_min_characters: letters and digits a segment needs to end at a clause end.
    first_clause_min_characters: the same for the first segment, so that speech starts soon, whether
        or not clauses split; None treats the first segment like the others.

    Raises ValueError if a length is not positive or max_characters is under 8.
    """

    max_characters: int = 200
    split_clauses: bool = True
    clause_min_characters: int = 40
    first_clause_min_characters: int | None = 10

    def __post_init__(self) -> None:
        if self.max_characters < 8:
            raise ValueError(f"max_characters must be at least 8, not {self.max_characters}")
        if self.clause_min_characters < 1:
            raise ValueError("clause_min_characters must be positive")
        if self.first_clause_min_characters is not None and self.first_clause_min_characters < 1:
            raise ValueError("first_clause_min_characters must be positive or None")

    def clause_goal(self, first: bool) -> int | None:
        """Letters and digits a segment needs to end at a clause end, None if it may not."""
        if first and self.first_clause_min_characters is not None:
            return self.first_clause_min_characters
        return self.clause_min_characters if self.split_clauses else None


_DEFAULT_POLICY: Final = SegmentPolicy()


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the text: whole[begin:end], in code points. Segments tile the text.

    sentence_end: whether a pause belongs after it.
    """

    text: str
    begin: int
    end: int
    sentence_end: bool


class TextSegmenter:
    """Cuts one task's text into segments as it comes.

    The segments depend on the text, the places where it was flushed and the policy alone, never on
    how the text is cut into pieces; each comes out as soon as the text decides it. The cost is
    linear in the text, and no more of it is kept than the open segment and a short look-ahead.
    Blanks go to the start of the segment after them, so some segments (the last of a text that ends
    in a blank, say) are not `speakable`. A flush and the end of the text end a sentence.
    """

    def __init__(self, policy: SegmentPolicy = _DEFAULT_POLICY) -> None:
        self._policy = policy
        self._buffer = ""
        self._begin = 0
        self._first = True
        self._final = False
        self._quote_open = False
        self._open = OpenSegment()
        self._layout = Layout()
        self._examined = 0

    @property
    def pending(self) -> int:
        """How many characters have come that are in no segment yet."""
        return len(self._buffer)

    @property
    def examined(self) -> int:
        """How many characters were read, those read twice counted twice: the work done."""
        return self._examined

    def feed(self, text: str) -> list[Segment]:
        """Take the next piece of text; return the segments it decides.

        Raises ValueError after `finish`.
        """
        if self._final:
            raise ValueError("the text has ended")
        segments = []
        for start in range(0, len(text), _SLICE):
            self._buffer += text[start : start + _SLICE]
            segments += self._decided()
        return segments

    def flush(self) -> list[Segment]:
        """Say that a sentence ends here; return all that is pending. More text may follow.

        Nothing if nothing came since the last flush. The segments tell the end of a sentence even
        where only blanks were pending after a clause.
        """
        segments = self._decided(final=True)
        if self._buffer:
            segments.append(self._cut(len(self._buffer), sentence_end=True))
        elif segments:
            segments[-1] = replace(segments[-1], sentence_end=True)
        self._open = OpenSegment(quote_open=self._quote_open)
        self._layout = Layout()
        return segments

    def finish(self) -> list[Segment]:
        """Say that the text ends; return what is left of it. Idempotent."""
        self._final = True
        return self.flush()

    def _decided(self, *, final: bool = False) -> list[Segment]:
        """final: nothing that may follow the text so far belongs to it."""
        self._layout.read(self._buffer, final)
        segments = []
        while (segment := self._next(final)) is not None:
            segments.append(segment)
        return segments

    def _next(self, final: bool) -> Segment | None:
        """The next segment, None if the text so far decides none."""
        segment = self._open
        limit = self._policy.max_characters
        while True:
            try:
                verdict, end = segment.judge(self._buffer, self._layout, final)
            except MoreText:
                return None
            if self._accepts(verdict):
                return self._cut(end, sentence_end=verdict is Verdict.SENTENCE)
            if verdict is not Verdict.NOTHING:
                segment.pass_over(end)
            if segment.at >= len(self._buffer):
                return None
            count = segment.read(self._buffer, self._layout, limit)
            self._examined += count
            if not count:
                return self._cut(segment.forced_end(self._buffer, limit), sentence_end=False)

    def _accepts(self, verdict: Verdict) -> bool:
        if verdict is Verdict.NOTHING or not self._open.spoken:
            return False
        if verdict is Verdict.SENTENCE:
            return True
        goal = self._policy.clause_goal(self._first)
        return goal is not None and self._open.spoken >= goal

    def _cut(self, end: int, *, sentence_end: bool) -> Segment:
        """End the open segment at `end` and open the next there."""
        text = self._buffer[:end]
        segment = Segment(text, self._begin, self._begin + end, sentence_end)
        *lines, last_line = _NEWLINE.split(text)
        self._quote_open = (self._quote_open and not lines) ^ (last_line.count('"') % 2 == 1)
        self._first = self._first and not speakable(text)
        self._buffer = self._buffer[end:]
        self._layout.drop(end)
        self._begin = segment.end
        # Reading may have gone past `end`: what is known of the text there is found again.
        fresh = sentence_end or self._open.fresh
        self._open = OpenSegment(fresh=fresh, quote_open=self._quote_open)
        return segment

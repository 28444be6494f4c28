"""Cuts a text into segments as it arrives: sentences, and clauses where the policy allows.

text -> Layout (lines, list items) -> OpenSegment (character by character) -> Segment
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from .boundaries import LONGEST, MarkKind, MarkRow, Verdict, judge_marks, mark_of
from .characters import (
    NEWLINES,
    cluster_start,
    is_blank,
    is_extender,
    is_newline,
    is_spoken,
    speakable,
    weight,
)
from .layout import Layout
from .lookahead import Lookahead, NeedMoreText
from .scripts import IDEOGRAPHS, is_cjk

_LATIN: Final = re.compile(r"[A-Za-z0-9]+")
_HAN: Final = re.compile(f"[{IDEOGRAPHS}]+")
_LAST_WORD: Final = re.compile(r"([^\W_]+)\s*$")
_BRACKETS: Final = frozenset("([{<“‘«‹「『【〔〈《〖（［｛｢")
_OPENERS: Final = _BRACKETS | {'"', "'"}
_NOT_FIRST: Final = frozenset("々〆ー〜～ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ")
"""Kana and iteration marks that a line of Japanese does not begin with."""


@dataclass(slots=True)
class OpenSegment:
    """State of the segment that is being read. Places count from its begin, which is 0 of the given text.

    fresh: whether the next word is the first of a line, of a sentence or after a colon.
    quote_open: whether this line has had an odd number of straight quotes.
    at: the next character to read.
    weight: columns read.
    spoken: columns of the letters, digits and spoken symbols among them.
    item: where the last `fresh` word begins, -1 before it.
    word: where the word before `at` begins, -1 outside words.
    visible_end: after the last character that is not blank.
    last_letter: the last letter or digit.
    clause, clause_weight: the last clause end that was passed over, and the weight there.
    border: the last place between two words.
    marks: the row of marks that is being read, None outside of one.
    """

    fresh: bool = True
    quote_open: bool = False
    at: int = 0
    weight: int = 0
    spoken: int = 0
    item: int = -1
    word: int = -1
    visible_end: int = 0
    last_letter: str = ""
    clause: int = -1
    clause_weight: int = 0
    border: int = -1
    marks: MarkRow | None = None

    def judge(self, text: str, layout: Layout, final: bool) -> tuple[Verdict, int]:
        """Judge what ends at `at`; return it with the place where a cut would be.

        layout: that of `text`. final: whether no text follows `text`.
        Raises NeedMoreText, which changes nothing: call it again with more text.
        """
        if self.marks is not None:
            ahead = Lookahead(text, self.at, final)
            after = ahead.char()
            if after and self.marks.takes(after, self.quote_open):
                return Verdict.NOTHING, self.at
            verdict = judge_marks(self.marks, ahead)
            self.marks = None
            if verdict is not Verdict.NOTHING:
                return verdict, self.at
        broken = layout.before(self.at)
        if broken is None or not self.spoken:
            return Verdict.NOTHING, self.at
        if broken is Verdict.NOTHING:
            self.fresh = False
        return broken, self.visible_end

    def pass_over(self, end: int) -> None:
        """Remember a clause or sentence end that the segment goes beyond."""
        self.clause, self.clause_weight = end, self.weight

    def read(self, text: str, layout: Layout, limit: int) -> int:
        """Read the next character, or a row of plain letters that `layout` does not interrupt.

        Returns the number of characters read. It is 0, and nothing changes, if the next character
        would make the segment longer than `limit` columns.
        """
        char = text[self.at]
        size = weight(char)
        room = limit - self.weight
        if size > room:
            return 0
        begin = self.at
        if self.marks is not None:
            self._read_mark(self.marks, char)
        elif row := _LATIN.match(text, begin, min(begin + room, layout.stop(begin))):
            self._note_border(text)
            self._read_word(text, row.end())
        elif row := _HAN.match(text, begin, min(begin + room // 2, layout.stop(begin))):
            self._note_border(text)
            self._read_cjk(text, row.end())
        else:
            self._read_other(text, char)
        self.weight += (self.at - begin) * size
        return self.at - begin

    def forced_end(self, text: str, limit: int) -> int:
        """Choose where to cut a segment that has reached `limit` columns.

        The last clause end if at least half comes before it, else the last place between words, else
        between grapheme clusters; a single cluster is cut at `at`.
        """
        if self.clause > 0 and 2 * self.clause_weight >= limit:
            return self.clause
        if self.border > 0:
            return self.border
        return cluster_start(text, self.at, 0) or self.at

    def _read_mark(self, marks: MarkRow, char: str) -> None:
        marks.add(char)
        self._pass_symbol(char)

    def _read_word(self, text: str, end: int) -> None:
        if self.word < 0:
            self.word = self.at
        self._read_letters(text, end)

    def _read_cjk(self, text: str, end: int) -> None:
        if end - self.at > 1:
            self.border = end - 1
        self.word = -1
        self._read_letters(text, end)

    def _read_letters(self, text: str, end: int) -> None:
        """Read letters and digits of equal weight."""
        if self.fresh:
            self.fresh, self.item = False, self.at
        self.last_letter = text[end - 1]
        self.spoken += (end - self.at) * weight(self.last_letter)
        self.at = self.visible_end = end

    def _read_other(self, text: str, char: str) -> None:
        if is_blank(char):
            self._read_blank(text, char)
            return
        self._note_border(text)
        if is_cjk(char):
            self._read_cjk(text, self.at + 1)
        elif char.isalnum():
            self._read_word(text, self.at + 1)
        else:
            mark = mark_of(char)
            if mark is not None:
                self.marks = self._open_marks(text, mark)
            if is_spoken(char):
                self.spoken += weight(char)
            self._pass_symbol(char)

    def _pass_symbol(self, char: str) -> None:
        if char == '"':
            self.quote_open = not self.quote_open
        elif char == "：":
            self.fresh, self.item = True, -1
        if mark_of(char) is not MarkKind.STOP and not is_extender(char):
            self.word = -1
        self.at += 1
        self.visible_end = self.at

    def _read_blank(self, text: str, char: str) -> None:
        if self.visible_end == self.at and self.at > 0:
            self.border = self.at
            if text[self.at - 1] == ":":
                self.fresh, self.item = True, -1
        self.word = -1
        self.at += 1
        if is_newline(char):
            self.fresh, self.item, self.quote_open = True, -1, False

    def _open_marks(self, text: str, kind: MarkKind) -> MarkRow:
        word = self.word if self.word >= 0 else self.at
        return MarkRow(
            kind,
            word=text[word : self.at] if self.at - word <= LONGEST else "",
            previous=_word_before(text, word),
            before=text[self.at - 1] if self.at > 0 else "",
            last_letter=self.last_letter,
            item=self.fresh or self.item == word,
        )

    def _note_border(self, text: str) -> None:
        """Remember `at` as a border if a cut there splits no word: beside Han or kana."""
        char = text[self.at]
        letter = char.isalnum() and char not in _NOT_FIRST and not is_extender(char)
        if self.at == 0 or not (letter or char in _BRACKETS):
            return
        before = text[self.at - 1]
        if before in _OPENERS or before == "\u200d" or is_blank(before):
            return
        here, there = is_cjk(char), is_cjk(before)
        beside = (here or there) and not char.isdigit() and not before.isdigit()
        if beside or (here and there):
            self.border = self.at


def _word_before(text: str, place: int) -> str:
    """The word or number before `place`, "" if anything but blanks comes between."""
    found = _LAST_WORD.search(text[max(0, place - 2 * LONGEST) : place])
    return found.group(1) if found else ""


_NEWLINE: Final = re.compile(f"[{NEWLINES}]")
_SLICE: Final = 1024
"""Characters taken into the buffer at once. A cut copies what is left of it, so it is kept short."""


@dataclass(frozen=True, slots=True)
class SegmentPolicy:
    """Rules for the length of segments. Lengths are in columns: East Asian wide characters count 2.

    max_characters: the longest segment, blanks included.
    split_clauses: whether segments after the first may end at a clause end.
    clause_min_characters: letters and digits that a segment needs to end at a clause end.
    first_clause_min_characters: the same for the first segment, whatever split_clauses says, so that
        speech starts early. None: the first segment is treated like the others.

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
        """The letters and digits that a segment needs to end at a clause end, None if it may not."""
        if first and self.first_clause_min_characters is not None:
            return self.first_clause_min_characters
        return self.clause_min_characters if self.split_clauses else None


_DEFAULT_POLICY: Final = SegmentPolicy()


@dataclass(frozen=True, slots=True)
class Segment:
    """Text up to a boundary: whole[begin:end], in code points. Segments tile the task's text.

    sentence_end: whether a sentence, and not only a clause, ends with it.
    """

    text: str
    begin: int
    end: int
    sentence_end: bool


class TextSegmenter:
    """Cuts one task's text into segments as it arrives.

    The segments depend only on the text, on where it was flushed and on the policy, never on the
    deltas in which the text arrives. A segment is returned as soon as the text decides it. The cost
    is linear in the text; only the open segment and a short look-ahead are kept. Blanks belong to
    the segment after them, so a segment (the last one of a text that ends in a blank, say) may not be
    `speakable`. A flush and the end of the text end a sentence.
    """

    def __init__(self, policy: SegmentPolicy = _DEFAULT_POLICY) -> None:
        self._policy = policy
        self._buffer = ""
        """Text that is in no segment yet."""
        self._begin = 0
        """The place in the task's text at which the buffer begins."""
        self._first = True
        """Whether no segment had anything to say yet."""
        self._final = False
        """Whether `finish` was called."""
        self._quote_open = False
        """Whether a straight quote is open where the buffer begins."""
        self._open = OpenSegment()
        self._layout = Layout()

    @property
    def pending(self) -> int:
        """The number of characters that are in no segment yet."""
        return len(self._buffer)

    def feed(self, text: str) -> list[Segment]:
        """Take the next delta of the text; return the segments that it decides.

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
        """End a sentence here; return everything pending. More text may follow.

        The last segment has `sentence_end` set, even if only blanks were pending after a clause.
        Returns nothing if nothing came since the last flush.
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
        """End the text; return everything pending. Idempotent."""
        self._final = True
        return self.flush()

    def _decided(self, *, final: bool = False) -> list[Segment]:
        """Take the segments that the buffer decides. final: whether the text ends or is flushed here."""
        self._layout.read(self._buffer, final)
        segments = []
        while (segment := self._next(final)) is not None:
            segments.append(segment)
        return segments

    def _next(self, final: bool) -> Segment | None:
        """Cut the next segment, None if the buffer decides none."""
        segment = self._open
        limit = self._policy.max_characters
        while True:
            try:
                verdict, end = segment.judge(self._buffer, self._layout, final)
            except NeedMoreText:
                return None
            if self._accepts(verdict):
                return self._cut(end, sentence_end=verdict is Verdict.SENTENCE)
            if verdict is not Verdict.NOTHING:
                segment.pass_over(end)
            if segment.at >= len(self._buffer):
                return None
            if not segment.read(self._buffer, self._layout, limit):
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
        # Reading may have gone past `end`; the next segment reads that part again.
        fresh = sentence_end or self._open.fresh
        self._open = OpenSegment(fresh=fresh, quote_open=self._quote_open)
        return segment

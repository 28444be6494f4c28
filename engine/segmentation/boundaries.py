"""Where sentences and clauses end: the rules alone, without the segmenter's bookkeeping.

A run is a row of marks with the closing quotes and brackets after them (`?!`, `."`, `……」`). It is
judged when the character after it is known; a few marks need the next visible character or the next
word as well. Decisions:

- `. ! ?` end a sentence before a blank, the end of the text, or next to Chinese or Japanese; inside
  a word (3.14, node.js, a@b.c, /x?y=z) they are nothing.
- With a closer after them, or as an ellipsis, a small letter next makes them a clause end
  ("What?" she said; wait... what).
- `。！？；` and the like end a sentence wherever they stand, an ellipsis after Chinese text too.
- Abbreviations: see abbreviations.py. A number or letter first on its line or in its sentence is a
  list marker ("1. First"), not a sentence.
- `, ; :` end a clause before a blank or next to Chinese; `，、：` do but between digits; so do long
  dashes, and short ones with blanks on both sides but after a digit.
- A line end ends a sentence (a title, an item, a line of verse, of an address, of a dialogue) unless
  the line is prose that was wrapped at a width: what tells is in line_ends.py. It is decided once
  the next line's first word is known at the latest, often by its first letter.
- An item of a list is a sentence, on a line of its own or after another item in one line, and its marker
  belongs to it: see markers.py and layout.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..abbreviations import LONGEST, Abbreviation, abbreviation, ends_before, is_initial
from .ahead import Ahead
from .characters import is_blank, is_extender
from .markers import numbers_item
from .scripts import is_cjk


class Verdict(Enum):
    """What ends at a place in the text."""

    NOTHING = "nothing"
    CLAUSE = "clause"
    SENTENCE = "sentence"


class Mark(Enum):
    """Kinds of punctuation that can end something."""

    STOP = "."
    BANG = "!?"
    ELLIPSIS = "…"
    WIDE = "。"
    COMMA = ",;:"
    WIDE_COMMA = "，"
    DASH = "—"
    HYPHEN = "-"


_MARKS: dict[str, Mark] = {
    ".": Mark.STOP,
    **dict.fromkeys("!?‼⁇⁈⁉", Mark.BANG),
    **dict.fromkeys("…⋯", Mark.ELLIPSIS),
    **dict.fromkeys("。｡！？；．؟۔।॥։።፧။៕", Mark.WIDE),
    **dict.fromkeys(",;:،؛", Mark.COMMA),
    **dict.fromkeys("，、：､﹐﹑", Mark.WIDE_COMMA),
    **dict.fromkeys("—―⸺", Mark.DASH),
    **dict.fromkeys("-–", Mark.HYPHEN),
}
_TERMINATORS = frozenset({Mark.STOP, Mark.BANG, Mark.ELLIPSIS, Mark.WIDE})
_DASHES = frozenset({Mark.DASH, Mark.HYPHEN})
_CLOSERS = frozenset(")]}’”»›」』】〕〉》〗〙〛）］｝｣＂＇'")
_UNIT = 3
"""Letters of a unit, at most."""
_QUOTES = frozenset("\"“‘'(")
_EMPHASIS = frozenset("*_`~")
"""Markdown: they close after Latin marks, but may open after Chinese ones, where no blank tells."""


@dataclass(slots=True)
class Run:
    """A row of marks and closers.

    word: what stands right before the first mark, if no longer than an abbreviation.
    previous: the word or number before that.
    before: the character before the first mark, "" at the start of a segment.
    last_letter: the last letter or digit before, "" if the segment has none yet.
    item: whether `word` is the first on its line or in its sentence.
    """

    mark: Mark
    word: str = ""
    previous: str = ""
    before: str = ""
    last_letter: str = ""
    item: bool = False
    length: int = 1
    closed: bool = False
    dotted: bool = False

    def takes(self, char: str, quote_open: bool) -> bool:
        """Whether the run goes on with `char`. quote_open: a straight quote is still open."""
        mark = mark_of(char)
        if mark in _DASHES:
            return self.mark in _DASHES and not self.closed
        if mark is not None:
            return True
        if char == '"':
            return quote_open or not self._unspaced
        if char in _EMPHASIS:
            return not self._unspaced
        return char in _CLOSERS or is_extender(char)

    def add(self, char: str) -> None:
        """Go on with a character that `takes` agreed to. The last kind of mark counts."""
        mark = mark_of(char)
        if mark is None:
            self.closed = self.closed or not is_extender(char)
            return
        self.length += 1
        self.dotted = self.dotted or (mark is Mark.STOP and self.mark is Mark.STOP)
        weak = mark in {Mark.STOP, Mark.ELLIPSIS} and self.mark in {Mark.BANG, Mark.WIDE}
        if not weak:
            self.mark = mark

    @property
    def cjk(self) -> bool:
        """Whether it stands in text written without blanks."""
        return bool(self.last_letter) and is_cjk(self.last_letter)

    @property
    def _unspaced(self) -> bool:
        return self.cjk or self.mark in {Mark.WIDE, Mark.WIDE_COMMA}


def mark_of(char: str) -> Mark | None:
    """The kind of a mark, None if `char` is not one."""
    return _MARKS.get(char)


def judge_run(run: Run, ahead: Ahead) -> Verdict:
    """What a whole run ends. `ahead` begins right after it. Raises MoreText."""
    after = ahead.char()
    match run.mark:
        case Mark.WIDE:
            return _judge_number_mark(run, after, Verdict.SENTENCE)
        case Mark.WIDE_COMMA:
            return _judge_number_mark(run, after, Verdict.CLAUSE)
        case Mark.COMMA:
            open_right = not after or is_blank(after) or is_cjk(after) or run.cjk
            return Verdict.CLAUSE if open_right else Verdict.NOTHING
        case Mark.DASH | Mark.HYPHEN:
            return _judge_dash(run, after)
        case _:
            return _judge_terminator(run, after, ahead)


def _judge_number_mark(run: Run, after: str, verdict: Verdict) -> Verdict:
    """Full-width marks between digits are part of a number: 10：30, 1，000, 3．14."""
    inside = run.length == 1 and run.before.isdigit() and after.isdigit()
    return Verdict.NOTHING if inside else verdict


def _judge_dash(run: Run, after: str) -> Verdict:
    spaced = (not run.before or is_blank(run.before)) and (not after or is_blank(after))
    if run.mark is Mark.HYPHEN and run.length == 1:
        aside = spaced and not run.item and not run.last_letter.isdigit()
        return Verdict.CLAUSE if aside else Verdict.NOTHING
    if run.mark is Mark.HYPHEN and not spaced and not (run.before.isalpha() and after.isalpha()):
        return Verdict.NOTHING
    inside = run.before.isdigit() and after.isdigit()
    return Verdict.NOTHING if inside else Verdict.CLAUSE


def _judge_terminator(run: Run, after: str, ahead: Ahead) -> Verdict:
    ellipsis = run.mark is Mark.ELLIPSIS or run.dotted
    if run.mark is Mark.BANG:
        ellipsis = False
    if ellipsis and run.cjk:
        return Verdict.SENTENCE
    unspaced = bool(after) and not is_blank(after)
    if unspaced and not _parts_words(run, after):
        return Verdict.CLAUSE if ellipsis and after.isalpha() else Verdict.NOTHING
    if run.mark is Mark.STOP and run.length == 1:
        verdict = _judge_abbreviation(run, ahead)
        if verdict is not None:
            return verdict
    if not (run.closed or ellipsis) or unspaced:
        return Verdict.SENTENCE
    following = ahead.visible()
    goes_on = following.islower() or (ellipsis and following.isdigit())
    return Verdict.CLAUSE if goes_on else Verdict.SENTENCE


def _parts_words(run: Run, after: str) -> bool:
    """Whether a terminator right before `after`, with no blank between, can be one all the same."""
    if run.cjk or is_cjk(after):
        return not (run.cjk and after.isascii() and after.isalnum() and run.mark is Mark.STOP)
    return not after.isascii() and not after.isalnum()


def _judge_abbreviation(run: Run, ahead: Ahead) -> Verdict | None:
    """The verdict on a single full stop after an abbreviation or list marker, None after others."""
    if not ahead.char():
        return Verdict.SENTENCE
    if run.item and numbers_item(run.word):
        return Verdict.NOTHING
    kind = abbreviation(run.word)
    if kind is None and run.previous.isdigit() and run.word.isalpha() and len(run.word) <= _UNIT:
        return Verdict.NOTHING if ahead.visible().islower() else None  # 10 in. wide
    if kind is None or not is_initial(run.word, run.previous):
        return None
    if kind is Abbreviation.NEVER:
        return Verdict.NOTHING
    following = ahead.visible()
    if following.isdigit() or (following.islower() and kind is not Abbreviation.NUMBER):
        return Verdict.NOTHING
    if kind is Abbreviation.NUMBER or not following:
        return None
    if is_cjk(following):
        return Verdict.NOTHING if any(map(is_cjk, run.previous)) else None
    quoted = following in _QUOTES
    word = ahead.after(ahead.blanks() + quoted).word(LONGEST)
    return None if ends_before(kind, word) else Verdict.NOTHING

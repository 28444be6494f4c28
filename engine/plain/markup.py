"""Removes the marks of Markdown and HTML from a text and keeps the words."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from ..segmentation.characters import NEWLINES
from .blocks import BlockKind, closes_fence, find_block
from .cues import FindSounds, cue_length
from .emphasis import Emphasis
from .links import find_link, formula_length, loose_end
from .rewriting import BLANK, INVISIBLE, NL, Construct, Rewriter
from .tags import BLOCKS, CELLS, find_entity, find_tag

_LONGEST_ROW: Final = 64
"""Most marks of a row that are judged together."""
_LONGEST_WORDS: Final = 24
_PLAIN: Final = re.compile(rf"[^\\`*_~\[\]!<&$|#{NL}]+")
_PLAIN_IN_ROW: Final = re.compile(r"[^\\`*_~\[\]!<&$|#\s]+")
_BLANKS: Final = re.compile(rf"{BLANK}+")
_TO_BACKTICK: Final = re.compile(rf"[^`{NL}]+")
_ROWS: Final = {mark: re.compile(re.escape(mark) + "+") for mark in "*_~`#$"}
_BOX: Final = Construct(
    re.compile(rf"\[[ xX✓✔]\](?:{BLANK}|(?=[{NL}]))"), re.compile(r"\[(?:[ xX✓✔]\]?)?"), 8
)
_PART: Final = Construct(
    re.compile(r"\*\*[^\s*]{1,32}+\*\*"), re.compile(r"\*\*(?:[^\s*]{1,32}+\*?)?"), 38
)
"""A part of a word in bold."""
_ORDINAL: Final = re.compile(r"\s*\d{1,9}[.)]\s+")
_ESCAPED: Final = frozenset("!\"#$%&'*+,-./:;<=>?@\\^_`{|}~")
_FORMULA_MARKS: Final = frozenset("()[]")
_CLAUSE_MARKS: Final = frozenset(",.;:!?…，。；：！？、")
_INDENT: Final = re.compile(rf"(?:{BLANK}|[{INVISIBLE}])+")
_TO_LINE_END: Final = re.compile(rf"[^{NL}]+")


@dataclass(slots=True)
class LineState:
    """State of the open line.

    words: its first characters. item: whether it began with a list mark. heading: likewise. row: whether
    it is a table row. code: the number of backticks that opened the open code, 0 outside of code.
    """

    words: str = ""
    item: bool = False
    heading: bool = False
    row: bool = False
    code: int = 0

    @property
    def may_have_box(self) -> bool:
        """Whether a task-list box may come now."""
        return (self.item and not self.words) or _ORDINAL.fullmatch(self.words) is not None


class Markup(Rewriter):
    """The stage that removes marks.

    A mark at the beginning of a line ends the sentence before, a bar in a table row ends a clause, and
    a tag of a block ends a sentence. The rules are in blocks.py, emphasis.py, links.py and tags.py.
    In code, between backticks or in fences, everything is text; backticks that are not closed end with
    their line, a fence with the text. A flush ends a line.

    cues, sounds: what they name or find is kept as it is.
    """

    def __init__(self, *, cues: Collection[str] = (), sounds: FindSounds | None = None) -> None:
        super().__init__()
        self._emphasis = Emphasis()
        self._line = LineState()
        self._cues = cues
        self._sounds = sounds
        self._cuts: list[tuple[int, int]] = []
        """Ends of the open links, innermost last: their places in the source, and their lengths."""
        self._gap = ""
        """Written before the next word: a blank, or a comma after a table cell."""
        self._marks: dict[str, Callable[[], None]] = {
            "\\": self._backslash,
            "`": self._backticks,
            "*": self._stress,
            "_": self._stress,
            "~": self._stress,
            "[": self._bracket,
            "]": self._closing_bracket,
            "!": self._bang,
            "<": self._angle,
            "&": self._ampersand,
            "$": self._dollar,
            "|": self._bar,
            "#": self._hash,
        }
        self._fence = ""
        """The marks that opened the open block of code, "" outside of code."""
        self._begun = False
        """Whether the line has more than the marks that it begins with."""
        self._marked = False
        """Whether the line began with a mark."""
        self._row_before = False
        """Whether the line before is a table row."""
        self._quote = self._quote_before = False
        """Whether the line, and the line before, is quoted."""

    def flush(self) -> str:
        remaining = super().flush()
        self._end_line()
        self._row_before = self._quote_before = False
        return remaining

    def step(self) -> None:
        if self._drop_link_end():
            return
        char = self.text[self.at]
        if self._fence and not self._begun:
            self._fenced_line()
        elif char in NEWLINES:
            self._newline()
        elif self._fence:
            self._copy_all(_TO_LINE_END)
        elif not self._begun and (char.isspace() or char in INVISIBLE):
            self._indent()
        elif self._begun or not self._block():
            self._begun = True
            self._inline(char)

    def _newline(self) -> None:
        ends = (self._line.heading or self._line.row) and self.newlines == 0
        self.copy(1)
        if ends:
            self.end_sentence(0)
        if self.newlines > 1:
            self._emphasis.clear()
        self._end_line()

    def _end_line(self) -> None:
        self._row_before, self._quote_before = self._line.row, self._quote
        self._begun = self._marked = self._quote = False
        self._line = LineState()

    def _indent(self) -> None:
        length = self._length_of(_INDENT)
        if self._marked:
            self.drop(length)
        else:
            self.copy(length)

    def _fenced_line(self) -> None:
        length = closes_fence(self.text, self.at, self.final, self._fence)
        self._begun = True
        if length:
            self._fence = ""
            self.drop(length)

    def _block(self) -> bool:
        """Take the mark that the line begins with, if there is one."""
        block = find_block(self.text, self.at, self.final, row_before=self._row_before)
        if block is None:
            return False
        self._marked = True
        match block.kind:
            case BlockKind.NOTHING | BlockKind.NOTE:
                self.drop(block.length)
            case BlockKind.FENCE:
                self._fence, self._begun = block.fence, True
                self.drop(block.length)
            case BlockKind.QUOTE:
                self._quote = True
                if self._quote_before:
                    self.drop(block.length)
                else:
                    self.end_sentence(block.length)
            case _:
                self._emphasis.clear()
                self._line.item = block.kind is BlockKind.ITEM
                self._line.heading = block.kind is BlockKind.HEADING
                self._line.row = self._begun = block.kind is BlockKind.ROW
                self.end_sentence(block.length)
        return True

    # Marks inside a line

    def copy(self, length: int) -> None:
        text = self.text[self.at : self.at + length]
        if text not in NEWLINES:
            self._fill_gap()
        self._line.words = (self._line.words + text[:_LONGEST_WORDS])[:_LONGEST_WORDS]
        super().copy(length)

    def _inline(self, char: str) -> None:
        if self._line.code and char != "`":
            self._copy_all(_TO_BACKTICK)
        elif (self._line.row or self._gap) and char.isspace():  # a gap ends with a blank
            self._gap = self._gap or " "
            self.drop(self._length_of(_BLANKS))
        elif handle := self._marks.get(char):
            handle()
        else:
            self._copy_all(_PLAIN_IN_ROW if self._line.row else _PLAIN)

    def _backslash(self) -> None:
        after = self.char(1)
        if after in _FORMULA_MARKS:
            self.drop(2)
        elif after in _ESCAPED:
            self.drop(1)
            self.copy(1)
        elif after and after in NEWLINES:
            self.drop(1)
        else:
            self.copy(1)

    def _backticks(self) -> None:
        length = self._row_length()
        after = self.char(length) if length == 1 and not self._line.code else ""
        if _is_latin(self.last) and _is_latin(after):
            self.put(1, "'")
            return
        if not self._line.code:
            self._line.code = length
        elif self._line.code == length:
            self._line.code = 0
        self.drop(length)

    def _stress(self) -> None:
        mark, length = self.text[self.at], self._row_length()
        after = self.char(length) if length < _LONGEST_ROW else ""
        before = "" if self.newlines else (self._gap or self.last)[-1:]
        part = mark == "*" and length == 2 and before.isalnum() and after.isalnum()
        closed = part and _PART.match(self.text, self.at, self.final) is not None
        if self._emphasis.is_mark(mark, length, before, after, closed=closed):
            self.drop(length)
        else:
            self.copy(length)

    def _bracket(self) -> None:
        kept = cue_length(self.text, self.at, self.final, self._cues)
        if not kept and self._sounds is not None:
            kept = self._sounds(self.text, self.at, self.final)
        if kept:
            self.copy(kept)
            return
        box = _BOX.match(self.text, self.at, self.final) if self._line.may_have_box else None
        if box is not None:
            self.drop(len(box[0]))
            return
        self._link(0)

    def _link(self, skipped: int) -> None:
        """Take the link at the bracket after `skipped` characters, or one character if there is none."""
        link = find_link(self.text, self.at + skipped, self.final, self.last)
        if link is None:
            self.copy(1)
            return
        if link.closing:
            here = self.origins.source_length - self.at
            self._cuts.append((here + link.end, link.closing))
        self.drop(skipped + link.opening)

    def _closing_bracket(self) -> None:
        length = loose_end(self.text, self.at, self.final)
        if length:
            self.drop(length)
        else:
            self.copy(1)

    def _bang(self) -> None:
        if self.char(1) == "[":
            self._link(1)
        else:
            self.copy(1)

    def _angle(self) -> None:
        cue = cue_length(self.text, self.at, self.final, self._cues)
        tag = None if cue else find_tag(self.text, self.at, self.final)
        if tag is None:
            self.copy(cue or 1)
        elif tag.inner:
            self.drop(1)
            self.copy(tag.inner)
            self.drop(1)
        elif tag.name in BLOCKS:
            self._gap = ""
            self.put(tag.length, "\n" * max(0, 2 - self.newlines))
        elif tag.name == "br":
            self.put(tag.length, "\n")
        else:
            if tag.name in CELLS and tag.closing:
                self._end_cell()
            if tag.text:
                self._fill_gap()
            self.put(tag.length, tag.text)

    def _ampersand(self) -> None:
        entity = find_entity(self.text, self.at, self.final)
        if entity is None:
            self.copy(1)
        else:
            self._fill_gap()
            self.put(*entity)

    def _dollar(self) -> None:
        length = self._row_length()
        if length == 2:
            self.drop(2)
            return
        formula = formula_length(self.text, self.at, self.final, self.last) if length == 1 else 0
        if not formula:
            self.copy(length)
            return
        self.drop(1)
        self.copy(formula)
        self.drop(1)

    def _bar(self) -> None:
        if self._line.row:
            self._end_cell()
            self.drop(1)
            return
        after = self.char(1) or "\n"
        if after.isspace() and (self.newlines or self.last.isspace()):
            self.put(1, "" if self.newlines else ",")
        else:
            self.copy(1)

    def _hash(self) -> None:
        length = self._row_length()
        after = self.char(length) if length < _LONGEST_ROW else ""
        if self._line.heading and self.last.isspace() and (not after or after.isspace()):
            self.drop(length)
        else:
            self.copy(length)

    def _end_cell(self) -> None:
        """End a clause, if the row has words before it and after it."""
        if self.newlines == 0:
            self._gap = " " if self.last in _CLAUSE_MARKS else ", "

    def _fill_gap(self) -> None:
        if self._gap:
            gap, self._gap = self._gap, ""
            if not self.newlines:
                self.put(0, gap)

    def _row_length(self) -> int:
        return self.matching(_ROWS[self.text[self.at]], _LONGEST_ROW)

    def _length_of(self, pattern: re.Pattern[str]) -> int:
        """The number of characters that match, up to the end of a link, at least 1."""
        end = len(self.text)
        if self._cuts:
            end = self.at + self._cuts[-1][0] - self.origins.source_length
        found = pattern.match(self.text, self.at, end)
        return max(1, found.end() - self.at if found else 0)

    def _copy_all(self, pattern: re.Pattern[str]) -> None:
        self.copy(self._length_of(pattern))

    def _drop_link_end(self) -> bool:
        """Drop the end of a link, if it is here."""
        while self._cuts:
            place, length = self._cuts[-1]
            if place > self.origins.source_length:
                return False
            self._cuts.pop()
            if place == self.origins.source_length:
                self.drop(length)
                return True
        return False


def _is_latin(char: str) -> bool:
    return char.isascii() and char.isalpha()

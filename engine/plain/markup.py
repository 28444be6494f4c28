"""Takes the marks of Markdown and HTML out of a text, and leaves the words."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from .blocks import BlockKind, closes_fence, find_block
from .inline import InlineMarkup
from .rewriting import BLANK, INVISIBLE, NEWLINES, NL

_INDENT: Final = re.compile(rf"(?:{BLANK}|[{INVISIBLE}])+")
_TO_LINE_END: Final = re.compile(rf"[^{NL}]+")


class Markup(InlineMarkup):
    """Marks at the beginning of a line become the end of a sentence, a table's bars that of a clause;
    what a tag ends, ends a sentence or a line. The rules: emphasis.py, links.py, blocks.py, tags.py.

    In code (between backticks and in fences) all is text. Backticks that are not closed end with their
    line, a fence that is not closed with the text. A flush ends a line.

    cues: what is left as it is.
    """

    def __init__(self, *, cues: Collection[str] = ()) -> None:
        super().__init__(cues=cues)
        self._fence = ""
        """The row of marks that opened the block of code we are in."""
        self._begun = False
        """Whether something of this line was taken that is no mark of its beginning."""
        self._marked = False
        """Whether such a mark was."""
        self._row_before = False
        self._quote = self._quote_before = False

    def flush(self) -> str:
        rest = super().flush()
        self._end_line()
        self._row_before = self._quote_before = False
        return rest

    def step(self) -> None:
        if self.cut_is_here():
            return
        char = self.text[self.at]
        if self._fence and not self._begun:
            self._fenced_line()
        elif char in NEWLINES:
            self._newline()
        elif self._fence:
            self.copy_all(_TO_LINE_END)
        elif not self._begun and (char.isspace() or char in INVISIBLE):
            self._indent()
        elif self._begun or not self._block():
            self._begun = True
            self.inline(char)

    def _newline(self) -> None:
        ends = (self.line.heading or self.line.row) and self.newlines == 0
        self.copy(1)
        if ends:
            self.end_sentence(0)
        if self.newlines > 1:
            self.emphasis.clear()
        self._end_line()

    def _end_line(self) -> None:
        self._row_before, self._quote_before = self.line.row, self._quote
        self._begun = self._marked = self._quote = False
        self.end_line()

    def _indent(self) -> None:
        length = self.length_of(_INDENT)
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
        """Take what the line begins with, if that is a mark."""
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
                self.emphasis.clear()
                self.line.item = block.kind is BlockKind.ITEM
                self.line.heading = block.kind is BlockKind.HEADING
                self.line.row = self._begun = block.kind is BlockKind.ROW
                self.end_sentence(block.length)
        return True

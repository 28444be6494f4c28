"""The rule for emphasis: which rows of `*`, `_` and `~` are marks and which are text.

It is CommonMark's rule with two changes. A mark is decided by the characters on both sides and by the
marks that are open, not by the closing mark, so nothing waits; an opener that is never closed is
removed all the same. And Han and kana count as punctuation, since they stand without blanks:
`这是**重点**吗`.

A row is text with blanks on both sides (`3 * 4`), between two digits (2*3*4), and between two letters
of a script with blanks (a_b, a*b), except `**` around a part of a word. A single `*` or `_` opens only
after a blank, an opening bracket or quote, or Chinese; so `/usr/_x`, `f(x)*(y)` and `*.py` stay.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from ..segmentation.scripts import is_cjk

_OPENERS: Final = frozenset("([{<\"'“‘«‹「『《〈【（〔¿¡*_~—–")
_NOT_OPENED: Final = frozenset(".,/;:)]}!?%=<>|+、。，；：？！）】》」』")
"""A single mark does not open before these."""
_SENTENCE_ENDS: Final = frozenset(".!?…,。！？，”\"'’")
_EMOJI_PARTS: Final = frozenset("\ufe0f\u20e3")
"""Before these a mark belongs to a picture: the keycap `*`."""
_DECORATION: Final = 3
"""Fewest marks of a decoration: a gap to fill in, a drawn line."""


class Emphasis:
    """Counts the open marks of each kind in one paragraph."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def clear(self) -> None:
        """Begin a paragraph."""
        self._open.clear()

    def is_mark(
        self, mark: str, length: int, before: str, after: str, *, closed: bool = False
    ) -> bool:
        """Whether a row of `length` marks is a mark and not text. Notes what it opens or closes.

        before, after: the characters beside it, "" at the ends of a line or text. closed: whether as
        many marks follow in the same word.
        """
        if mark == "~":
            return length > 1
        if after in _EMOJI_PARTS:
            return False
        blank_before, blank_after = (not char or char.isspace() for char in (before, after))
        if blank_before and blank_after:
            line_end = not before or not after or before == "\n" or after == "\n"
            return length >= _DECORATION or (mark == "*" and length > 1 and line_end)
        if self._between(mark, length, before, after):
            if closed and not (before.isdigit() and after.isdigit()):
                self._open[mark] += length
                return True
            return False
        if not blank_before and self._open[mark] and not (mark == "_" and _in_word(after)):
            self._open[mark] = max(0, self._open[mark] - length)
            return True
        if not blank_after and self._opens(mark, length, before, after):
            self._open[mark] += length
            return True
        if length > 1 and mark == "*":
            return not (before in ")]" and after.isalnum())
        return length >= _DECORATION or (mark == "*" and before in _SENTENCE_ENDS)

    def _between(self, mark: str, length: int, before: str, after: str) -> bool:
        """Whether the row stands inside a word or a number."""
        if before.isdigit() and after.isdigit():
            return True
        if not (_in_word(before) and _in_word(after)):
            return False
        return mark == "_" or length == 1 or not self._open[mark]

    def _opens(self, mark: str, length: int, before: str, after: str) -> bool:
        if _in_word(before):
            return False
        if length > 1:
            return not (before and before in ")]" and after.isalnum() and not is_cjk(after))
        if after in _NOT_OPENED:
            return False
        if is_cjk(before or " "):
            return mark == "*" or is_cjk(after)
        wide_mark = before >= "\u3000" and not before.isalnum()
        return not before or before.isspace() or before in _OPENERS or wide_mark


def _in_word(char: str) -> bool:
    """Whether `char` is a letter or digit of a script with blanks between words."""
    return char.isalnum() and not is_cjk(char)

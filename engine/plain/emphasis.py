"""Which rows of `*`, `_` and `~` are marks: the rule alone.

It is that of CommonMark, with two changes. A mark is decided by the character on either side and by
which ones are open, not by looking for the closing one, so that nothing waits: an opener that is never
closed goes all the same. And Han and kana count as punctuation does, for they stand without blanks:
`这是**重点**吗`.

A row with blanks on both sides is none (`3 * 4`), nor is one between two digits (2*3*4) or between
two letters of a script that has blanks (a_b, a*b), but for `**` around a part of a word. A single `*` or `_`
opens after a blank, an opening bracket or quote, or Chinese; so `/usr/_x`, `f(x)*(y)` and `*.py` stay.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from ..segmentation.scripts import is_cjk

_OPENERS: Final = frozenset("([{<\"'“‘«‹「『《〈【（〔¿¡*_~—–")
_NOT_OPENED: Final = frozenset(".,/;:)]}!?%=<>|+、。，；：？！）】》」』")
"""What a single mark does not open before."""
_SENTENCE_ENDS: Final = frozenset(".!?…,。！？，”\"'’")
_EMOJI_PARTS: Final = frozenset("\ufe0f\u20e3")
"""After them the mark is a picture's: the keycap `*`."""
_DECORATION: Final = 3
"""Marks in a row that mean nothing else: a gap to fill in, a line drawn."""


class Emphasis:
    """Of one paragraph: how many marks of each kind are open."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def clear(self) -> None:
        """A paragraph ends."""
        self._open.clear()

    def is_mark(
        self, mark: str, length: int, before: str, after: str, *, closed: bool = False
    ) -> bool:
        """Whether a row of `length` marks is one, and not text. Notes what it opens or closes.

        before, after: the characters beside it, "" at the ends of lines and texts. closed: whether
        as many marks follow in the same word.
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
        """Whether it stands inside of a word or a number."""
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
    """Whether it is a letter or digit of a script that has blanks between words."""
    return char.isalnum() and not is_cjk(char)

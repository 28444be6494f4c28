"""The input and output of rules: folded text, a place in it, and the words found there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

THIN: Final = "\u202f"
"""The folded form of every thin or no-break blank: one that may stand inside a number."""

THIN_BLANKS: Final = "\u00a0\u2006\u2007\u2008\u2009\u200a\u202f"

_FOLDED: Final = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    **{0x2080 + digit: ord("0") + digit for digit in range(10)},
    **dict.fromkeys(map(ord, THIN_BLANKS), ord(THIN)),
    **dict.fromkeys(map(ord, "\u3000\t\n\r"), ord(" ")),
    **dict.fromkeys(map(ord, "−﹣‐‑"), ord("-")),
    **dict.fromkeys(map(ord, "〜∼"), ord("~")),
    **dict.fromkeys(map(ord, "’‘′"), ord("'")),
    **dict.fromkeys(map(ord, "″"), ord('"')),
    **dict.fromkeys(map(ord, "⁄∕"), ord("/")),
    **dict.fromkeys(map(ord, "✕✖⨯"), ord("×")),
    **dict(zip(map(ord, "￥￡￠￦≧≦⩾⩽∶µÅ˚"), map(ord, "¥£¢₩≥≤≥≤:μÅ°"), strict=True)),
}


def fold(text: str) -> str:
    """`text` with one spelling for each sign that the rules know; its length stays the same."""
    return text if text.isascii() and text.isprintable() else text.translate(_FOLDED)


REACH: Final = 24
"""Characters before an expression that a rule may look at."""


class Found(NamedTuple):
    """An expression that ends at `end`, and its words.

    parts: its parts in order, if the text has blanks between them.
    """

    end: int
    words: str
    parts: tuple[Found, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A place where an expression may begin: text[at:]. text: folded. language: "en" or "zh"."""

    text: str
    at: int
    language: str

    @property
    def zh(self) -> bool:
        return self.language == "zh"

    @property
    def before(self) -> str:
        """The last characters before this place."""
        return self.text[max(0, self.at - REACH) : self.at]

    def pick(self, english: str, chinese: str) -> str:
        """The one in the language of this place."""
        return chinese if self.language == "zh" else english

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Match `pattern` at this place."""
        return pattern.match(self.text, self.at)

"""What a rule is given, and what it gives back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

REACH: Final = 24
"""How far before an expression a rule may look, in characters."""

HAN: Final = "\u3400-\u4dbf\u4e00-\u9fff"
"""For character classes of regular expressions."""


class Found(NamedTuple):
    """An expression up to `end` in the text, and the words for it.

    parts: its words one after another, with their ends, where the text has blanks between them.
    """

    end: int
    words: str
    parts: tuple[Found, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where an expression may begin. text: folded. language: "en" or "zh"."""

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
        return chinese if self.language == "zh" else english

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        return pattern.match(self.text, self.at)

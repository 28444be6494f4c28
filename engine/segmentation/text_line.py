"""One line of text, and what it looks like: prose, a title, verse."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from .boundaries import abbreviation
from .characters import weight
from .line_words import goes_on, may_go_on, takes_name
from .scripts import is_cjk

KEPT: Final = 160
"""Characters of a line that are kept; a longer one was not wrapped."""
WORD: Final = 24
"""Characters of a line's first word that are looked at."""
CONTINUING: Final = frozenset(",;:.!?)]}%，。、；：？！）】」』》〉’”％…·‰")
"""Marks that begin no line."""
_QUOTE: Final = re.compile(r"\s*(?:>\s?)+")
_WORDS: Final = re.compile(r"[^\W_]+(?:['’.&-][^\W_]+)*\.?")
_INNER_END: Final = re.compile(r"([^\W\d_]{2,})[.!?][\"'”’)]*\s+\S+\s+\S")
_HAN_MARK: Final = re.compile("[，。；：！？、]")


@dataclass(slots=True)
class EndedLine:
    """A line that has ended. text: all of it, or KEPT characters from its start and end.

    successor: what the next item of its list will begin with, if it has one. width: in columns.
    """

    text: str
    successor: str = ""
    width: int = field(init=False)
    body: str = field(init=False)
    quoted: bool = field(init=False)
    words: list[str] = field(init=False)
    wide: bool = field(init=False)

    def __post_init__(self) -> None:
        self.width = sum(map(weight, self.text.rstrip()))
        quote = _QUOTE.match(self.text)
        self.quoted = quote is not None
        self.body = self.text[quote.end() if quote else 0 :].strip()
        self.words = _WORDS.findall(self.body)
        letters = [char for char in self.body if char.isalpha()]
        self.wide = 2 * sum(map(is_cjk, letters)) > len(letters)

    @property
    def last(self) -> str:
        """The last word, "" if something else ends the line."""
        return self.words[-1] if self.words and self.body.endswith(self.words[-1]) else ""

    @property
    def titled(self) -> bool:
        """Whether it is written like a title, a name or an address."""
        major = [
            word
            for word in self.words
            if not (goes_on(word) or may_go_on(word) or takes_name(word))
        ]
        capitals = sum(not word[0].islower() for word in major)
        return len(major) > 1 and 4 * capitals > 3 * len(major)

    @property
    def heading(self) -> bool:
        return self.body.startswith("#") or (self.body.startswith("|") and self.body.endswith("|"))

    @property
    def running(self) -> bool:
        """Whether a sentence ends inside of it and another goes on for some words."""
        return any(abbreviation(found.group(1)) is None for found in _INNER_END.finditer(self.body))

    @property
    def marked(self) -> bool:
        """Whether it has a Chinese mark before its end."""
        return _HAN_MARK.search(self.body, 0, len(self.body) - 1) is not None

    @property
    def couplet(self) -> bool:
        """Whether one mark parts it in halves: two lines of verse written as one."""
        marks = [found.start() for found in _HAN_MARK.finditer(self.body)]
        return len(marks) == 1 and 2 * marks[0] + 1 == len(self.body)

    @property
    def begins(self) -> int:
        """Columns of its first word and the blank before it; in Chinese, of what cannot be parted."""
        if not self.body or is_cjk(self.body[0]):
            return 2 * (1 + sum(char in CONTINUING for char in self.body[1:2]))
        return 1 + sum(map(weight, self.body.split(maxsplit=1)[0][:WORD]))

"""What the stages share: text in, text out, and the map from one to the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from re import Match, Pattern
from typing import Final

from ..origins import Origins
from ..segmentation.characters import is_newline
from ..segmentation.lookahead import NeedMoreText

NEWLINES: Final = "\n\v\f\x85\u2028\u2029"
NL: Final = r"\n\v\f\x85\u2028\u2029"
"""The same for a class in a pattern."""
BLANK: Final = rf"[^\S{NL}]"
"""A pattern's class of blanks within a line."""
INVISIBLE: Final = "\ufeff\u200b\u200c\u200d\u200e\u200f\u2060\u00ad"
_UNSEEN: Final = INVISIBLE + "".join(filter(str.isspace, map(chr, range(0x3001))))


@dataclass(frozen=True, slots=True)
class Construct:
    """Something with an end of its own, such as a tag.

    whole: matches all of it; what follows must not change that. start: matches every beginning of
    it, and better not much else: such text is held back. limit: its most characters.
    """

    whole: Pattern[str]
    start: Pattern[str]
    limit: int

    def match(self, text: str, at: int, final: bool) -> Match[str] | None:
        """The one at `at`, None if none is there. Raises NeedMoreText, if not `final`."""
        found = self.whole.match(text, at, at + self.limit)
        undecided = found is None and not final and len(text) < at + self.limit
        if undecided and self.start.fullmatch(text, at):
            raise NeedMoreText
        return found


class Rewriter(ABC):
    """An incremental stage. A subclass decides, at `at` in `text`, what to do with what begins there.

    last: the last character given out, "" at the beginning and after a flush.
    newlines: line ends given out since the last visible character; 2 at the beginning and after a
        flush, since nothing runs on from there.
    decisions: how often something was decided or found undecided: the work done.
    """

    def __init__(self) -> None:
        self.origins = Origins()
        self.text = ""
        self.at = 0
        self.final = False
        self.last = ""
        self.newlines = 2
        self.decisions = 0
        self._out: list[str] = []

    @property
    def pending(self) -> int:
        """How many characters have come that nothing was decided about yet."""
        return len(self.text)

    def feed(self, text: str) -> str:
        """Take the next piece of text; return what it decides."""
        self.text += text
        return self._advance()

    def flush(self) -> str:
        """The rest of what has come: nothing that follows belongs to it. More text may follow."""
        self.final = True
        rest = self._advance()
        self.final = False
        self.last, self.newlines = "", 2
        return rest

    @abstractmethod
    def step(self) -> None:
        """Give out or drop what is at `at`, at least a character. Raises NeedMoreText to wait."""

    def char(self, offset: int) -> str:
        """The character so far from `at`, "" after the end. Raises NeedMoreText."""
        index = self.at + offset
        if index < len(self.text):
            return self.text[index]
        if self.final:
            return ""
        raise NeedMoreText

    def run_length(self, pattern: Pattern[str], longest: int) -> int:
        """Characters at `at` that match `pattern`, cut to `longest`. Raises NeedMoreText if more may come."""
        found = pattern.match(self.text, self.at, self.at + longest)
        length = 0 if found is None else found.end() - self.at
        if length < longest:
            self.char(length)
        return length

    def copy(self, length: int) -> None:
        """Give out the next characters as they are."""
        text = self.text[self.at : self.at + length]
        self.at += length
        self.origins.copy(length)
        self._give(text)

    def put_same(self, text: str) -> None:
        """Give out `text` for as many characters, one by one."""
        self.at += len(text)
        self.origins.copy(len(text))
        self._give(text)

    def put(self, length: int, text: str) -> None:
        """Give out `text` for the next characters."""
        self.at += length
        self.origins.replace(length, len(text))
        self._give(text)

    def drop(self, length: int) -> None:
        self.put(length, "")

    def end_sentence(self, length: int) -> None:
        """Drop the next characters, and let no sentence go on from the line before."""
        self.put(length, "\n" if self.newlines == 1 else "")

    def _advance(self) -> str:
        try:
            while self.at < len(self.text):
                self.decisions += 1
                self.step()
        except NeedMoreText:
            pass
        self.text = self.text[self.at :]
        self.at = 0
        given = "".join(self._out)
        self._out.clear()
        return given

    def _give(self, text: str) -> None:
        if not text:
            return
        self._out.append(text)
        self.last = text[-1]
        tail = text[len(text.rstrip(_UNSEEN)) :]
        self.newlines = sum(map(is_newline, tail)) + (self.newlines if tail == text else 0)

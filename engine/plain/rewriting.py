"""The base of the stages: text in, text out, and the map from output to input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from re import Match, Pattern
from typing import Final

from ..origins import Origins
from ..segmentation.characters import is_newline
from ..segmentation.lookahead import NeedMoreText

NL: Final = r"\n\v\f\x85\u2028\u2029"
"""NEWLINES for a class in a pattern."""
BLANK: Final = rf"[^\S{NL}]"
"""Pattern of a blank within a line."""
INVISIBLE: Final = "\ufeff\u200b\u200c\u200d\u200e\u200f\u2060\u00ad"
_UNSEEN: Final = INVISIBLE + "".join(filter(str.isspace, map(chr, range(0x3001))))


@dataclass(frozen=True, slots=True)
class Construct:
    """A construct with an end of its own, such as a tag.

    whole: matches a complete one, whatever follows it. start: matches every beginning of one, and
    should match little else, since such text is held back. limit: its most characters.
    """

    whole: Pattern[str]
    start: Pattern[str]
    limit: int

    def match(self, text: str, at: int, final: bool) -> Match[str] | None:
        """Match the construct at `at`, None if there is none. Raises NeedMoreText, unless `final`."""
        found = self.whole.match(text, at, at + self.limit)
        undecided = found is None and not final and len(text) < at + self.limit
        if undecided and self.start.fullmatch(text, at):
            raise NeedMoreText
        return found


class Rewriter(ABC):
    """An incremental stage. A subclass decides in `step` what becomes of the text at `at`.

    origins: the map from the output to the input.
    text: input that is not decided yet, with `at` in it. final: whether it is being flushed.
    last: the last character of the output, "" at the beginning and after a flush.
    newlines: line ends in the output since its last visible character; 2 at the beginning and after a
        flush, since no sentence goes on from there.
    decisions: number of steps taken or put off: the work done.
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
        """The number of input characters that are not decided yet."""
        return len(self.text)

    def feed(self, text: str) -> str:
        """Take the next delta of the text; return the output that it decides."""
        self.text += text
        return self._advance()

    def flush(self) -> str:
        """Decide everything pending and return it. More text may follow."""
        self.final = True
        remaining = self._advance()
        self.final = False
        self.last, self.newlines = "", 2
        return remaining

    @abstractmethod
    def step(self) -> None:
        """Decide at least one character at `at`. Raises NeedMoreText to wait for more."""

    def char(self, offset: int) -> str:
        """The character at `at` + offset, "" past the end. Raises NeedMoreText."""
        index = self.at + offset
        if index < len(self.text):
            return self.text[index]
        if self.final:
            return ""
        raise NeedMoreText

    def matching(self, pattern: Pattern[str], longest: int) -> int:
        """The number of characters at `at` that match, at most `longest`. Raises NeedMoreText."""
        found = pattern.match(self.text, self.at, self.at + longest)
        length = 0 if found is None else found.end() - self.at
        if length < longest:
            self.char(length)
        return length

    def copy(self, length: int) -> None:
        """Write the next characters as they are."""
        text = self.text[self.at : self.at + length]
        self.at += length
        self.origins.copy(length)
        self._give(text)

    def put_same(self, text: str) -> None:
        """Write `text` for as many characters, one for one."""
        self.at += len(text)
        self.origins.copy(len(text))
        self._give(text)

    def put(self, length: int, text: str) -> None:
        """Write `text` for the next `length` characters."""
        self.at += length
        self.origins.replace(length, len(text))
        self._give(text)

    def drop(self, length: int) -> None:
        """Write nothing for the next characters."""
        self.put(length, "")

    def end_sentence(self, length: int) -> None:
        """Drop the next characters and end the sentence of the line before."""
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

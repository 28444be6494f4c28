"""Looking ahead in a text that is still arriving."""

from __future__ import annotations

from dataclasses import dataclass

from .characters import is_blank

MOST_BLANKS = 32
"""Blanks looked past for the next visible character; more count as the end of the text."""


class NeedMoreText(Exception):
    """A decision needs text that has not arrived yet."""


@dataclass(frozen=True, slots=True)
class Lookahead:
    """The text from text[at] on. final: whether no more text will come."""

    text: str
    at: int
    final: bool

    def char(self, offset: int = 0) -> str:
        """The character there, "" past the end. Raises NeedMoreText."""
        index = self.at + offset
        if index < len(self.text):
            return self.text[index]
        if self.final:
            return ""
        raise NeedMoreText

    def after(self, offset: int) -> Lookahead:
        """The look-ahead from `offset` characters further on."""
        return Lookahead(self.text, self.at + offset, self.final)

    def blanks(self) -> int:
        """The number of blanks that come first, at most MOST_BLANKS. Raises NeedMoreText."""
        count = 0
        while count < MOST_BLANKS and (char := self.char(count)) and is_blank(char):
            count += 1
        return count

    def visible(self) -> str:
        """The first character that is not blank, "" if too far or none. Raises NeedMoreText."""
        blanks = self.blanks()
        return self.char(blanks) if blanks < MOST_BLANKS else ""

    def word(self, longest: int) -> str:
        """The next word, with a full stop if one follows; cut short if long. Raises NeedMoreText."""
        blanks = self.blanks()
        length = 0
        while length < longest and self.char(blanks + length).isalpha():
            length += 1
        stop = self.char(blanks + length) == "."
        return self.text[self.at + blanks : self.at + blanks + length + stop]

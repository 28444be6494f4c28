"""What stands after a place in a text that is still coming."""

from __future__ import annotations

from dataclasses import dataclass

from .characters import is_blank

LOOKAHEAD = 32
"""Blanks looked past for the next visible character; more count as the end of the text."""


class MoreText(Exception):
    """The decision needs text that has not come yet."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """The text after a place; `final` if no more will come."""

    text: str
    at: int
    final: bool

    def char(self, offset: int = 0) -> str:
        """The character there, "" past the end. Raises MoreText."""
        index = self.at + offset
        if index < len(self.text):
            return self.text[index]
        if self.final:
            return ""
        raise MoreText

    def after(self, offset: int) -> Ahead:
        """What stands after `offset` more characters."""
        return Ahead(self.text, self.at + offset, self.final)

    def blanks(self) -> int:
        """How many blanks come first, LOOKAHEAD at most. Raises MoreText."""
        count = 0
        while count < LOOKAHEAD and (char := self.char(count)) and is_blank(char):
            count += 1
        return count

    def visible(self) -> str:
        """The first character that is not blank, "" if too far or none. Raises MoreText."""
        blanks = self.blanks()
        return self.char(blanks) if blanks < LOOKAHEAD else ""

    def word(self, longest: int) -> str:
        """The next word, with a full stop if one follows; cut short if long. Raises MoreText."""
        blanks = self.blanks()
        length = 0
        while length < longest and self.char(blanks + length).isalpha():
            length += 1
        stop = self.char(blanks + length) == "."
        return self.text[self.at + blanks : self.at + blanks + length + stop]

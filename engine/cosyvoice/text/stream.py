"""Text tokens of one utterance, each handed out as soon as nothing that follows can change it.

Two facts make that exact. Merges never cross the border of a word (see TextTokenizer.words), and all
words but the last are certain. Inside a word, a byte-level BPE with fixed merge ranks gives every
stretch between two token borders the tokens it would have alone, since no merge ever crossed them.
So whatever comes later, the result up to where its last open token begins is the result of that
prefix alone; what all such prefixes have in common is certain. Chinese needs this: there a word
is a whole clause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from .tokenizer import TextTokenizer


@dataclass(frozen=True, slots=True)
class TextToken:
    """`id`, and the whole[begin:end] it came from. Neighbours overlap where characters are parted."""

    id: int
    begin: int
    end: int


@dataclass(slots=True)
class TokenStream:
    """The tokens of the text pushed so far; equal to the tokens of it all at once."""

    tokenizer: TextTokenizer
    text: str = ""
    _word: str = ""
    _places: list[tuple[int, int]] = field(default_factory=list)
    _handed_bytes: int = 0
    _handed: int = 0

    def push(self, text: str, begin: int, end: int) -> None:
        """Add `text`, which whole[begin:end] became. It must not end in a blank nor part a cluster."""
        if len(text) == end - begin:
            self._places += [(place, place + 1) for place in range(begin, end)]
        else:
            self._places += [(begin, end)] * len(text)
        self._word += text
        self.text += text

    def push_special(self, name: str, begin: int, end: int) -> list[TextToken]:
        """Add a special token; returns what is certain: all there is."""
        tokens = self.flush()
        self.text += name
        self._handed += 1
        return [*tokens, TextToken(self.tokenizer.special[name], begin, end)]

    def count(self, more: str = "") -> int:
        """How many tokens the text so far has, with `more` after it."""
        words = self.tokenizer.words(self._word + more)
        found = sum(len(self.tokenizer.merge(spelling)) for spelling, _ in words)
        return self._handed - self._handed_in_word() + found

    def most(self, more: str = "") -> int:
        """No less than `count`, and cheap."""
        return self._handed + 4 * (len(self._word) + len(more))

    def take(self) -> list[TextToken]:
        """The tokens that have become certain since the last call."""
        words = self.tokenizer.words(self._word)
        if not words:
            return []
        tokens: list[TextToken] = []
        for spelling, size in words[:-1]:
            tokens += self._hand(self.tokenizer.merge(spelling))
            self._leave_word(size)
        spelling = words[-1][0]
        if self._word[-1].isalpha():
            tokens += self._hand(self._certain(spelling))
        return tokens

    def flush(self) -> list[TextToken]:
        """The rest: what comes next is not joined to the text so far."""
        tokens: list[TextToken] = []
        for spelling, size in self.tokenizer.words(self._word):
            tokens += self._hand(self.tokenizer.merge(spelling))
            self._leave_word(size)
        return tokens

    def _certain(self, spelling: str) -> list[tuple[int, int]]:
        """The tokens that the open word begins with, however it goes on."""
        ways = [
            self.tokenizer.merge(spelling[:place]) for place in self.tokenizer.open_starts(spelling)
        ]
        return [
            steps[0]
            for steps in takewhile(
                lambda steps: steps.count(steps[0]) == len(steps), zip(*ways, strict=False)
            )
        ]

    def _hand(self, merged: Sequence[tuple[int, int]]) -> list[TextToken]:
        """Those of the first word's tokens that were not handed out yet."""
        tokens = []
        owners = self._owners()
        at = 0
        for number, size in merged:
            if at >= self._handed_bytes:
                begin = self._places[owners[at]][0]
                tokens.append(TextToken(number, begin, self._places[owners[at + size - 1]][1]))
            at += size
        self._handed_bytes = max(self._handed_bytes, at)
        self._handed += len(tokens)
        return tokens

    def _owners(self) -> list[int]:
        """For each byte of the text not left yet, the character it is of."""
        return [
            place for place, char in enumerate(self._word) for _ in range(len(char.encode("utf-8")))
        ]

    def _leave_word(self, size: int) -> None:
        self._word = self._word[size:]
        del self._places[:size]
        self._handed_bytes = 0

    def _handed_in_word(self) -> int:
        """How many tokens of the open word were handed out."""
        if not self._handed_bytes:
            return 0
        at = count = 0
        for _, size in self.tokenizer.merge(self.tokenizer.words(self._word)[0][0]):
            if at >= self._handed_bytes:
                break
            at += size
            count += 1
        return count

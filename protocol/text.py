"""The text of a task: how its characters count, how much of it may come, and how it is kept as it grows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .errors import TextTooLong

# The blocks of the Unicode script Han that hold ideographs: with their extensions and compatibility
# forms, and the whole of planes 2 and 3, which are set aside for more of them.
_HAN: Final = re.compile(
    "[\u2e80-\u2fd5\u3005\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003fffd]"
)


def count_characters(text: str) -> int:
    """Every code point counts, blanks included; a Han character counts twice."""
    return len(text) + sum(1 for _ in _HAN.finditer(text))


@dataclass(frozen=True, slots=True)
class TextLimits:
    """The most characters (code points) that one message, and all messages of a task, may carry."""

    message: int = 20_000
    task: int = 200_000

    def check(self, text: str, before: int = 0) -> None:
        """Raises TextTooLong if `text` is too long, by itself or after `before` characters."""
        if len(text) > self.message:
            raise TextTooLong(
                f"text: {len(text)} characters in one message; allowed: {self.message}"
            )
        if before + len(text) > self.task:
            raise TextTooLong(
                f"text: {before + len(text)} characters in one task; allowed: {self.task}"
            )


_BLOCK: Final = 1024


class GrowingText:
    """A text that is appended to. Appending and reading take time by the length of the piece alone."""

    def __init__(self) -> None:
        self._blocks: list[str] = []  # of _BLOCK code points each
        self._tail = ""  # what is not a whole block yet

    def __len__(self) -> int:
        return len(self._blocks) * _BLOCK + len(self._tail)

    def append(self, text: str) -> None:
        """Add the next piece."""
        tail = self._tail + text
        whole = len(tail) - len(tail) % _BLOCK
        self._blocks += (tail[begin : begin + _BLOCK] for begin in range(0, whole, _BLOCK))
        self._tail = tail[whole:]

    def part(self, begin: int, end: int | None = None) -> str:
        """As a slice of the whole text is, from `begin` >= 0 to `end` >= 0, None: to its end."""
        end = len(self) if end is None else min(end, len(self))
        if begin >= end:
            return ""
        first, last = begin // _BLOCK, -(-end // _BLOCK)
        blocks = self._blocks[first:last]
        if last > len(self._blocks):
            blocks.append(self._tail)
        return "".join(blocks)[begin - first * _BLOCK : end - first * _BLOCK]

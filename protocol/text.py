"""A text that comes in pieces."""

from __future__ import annotations

from typing import Final

_BLOCK: Final = 1024


class GrowingText:
    """Code points; to append and to read a part cost what the piece and the part cost, however
    long the text is.
    """

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._tail = ""

    def __len__(self) -> int:
        return len(self._blocks) * _BLOCK + len(self._tail)

    def append(self, text: str) -> None:
        """The text goes on."""
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

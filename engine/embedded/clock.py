"""When each word of a text is heard, from the marks that espeak tells."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ..segmentation.characters import is_spoken
from .espeak import WordMark
from .frames import SpokenWord


class _Group(NamedTuple):
    """The words from `first` on are heard from `begin` on, as far as the next mark goes.

    told: whether the mark was at the word `first`. within: later marks that told of no further word.
    """

    begin: int
    first: int
    told: bool
    within: tuple[int, ...]


class WordClock:
    """An incremental transform: marks in, words with their times out, each word once and in order.

    Words that no mark tells of share the time of the one before by their lengths. Signs that are spoken
    only at times (emoji) are words where a mark tells of them.

    text: what is spoken. words: where its words lie, in order and apart.
    """

    def __init__(self, text: str, words: Sequence[tuple[int, int]]) -> None:
        self._text = text
        self._words = words
        self._begins = [begin for begin, _ in words]
        self._group = _Group(0, 0, False, ())

    @property
    def open_since(self) -> int | None:
        """The sample at which words begin whose end is not yet known, None if there are none."""
        return self._group.begin if self._group.first < len(self._words) else None

    def feed(
        self, marks: Iterable[WordMark], sounding: Callable[[int, int], int]
    ) -> list[SpokenWord]:
        """Take marks in the order of their samples; return the words that end with them.

        sounding: where the sound of begin..end ends, before the silence that it may end in.
        """
        found: list[SpokenWord] = []
        for mark in marks:
            found += self._note(mark, sounding)
        return found

    def finish(self, end: int, sounding: Callable[[int, int], int]) -> list[SpokenWord]:
        """The text is spoken, in `end` samples: return the rest of the words."""
        group = self._group
        self._group = group._replace(first=len(self._words))
        return self._timed(group, len(self._words), max(end, group.begin), sounding)

    def _note(self, mark: WordMark, sounding: Callable[[int, int], int]) -> list[SpokenWord]:
        group = self._group
        following = bisect_right(self._begins, mark.position)
        told = following > 0 and mark.position < self._words[following - 1][1]
        if told:
            following -= 1
        elif not 0 <= mark.position < len(self._text) or self._text[mark.position].isspace():
            return []
        if following < group.first or (following == group.first and group.told):
            if told:  # another part of a word that is being spoken
                self._group = group._replace(within=(*group.within, mark.sample))
            return []
        if mark.sample <= group.begin and following > group.first:
            return []  # all that came before would take no time
        self._group = _Group(max(mark.sample, group.begin), following, told, ())
        return self._timed(group, following, self._group.begin, sounding)

    def _timed(
        self, group: _Group, following: int, end: int, sounding: Callable[[int, int], int]
    ) -> list[SpokenWord]:
        """The words of a group that the word `following` ends."""
        indices = [
            index
            for index in range(group.first, following)
            if (group.told and index == group.first) or self._is_spoken(index)
        ]
        if not indices:
            return []
        end = max(group.begin, sounding(group.begin, end))
        if len(indices) == 2 and group.within and group.told:
            # A number after a Han is told as if it were part of it, its digits one by one.
            borders = [group.begin, min(group.within[0], end), end]
        else:
            lengths = [self._words[index][1] - self._words[index][0] for index in indices]
            whole, before, borders = sum(lengths), 0, [group.begin]
            for length in lengths:
                before += length
                borders.append(group.begin + (end - group.begin) * before // whole)
        return [
            SpokenWord(borders[number], borders[number + 1], index)
            for number, index in enumerate(indices)
        ]

    def _is_spoken(self, index: int) -> bool:
        begin, end = self._words[index]
        return any(map(is_spoken, self._text[begin:end]))

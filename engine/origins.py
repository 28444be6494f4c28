"""The map from places in a text that was made from another one to places in that source."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple, Self


class _DerivedStretch(NamedTuple):
    """The derived text from `begin` to the next stretch, which stands for source[first:last].

    copies: whether its characters stand for the source's one for one, and not as a whole.
    """

    begin: int
    first: int
    last: int
    copies: bool


class Origins:
    """Maps places in a derived text to places in its source; built from the front, as the text is made.

    Memory grows with the number of replacements, not with the text.
    """

    __slots__ = ("_length", "_source_length", "_stretches")

    def __init__(self) -> None:
        self._stretches: list[_DerivedStretch] = []
        self._length = 0
        self._source_length = 0

    @classmethod
    def same(cls, length: int) -> Self:
        """The map of a text that is its source."""
        origins = cls()
        origins.copy(length)
        return origins

    @property
    def length(self) -> int:
        """The length of the derived text so far."""
        return self._length

    @property
    def source_length(self) -> int:
        """The length of the source that the derived text stands for so far."""
        return self._source_length

    def copy(self, length: int) -> None:
        """Add `length` characters that stand for as many of the source, one for one."""
        self._add(length, self._source_length, self._source_length + length, copies=True)

    def replace(self, source_length: int, length: int) -> None:
        """Add `length` characters that stand for `source_length` of the source; either may be 0."""
        end = self._source_length + source_length
        self._add(length, self._source_length, end, copies=False)

    def extend(self, following: Origins) -> None:
        """Add another map: of the text that comes next, to the source that comes next."""
        before = self._source_length
        for stretch, end in following._bounded(0, following.length):
            first, last = before + stretch.first, before + stretch.last
            self._add(end - stretch.begin, first, last, copies=stretch.copies)
        self._source_length = before + following.source_length

    def source(self, begin: int, end: int) -> tuple[int, int]:
        """The stretch of the source that derived[begin:end] stands for.

        A part of a replacement stands for all that it replaces. An empty stretch gives an empty one.
        Raises ValueError unless 0 <= begin <= end <= length.
        """
        if not 0 <= begin <= end <= self._length:
            raise ValueError(f"{begin}:{end} is not within 0:{self._length}")
        first = self._first(begin)
        if begin == end:
            return first, first
        stretch = self._stretches[self._index(end - 1)]
        return first, stretch.first + end - stretch.begin if stretch.copies else stretch.last

    def then(self, following: Origins) -> Origins:
        """Compose: the map from the text that `following` derives from this derived text, to this source.

        Raises ValueError if `following` goes beyond this map.
        """
        if following.source_length > self._length:
            raise ValueError("the second map goes beyond the first")
        joined = Origins()
        for stretch, end in following._bounded(0, following.length):
            if stretch.copies:
                for part, part_end in self._bounded(stretch.first, stretch.last):
                    joined._add(part_end - part.begin, part.first, part.last, copies=part.copies)
            else:
                first, last = self.source(stretch.first, stretch.last)
                joined._add(end - stretch.begin, first, last, copies=False)
        joined._source_length = self.source(0, following.source_length)[1]
        return joined

    def _bounded(self, begin: int, end: int) -> Iterator[tuple[_DerivedStretch, int]]:
        """The stretches of derived[begin:end], cut to it, each with its end."""
        index = self._index(begin)
        while begin < end:
            stretch = self._stretches[index]
            index += 1
            following = self._stretches[index].begin if index < len(self._stretches) else end
            last = min(end, following)
            if stretch.copies:
                first = stretch.first + begin - stretch.begin
                yield _DerivedStretch(begin, first, first + last - begin, True), last
            else:
                yield stretch._replace(begin=begin), last
            begin = last

    def _add(self, length: int, first: int, last: int, *, copies: bool) -> None:
        self._source_length = max(self._source_length, last)
        if not length:
            return
        previous = self._stretches[-1] if self._stretches else None
        if previous is not None and copies and previous.copies and previous.last == first:
            self._stretches[-1] = previous._replace(last=last)
        else:
            self._stretches.append(_DerivedStretch(self._length, first, last, copies))
        self._length += length

    def _index(self, place: int) -> int:
        return bisect_right(self._stretches, place, key=lambda stretch: stretch.begin) - 1

    def _first(self, place: int) -> int:
        if place == self._length:
            return self._source_length
        stretch = self._stretches[self._index(place)]
        return stretch.first + place - stretch.begin if stretch.copies else stretch.first

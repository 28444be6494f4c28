"""When each word of a text is heard, from the marks that espeak tells.

Cuts the sound of one job into chunks, each with the whole words that begin in it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import NamedTuple

from ..segmentation.characters import is_spoken
from .espeak import SAMPLE_RATE, WordMark
from .frames import SpokenWord


class _WordGroup(NamedTuple):
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
        self._group = _WordGroup(0, 0, False, ())

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
        self._group = _WordGroup(max(mark.sample, group.begin), following, told, ())
        return self._timed(group, following, self._group.begin, sounding)

    def _timed(
        self, group: _WordGroup, following: int, end: int, sounding: Callable[[int, int], int]
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


_FIRST_SIZES = (0.06, 0.12, 0.24)
_SIZE = 0.4
"""Seconds. The first sound of a task comes in small chunks, so that it is heard at once; then fewer,
longer ones cost less to encode and send."""


class TimedSound(NamedTuple):
    pcm: bytes
    words: tuple[SpokenWord, ...]


def part_sizes(first: bool) -> Iterator[int]:
    """Samples in each chunk of a job, for ever."""
    seconds = chain(_FIRST_SIZES if first else (), repeat(_SIZE))
    return (round(s * SAMPLE_RATE) for s in seconds)


class SoundCutter:
    """An incremental transform: espeak's buffers in, chunks out.

    A chunk waits until the last word that begins in it has ended, which takes a fraction of a
    millisecond more of synthesis and lets every word go with the sound it begins in.

    clock: tells the words. skip: samples at the start that somebody has already.
    """

    def __init__(self, clock: WordClock, sizes: Iterable[int], skip: int = 0) -> None:
        self._clock = clock
        self._sizes = iter(sizes)
        self._size = next(self._sizes)
        self._skip = skip
        self._base = 0
        self._pcm = bytearray()
        self._words: list[SpokenWord] = []

    @property
    def position(self) -> int:
        """Samples of the job given out or skipped so far."""
        return self._base

    def feed(self, pcm: bytes, marks: list[WordMark]) -> list[TimedSound]:
        """Take a buffer and the marks that lie in it; return the chunks that it completes."""
        self._pcm += pcm
        self._take(self._clock.feed(marks, self._sounding))
        self._drop_skipped()
        chunks = []
        # A sample is kept for words of no length at the very end.
        while self._length > self._size and not self._waits_for_word():
            chunks.append(self._cut(self._size))
            self._size = next(self._sizes)
        return chunks

    def finish(self) -> list[TimedSound]:
        """The job is spoken: return the rest of it."""
        self._take(self._clock.finish(self._base + self._length, self._sounding))
        self._drop_skipped()
        return [self._cut(self._length)] if self._pcm else []

    @property
    def _length(self) -> int:
        return len(self._pcm) // 2

    def _take(self, words: list[SpokenWord]) -> None:
        last = self._base + self._length - 1
        for word in words:
            word = word._replace(begin=min(word.begin, last), end=min(word.end, last + 1))
            if word.begin >= self._skip:
                self._words.append(word)

    def _sounding(self, begin: int, end: int) -> int:
        """Where the sound of begin..end ends, without the silence that follows."""
        sound = self._pcm[2 * max(0, begin - self._base) : 2 * max(0, end - self._base)]
        return max(begin, self._base) + (len(sound.rstrip(b"\0")) + 1) // 2

    def _waits_for_word(self) -> bool:
        since = self._clock.open_since
        return since is not None and since < self._base + self._size

    def _drop_skipped(self) -> None:
        """But keep the sound of words whose end is not known: it tells where they end."""
        since = self._clock.open_since
        skip = self._skip if since is None else min(self._skip, since)
        count = min(skip - self._base, self._length)
        if count > 0:
            del self._pcm[: 2 * count]
            self._base += count

    def _cut(self, size: int) -> TimedSound:
        end = self._base + size
        words = tuple(word for word in self._words if word.begin < end)
        del self._words[: len(words)]
        pcm = bytes(self._pcm[: 2 * size])
        del self._pcm[: 2 * size]
        self._base = end
        return TimedSound(pcm, words)

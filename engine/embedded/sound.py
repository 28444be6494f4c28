"""The sound of one job on its way out of a worker: cut into parts, each with the words that begin in it.

A synthesiser's sound and marks -> WordClock (when each word is heard) -> SoundCutter -> TimedSound
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import NamedTuple

from ..segmentation.characters import is_spoken
from .frames import SAMPLE_RATE, SpokenWord


class WordMark(NamedTuple):
    """Where the text is heard: from `position` on, in code points, from `sample` on.

    espeak-ng sends one mark for several words that its dictionary has as one ("no one", 银行), several
    for the digits of a number or the syllables of a sign, and now and then one that goes back.
    """

    sample: int
    position: int


class _WordGroup(NamedTuple):
    """The words from `first` on, which are heard from the sample `begin` on until the next mark.

    exact: whether the mark lies in the word `first`. within: samples of later marks in that word.
    """

    begin: int
    first: int
    exact: bool
    within: tuple[int, ...]


class WordClock:
    """Times the words of a job: marks in, words with their times out, each once and in order.

    Words without a mark share the time of the word before them in proportion to their lengths. Signs
    that are spoken only at times (emoji) count as words if they have a mark.

    text: what is spoken. words: its words (begin, end), in order and disjoint.
    """

    def __init__(self, text: str, words: Sequence[tuple[int, int]]) -> None:
        self._text = text
        self._words = words
        self._begins = [begin for begin, _ in words]
        self._group = _WordGroup(0, 0, False, ())

    @property
    def open_since(self) -> int | None:
        """The sample at which words begin whose end is not known yet, None if there are none."""
        return self._group.begin if self._group.first < len(self._words) else None

    def feed(
        self, marks: Iterable[WordMark], sound_end: Callable[[int, int], int]
    ) -> list[SpokenWord]:
        """Take marks in the order of their samples; return the words that end with them.

        sound_end: gives the sample at which the sound of begin..end ends, without the silence after it.
        """
        found: list[SpokenWord] = []
        for mark in marks:
            found += self._note(mark, sound_end)
        return found

    def finish(self, end: int, sound_end: Callable[[int, int], int]) -> list[SpokenWord]:
        """End the job, which has `end` samples; return the remaining words."""
        group = self._group
        self._group = group._replace(first=len(self._words))
        return self._timed(group, len(self._words), max(end, group.begin), sound_end)

    def _note(self, mark: WordMark, sound_end: Callable[[int, int], int]) -> list[SpokenWord]:
        group = self._group
        following = bisect_right(self._begins, mark.position)
        exact = following > 0 and mark.position < self._words[following - 1][1]
        if exact:
            following -= 1
        elif not 0 <= mark.position < len(self._text) or self._text[mark.position].isspace():
            return []
        if following < group.first or (following == group.first and group.exact):
            if exact:  # another part of the word that is being spoken
                self._group = group._replace(within=(*group.within, mark.sample))
            return []
        if mark.sample <= group.begin and following > group.first:
            return []  # the words before it would take no time
        self._group = _WordGroup(max(mark.sample, group.begin), following, exact, ())
        return self._timed(group, following, self._group.begin, sound_end)

    def _timed(
        self, group: _WordGroup, following: int, end: int, sound_end: Callable[[int, int], int]
    ) -> list[SpokenWord]:
        """Time the words of a group that ends before the word `following`."""
        indices = [
            index
            for index in range(group.first, following)
            if (group.exact and index == group.first) or self._is_spoken(index)
        ]
        if not indices:
            return []
        end = max(group.begin, sound_end(group.begin, end))
        if len(indices) == 2 and group.within and group.exact:
            # espeak marks a number after a Han character as part of it, digit by digit.
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
"""Seconds. The first parts of a task are short, so that it is heard at once; later ones are longer and
cost less to encode and send."""


class TimedSound(NamedTuple):
    """A part of a job's sound, and the words that begin in it."""

    pcm: bytes
    words: tuple[SpokenWord, ...]


def part_sizes(first: bool) -> Iterator[int]:
    """Yield the samples of each part of a job, without end. first: whether the task begins with it."""
    seconds = chain(_FIRST_SIZES if first else (), repeat(_SIZE))
    return (round(s * SAMPLE_RATE) for s in seconds)


class SoundCutter:
    """Cuts a job's sound: buffers in, parts out.

    A part waits until the last word that begins in it has ended. That takes a fraction of a
    millisecond of synthesis more and lets each word go out with the sound it begins in.

    sizes: samples of each part. skip: samples at the start that were given out before.
    """

    def __init__(self, clock: WordClock, sizes: Iterable[int], skip: int = 0) -> None:
        self._clock = clock
        self._sizes = iter(sizes)
        self._size = next(self._sizes)
        self._skip = skip
        self._base = 0
        """The sample of the job at which `_pcm` begins."""
        self._pcm = bytearray()
        """Sound that is not given out yet."""
        self._words: list[SpokenWord] = []
        """Words that are not given out yet."""

    @property
    def position(self) -> int:
        """Samples of the job that were given out or skipped."""
        return self._base

    def feed(self, pcm: bytes, marks: list[WordMark]) -> list[TimedSound]:
        """Take a buffer and the marks in it; return the parts that it completes."""
        self._pcm += pcm
        self._take(self._clock.feed(marks, self._sound_end))
        self._drop_skipped()
        parts = []
        # One sample is kept for words of no length at the very end.
        while self._length > self._size and not self._waits_for_word():
            parts.append(self._cut(self._size))
            self._size = next(self._sizes)
        return parts

    def finish(self) -> list[TimedSound]:
        """End the job; return its last part."""
        self._take(self._clock.finish(self._base + self._length, self._sound_end))
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

    def _sound_end(self, begin: int, end: int) -> int:
        """The sample at which the sound of begin..end ends, without the silence after it."""
        sound = self._pcm[2 * max(0, begin - self._base) : 2 * max(0, end - self._base)]
        return max(begin, self._base) + (len(sound.rstrip(b"\0")) + 1) // 2

    def _waits_for_word(self) -> bool:
        since = self._clock.open_since
        return since is not None and since < self._base + self._size

    def _drop_skipped(self) -> None:
        """Drop samples to skip, except the sound of words whose end is not known: it shows where they end."""
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

"""Cuts the sound of one job into chunks, each with the whole words that begin in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import NamedTuple

from .clock import WordClock
from .espeak import SAMPLE_RATE, WordMark
from .frames import SpokenWord

_FIRST_SIZES = (0.06, 0.12, 0.24)
_SIZE = 0.4
"""Seconds. The first sound of a task comes in small chunks, so that it is heard at once; then fewer,
longer ones cost less to encode and send."""


class TimedPcm(NamedTuple):
    pcm: bytes
    words: tuple[SpokenWord, ...]


def chunk_sizes(first: bool) -> Iterator[int]:
    """Samples in each chunk of a job, for ever."""
    seconds = chain(_FIRST_SIZES if first else (), repeat(_SIZE))
    return (round(s * SAMPLE_RATE) for s in seconds)


class ChunkCutter:
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

    def feed(self, pcm: bytes, marks: list[WordMark]) -> list[TimedPcm]:
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

    def finish(self) -> list[TimedPcm]:
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

    def _cut(self, size: int) -> TimedPcm:
        end = self._base + size
        words = tuple(word for word in self._words if word.begin < end)
        del self._words[: len(words)]
        pcm = bytes(self._pcm[: 2 * size])
        del self._pcm[: 2 * size]
        self._base = end
        return TimedPcm(pcm, words)

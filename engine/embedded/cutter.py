"""Cuts the sound of one job into chunks, each with the whole words that begin in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import NamedTuple

from .espeak import SAMPLE_RATE, WordMark
from .frames import SpokenWord

_FIRST_SIZES = (0.06, 0.12, 0.24)
_SIZE = 0.4
"""Seconds. The first sound of a task comes in small chunks, so that it is heard at once; then fewer,
longer ones cost less to encode and send."""


class Chunk(NamedTuple):
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

    text: what is spoken. skip: samples at the start that somebody has already.
    """

    def __init__(self, text: str, sizes: Iterable[int], skip: int = 0) -> None:
        self._text = text
        self._sizes = iter(sizes)
        self._size = next(self._sizes)
        self._skip = skip
        self._base = 0
        self._pcm = bytearray()
        self._words: list[SpokenWord] = []
        self._open: SpokenWord | None = None

    @property
    def position(self) -> int:
        """Samples of the job given out or skipped so far."""
        return self._base

    def feed(self, pcm: bytes, marks: list[WordMark]) -> list[Chunk]:
        """Take a buffer and the words that begin in it; return the chunks that it completes."""
        self._pcm += pcm
        for mark in marks:
            self._note(mark)
        self._drop_skipped()
        chunks = []
        while self._length >= self._size and not self._waits_for_word():
            chunks.append(self._cut(self._size))
            self._size = next(self._sizes)
        return chunks

    def finish(self) -> list[Chunk]:
        """The job is spoken: return the rest of it."""
        self._close(self._base + self._length)
        self._drop_skipped()
        return [self._cut(self._length)] if self._pcm else []

    @property
    def _length(self) -> int:
        return len(self._pcm) // 2

    def _note(self, mark: WordMark) -> None:
        """A word begins, or another part of the same one: espeak tells the digits of a number, the
        syllables of a character it spells, and the like one by one."""
        begin = max(0, mark.position)
        end = min(mark.position + mark.length, len(self._text))
        while begin < end and self._text[end - 1].isspace():
            end -= 1
        if begin >= end or (self._open is not None and begin < self._open.text_end):
            return
        self._close(mark.sample)
        self._open = SpokenWord(mark.sample, mark.sample, begin, end)

    def _close(self, sample: int) -> None:
        """The open word ends at `sample` or, if silence comes before it, where that begins."""
        word, self._open = self._open, None
        if word is None:
            return
        sound = self._pcm[2 * max(0, word.begin - self._base) : 2 * max(0, sample - self._base)]
        end = max(word.begin, self._base) + (len(sound.rstrip(b"\0")) + 1) // 2
        if word.begin >= self._skip:
            self._words.append(word._replace(end=max(end, word.begin)))

    def _waits_for_word(self) -> bool:
        return self._open is not None and self._open.begin < self._base + self._size

    def _drop_skipped(self) -> None:
        count = min(self._skip - self._base, self._length)
        if count > 0:
            del self._pcm[: 2 * count]
            self._base += count

    def _cut(self, size: int) -> Chunk:
        end = self._base + size
        words = tuple(word for word in self._words if word.begin < end)
        del self._words[: len(words)]
        pcm = bytes(self._pcm[: 2 * size])
        del self._pcm[: 2 * size]
        self._base = end
        return Chunk(pcm, words)

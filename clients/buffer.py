"""The bounded queue between a connection and the reader of one speech."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from cosyserve.protocol.messages import ChunkMetrics, EffectiveAudio, Mark, Word


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A part of a speech's sound, as the server sent it.

    data: bytes of the stream in the requested format; all chunks joined are one valid stream.
    metrics: the server's measurements of this chunk, in seconds.
    received_at: `time.perf_counter()` at its arrival, before it waited for its reader.
    audio: the format, sample rate and bit rate in use, where the server reports them.
    words: those that begin in this chunk, if they were requested.
    marks: those of an SSML document that lie in this chunk.
    """

    data: bytes
    metrics: ChunkMetrics
    received_at: float
    audio: EffectiveAudio | None = None
    words: tuple[Word, ...] = ()
    marks: tuple[Mark, ...] = ()


class ChunkBuffer:
    """First in, first out, bounded by bytes; one writer, one reader, one event loop.

    A chunk is accepted while fewer than `limit` bytes wait, so a single one of any size passes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chunks: deque[AudioChunk] = deque()
        # Bytes of sound in `_chunks`.
        self._size = 0
        self._closed = False
        # Raised by `get` after the last chunk.
        self._error: Exception | None = None
        # Wakes the writer: a chunk was read, or the buffer was closed.
        self._room = asyncio.Event()
        # Wakes the reader: a chunk was put, or the buffer was closed.
        self._ready = asyncio.Event()

    @property
    def full(self) -> bool:
        return self._size >= self._limit and not self._closed

    async def put(self, chunk: AudioChunk) -> None:
        """Wait for room; a closed buffer drops the chunk. Cancel-safe: either put or not."""
        while self.full:
            self._room.clear()
            await self._room.wait()
        if not self._closed:
            self._chunks.append(chunk)
            self._size += len(chunk.data)
            self._ready.set()

    async def get(self) -> AudioChunk | None:
        """The next chunk, None after the last. Cancel-safe: no chunk is lost.

        Raises the error that the buffer was closed with, after the chunks put before it.
        """
        while not self._chunks:
            if self._closed:
                if self._error is not None:
                    raise self._error
                return None
            self._ready.clear()
            await self._ready.wait()
        chunk = self._chunks.popleft()
        self._size -= len(chunk.data)
        self._room.set()
        return chunk

    def close(self, error: Exception | None = None) -> None:
        """Accept no more chunks; the first call counts."""
        if not self._closed:
            self._closed = True
            self._error = error
            self._room.set()
            self._ready.set()

    def discard(self) -> None:
        """Drop the waiting chunks and close without an error: the reader ends at once."""
        self._chunks.clear()
        self._size = 0
        self._error = None
        self._closed = True
        self._room.set()
        self._ready.set()

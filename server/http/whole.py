"""An answer that is one JSON document with all of the sound in it, sent once all is made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import orjson
import pybase64
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from cosyserve.engine.threads import Threads
from cosyserve.protocol.errors import InternalError, PayloadTooLarge
from cosyserve.protocol.fields import JsonObject
from cosyserve.protocol.messages import ResultGenerated
from cosyserve.protocol.parameters import SpeechParameters

from ..audio import SIZED_HEAD, sized_head
from ..delivery import Spool
from ..settings import Settings
from .sending import CutOff

PIECE: Final = 48 * 1024
"""Bytes of sound that are sent at once: a multiple of 3, which base64 needs."""
_VALUES: Final = 1000
"""Values of a list that are encoded at once."""


class SoundPlace(str):
    """A string in a JSON document, known by its identity: the sound's base64 is written in its place."""

    __slots__ = ()


class WholeAnswer:
    """The sound of a speech as it is made, then the answer. Every byte is in the spool."""

    def __init__(
        self, spool: Spool, settings: Settings, threads: Threads, parameters: SpeechParameters
    ) -> None:
        """threads: make the document."""
        self._spool = spool
        self._threads = threads
        self._settings = settings
        self._parameters = parameters
        self._seconds = 0.0

    async def add(self, event: ResultGenerated) -> None:
        """Take the next sound. Raises PayloadTooLarge, and as Spool.write does."""
        settings = self._settings
        self._seconds += event.metrics.speech_len
        if self._seconds > settings.max_whole_seconds:
            raise _too_long(f"{settings.max_whole_seconds:g} s")
        if self._spool.size + len(event.data) > settings.max_whole_bytes:
            raise _too_long(f"{settings.max_whole_bytes} bytes")
        await self._spool.write(event.data)

    async def response(self, document: Callable[[str, int], JsonObject]) -> web.Response:
        """The answer, once all sound is there.

        document: makes the answer's document, on a thread, from what stands for the sound in base64 and its
        size in bytes. Raises as Spool does.
        """
        sound_size = self._spool.size
        await self.end()
        pieces = _document_pieces(document, sound_size)
        head = await self._threads.run(_next, pieces)
        while tail := await self._threads.run(_next, pieces):
            await self._spool.write(tail)
        self._spool.made()
        return web.Response(
            body=SpooledDocument(head, self._spool, sound_size),
            content_type="application/json",
            charset="utf-8",
        )

    async def end(self) -> None:
        """Complete the sound in the spool: its head then has its length. Raises as Spool does."""
        head = await self._spool.read(0, SIZED_HEAD)
        samples = round(self._seconds * self._parameters.sample_rate)
        sized = sized_head(head, self._parameters.output_format, self._spool.size, samples)
        if sized != head:
            await self._spool.overwrite(sized)


class SpooledSound(Payload):
    """All that a spool holds."""

    def __init__(self, spool: Spool, content_type: str) -> None:
        super().__init__(spool, content_type=content_type)
        self._spool = spool
        self._size = self._end = spool.size

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Raises TypeError: it is no text."""
        raise TypeError("sound cannot be decoded")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send it. Raises CutOff if the spool cannot be read."""
        await _send(spool_pieces(self._spool, 0, self._end), writer)


async def spool_pieces(spool: Spool, begin: int, end: int) -> AsyncIterator[bytes]:
    """The bytes from `begin` to before `end`, as they are sent at once."""
    for at in range(begin, end, PIECE):
        yield await spool.read(at, min(at + PIECE, end))


async def _send(pieces: AsyncIterator[bytes], writer: AbstractStreamWriter) -> None:
    """Raises CutOff if the spool cannot be read."""
    try:
        async for piece in pieces:
            await writer.write(piece)
            await writer.drain()  # aiohttp waits only once for each 64 KiB
    except InternalError as error:
        raise CutOff("cut off: the spool cannot be read") from error


class SpooledDocument(Payload):
    """A JSON document: its head, the base64 of the spool's first bytes, and then the rest of the spool."""

    def __init__(self, head: bytes, spool: Spool, sound_size: int) -> None:
        super().__init__(spool)
        self._head = head
        self._spool = spool
        self._sound_size = sound_size
        self._size = len(head) + -(-sound_size // 3) * 4 + spool.size - sound_size

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Raises TypeError: it is never in memory as a whole."""
        raise TypeError("a spooled document cannot be decoded")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send it. Raises CutOff if the spool cannot be read."""
        await _send(self._pieces(), writer)

    async def _pieces(self) -> AsyncIterator[bytes]:
        spool, sound = self._spool, self._sound_size
        yield self._head
        async for piece in spool_pieces(spool, 0, sound):
            yield pybase64.b64encode(piece)
        async for piece in spool_pieces(spool, sound, spool.size):
            yield piece


def _document_pieces(document: Callable[[str, int], JsonObject], size: int) -> Iterator[bytes]:
    """The document's text in pieces: the first one goes up to the sound's place, the others follow it."""
    place = SoundPlace()
    held = b""
    before = True
    for piece in json_pieces(document(place, size), place):
        if piece is None:
            yield held
            held, before = b"", False
            continue
        held += piece
        if not before and len(held) >= PIECE:
            yield held
            held = b""
    yield held


def json_pieces(value: object, place: SoundPlace) -> Iterator[bytes | None]:
    """The JSON of a value in pieces, joined as orjson writes it; None where the place's content belongs.

    The place is not in a list.
    """
    match value:
        case SoundPlace() if value is place:
            yield b'"'
            yield None
            yield b'"'
        case {}:
            opening = b"{"
            for key, each in value.items():
                yield opening + orjson.dumps(key) + b":"
                yield from json_pieces(each, place)
                opening = b","
            yield b"}" if value else b"{}"
        case [_, *_]:
            for begin in range(0, len(value), _VALUES):
                values = orjson.dumps(value[begin : begin + _VALUES])[1:-1]
                yield (b"," if begin else b"[") + values
            yield b"]"
        case _:
            yield orjson.dumps(value)


def _next(pieces: Iterator[bytes]) -> bytes:
    """The next piece; empty after the last."""
    return next(pieces, b"")


def _too_long(limit: str) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the sound is longer than {limit}, the most for an answer that is not streamed; "
        "ask for a stream instead"
    )

"""Where `cosyserve say` has its text from: an argument, a file, or standard input as it comes."""

from __future__ import annotations

import asyncio
import codecs
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from .errors import InvalidRequest

PIECE: Final = 1000  # characters per message: small enough for every limit on a message


async def from_string(text: str) -> AsyncIterator[str]:
    """The text in pieces that any server takes."""
    for begin in range(0, len(text), PIECE):
        yield text[begin : begin + PIECE]


async def from_file(path: Path) -> AsyncIterator[str]:
    """A UTF-8 file's text. Raises InvalidRequest."""
    try:
        text = await asyncio.to_thread(path.read_text, "utf-8")
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path} is not UTF-8: byte {error.start}") from None
    async for piece in from_string(text):
        yield piece


async def from_descriptor(descriptor: int) -> AsyncIterator[str]:
    """UTF-8 text from a pipe, terminal or file, each piece as soon as it can be read.

    A daemon thread does the reading, because a read from a terminal cannot be interrupted; it
    reads ahead by one piece. Bytes that are no UTF-8 become U+FFFD.
    """
    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    taken = threading.Semaphore(2)
    loop = asyncio.get_running_loop()
    arguments = (descriptor, loop, pieces, taken)
    threading.Thread(target=_read, args=arguments, name="stdin", daemon=True).start()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while data := await pieces.get():
        taken.release()
        if text := decoder.decode(data):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text


def _read(
    descriptor: int,
    loop: asyncio.AbstractEventLoop,
    pieces: asyncio.Queue[bytes],
    taken: threading.Semaphore,
) -> None:
    data = b"more"
    while data:
        taken.acquire()
        try:
            data = os.read(descriptor, PIECE)
        except OSError:
            data = b""
        try:
            loop.call_soon_threadsafe(pieces.put_nowait, data)
        except RuntimeError:  # the loop is closed: nobody waits for text any more
            return

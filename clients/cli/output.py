"""Where `cosyserve say` puts the sound: a file, standard output or the loudspeaker.

Live playback through PortAudio, where the `sounddevice` package (extra `playback`) is there.

WAV headers of sound that came as a stream.

A stream's header cannot know its length and says 0xFFFFFFFF; in a file the true sizes belong there.
RIFF layout: "Multimedia Programming Interface and Data Specifications 1.0", 1991.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from ..errors import ClientError, InvalidRequest


class PlaybackUnavailable(ClientError): ...


class Player:
    """Plays 16-bit mono PCM as it comes. Raises PlaybackUnavailable when made."""

    def __init__(self, sample_rate: int) -> None:
        try:
            sounddevice = importlib.import_module("sounddevice")
        except ImportError:
            raise PlaybackUnavailable(
                "to play the speech, install cosyserve[playback]; or write it with -o FILE"
            ) from None
        except OSError as error:
            raise PlaybackUnavailable(f"no playback: {error}; use -o FILE") from None
        try:
            self._stream: Any = sounddevice.RawOutputStream(
                samplerate=sample_rate, channels=1, dtype="int16"
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            raise PlaybackUnavailable(f"no playback: {error}; use -o FILE") from None
        self._odd = b""

    async def write(self, data: bytes) -> None:
        """Play, waiting for the device: the player sets the pace."""
        data = self._odd + data
        whole = len(data) - len(data) % 2
        self._odd = data[whole:]
        if whole:
            await asyncio.to_thread(self._stream.write, data[:whole])

    async def close(self, *, aborted: bool) -> None:
        """Stop: after the last sound, or at once if `aborted`."""
        await asyncio.to_thread(self._stream.abort if aborted else self._stream.stop)
        self._stream.close()


_LARGEST: Final = 0xFFFFFFFF
_SEARCHED: Final = 4096  # bytes: a header with its LIST chunks is far shorter


def write_true_sizes(file: BinaryIO) -> bool:
    """Write the sizes that the file really has into its header; False if it is no RIFF WAV.

    `file` is open for reading and writing, and can seek; its position afterwards is its end.
    """
    length = file.seek(0, 2)
    file.seek(0)
    head = file.read(_SEARCHED)
    found = _data_chunk(head)
    if found is not None:
        file.seek(4)
        file.write(_size(length - 8))
        file.seek(found + 4)
        file.write(_size(length - found - 8))
    file.seek(0, 2)
    return found is not None


def _data_chunk(head: bytes) -> int | None:
    """Where the data chunk's header begins."""
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    at = 12
    while at + 8 <= len(head):
        if head[at : at + 4] == b"data":
            return at
        size = int.from_bytes(head[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return None


def _size(size: int) -> bytes:
    return min(size, _LARGEST).to_bytes(4, "little")


FORMAT_OF_SUFFIX: Final = {
    ".wav": "wav",
    ".mp3": "mp3",
    ".pcm": "pcm",
    ".raw": "pcm",
    ".opus": "opus",
    ".ogg": "opus",
    ".aac": "aac",
    ".flac": "flac",
}


class SoundOutput(Protocol):
    """Takes the chunks of one stream in order."""

    async def write(self, data: bytes) -> None: ...

    async def close(self, *, aborted: bool) -> None:
        """End it; `aborted` if the stream is not whole."""


class FileOutput:
    """A file, written as the sound comes; it appears with the first sound.

    What came before an abort is kept, as a valid file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    async def write(self, data: bytes) -> None:
        """Raises InvalidRequest if it cannot be written."""
        try:
            if self._file is None:
                self._file = self._open()
            self._file.write(data)
        except OSError as error:
            raise InvalidRequest(f"cannot write {self._path}: {error.strerror}") from None

    async def close(self, *, aborted: bool) -> None:
        if self._file is not None:
            with self._file as file:
                if file.readable():
                    write_true_sizes(file)

    def _open(self) -> BinaryIO:
        # A pipe or a device cannot be read back; its header stays that of a stream.
        plain = self._path.is_file() or not self._path.exists()
        return self._path.open("w+b" if plain else "wb")


class DescriptorOutput:
    """A descriptor such as standard output; each chunk goes out at once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    async def write(self, data: bytes) -> None:
        """Raises BrokenPipeError if the reader is gone."""
        await asyncio.to_thread(self._write, data)

    async def close(self, *, aborted: bool) -> None: ...

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


def choose_format(target: str | None, asked: str | None) -> str:
    """The format of the sound: as asked, else by the file's suffix, WAV on standard output.

    `target` is a path, "-", or None for playback, which takes PCM only. Raises InvalidRequest.
    """
    if target is None:
        if asked not in (None, "pcm"):
            raise InvalidRequest(f"playback takes pcm only; write {asked} with -o FILE")
        return "pcm"
    if asked is not None:
        return asked
    if target == "-":
        return "wav"
    suffix = Path(target).suffix.lower()
    if suffix not in FORMAT_OF_SUFFIX:
        known = " ".join(FORMAT_OF_SUFFIX)
        raise InvalidRequest(
            f"cannot tell the format of {target} by its suffix: use one of {known}, or --format"
        )
    return FORMAT_OF_SUFFIX[suffix]


def open_output(target: str | None, sample_rate: int, stdout: int = 1) -> SoundOutput:
    """The output for `-o`'s value. Raises PlaybackUnavailable."""
    if target is None:
        return Player(sample_rate)
    if target == "-":
        return DescriptorOutput(stdout)
    return FileOutput(Path(target))

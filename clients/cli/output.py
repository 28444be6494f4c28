"""Where `cosyserve say` puts the sound: a file, standard output or the loudspeaker."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from ..errors import InvalidRequest
from ..playback import Player
from ..wavfile import write_true_sizes

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


class Output(Protocol):
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


def open_output(target: str | None, sample_rate: int, stdout: int = 1) -> Output:
    """The output for `-o`'s value. Raises PlaybackUnavailable."""
    if target is None:
        return Player(sample_rate)
    if target == "-":
        return DescriptorOutput(stdout)
    return FileOutput(Path(target))

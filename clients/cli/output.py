"""Where `cosyserve say` puts the sound: a file, standard output or the loudspeaker.

WAV and FLAC files are written from PCM by soundfile, so that their headers hold the true length.
A pipe gets the server's stream as it comes, whose header cannot know its length.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from cosyserve.protocol.parameters import AudioFormat

from ..errors import ClientError, InvalidRequest

FORMAT_OF_SUFFIX: Final = {
    ".wav": "wav",
    ".mp3": "mp3",
    ".pcm": "pcm",
    ".raw": "pcm",
    ".opus": "opus",
    ".ogg": "opus",
    ".aac": "aac",
    ".flac": "flac",
    ".ulaw": "ulaw",
    ".ul": "ulaw",
    ".alaw": "alaw",
    ".al": "alaw",
}
_WRITTEN_HERE: Final = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "wav_ulaw": ("WAV", "ULAW"),
    "wav_alaw": ("WAV", "ALAW"),
}
"""Formats whose header holds the length of the sound: what libsndfile calls them."""


class PlaybackUnavailable(ClientError): ...


class SoundOutput(Protocol):
    """Takes the chunks of one stream in order."""

    @property
    def stream_format(self) -> str:
        """The format of the stream to request from the server."""

    @property
    def sample_rate(self) -> int:
        """Its sample rate in Hz."""

    @property
    def played(self) -> float | None:
        """Seconds of the sound that somebody has heard; None if it is not played here."""

    async def write(self, data: bytes) -> None:
        """Take the next chunk. Raises InvalidRequest if it cannot be written."""

    async def close(self, *, aborted: bool) -> None:
        """End the output; `aborted` if more chunks should have come."""


def open_output(
    target: str | None, output_format: str | None, sample_rate: int | None, stdout: int = 1
) -> SoundOutput:
    """The output for the value of `-o`: a path, - for the descriptor `stdout`, None for playback.

    output_format: by default that of the path's suffix, WAV for -. sample_rate: Hz, by default that of the
    format.
    Raises InvalidRequest, PlaybackUnavailable.
    """
    if target is None:
        if output_format not in (None, "pcm"):
            raise InvalidRequest(f"playback takes pcm only; write {output_format} with -o FILE")
        return Player(_rate_of("pcm", sample_rate))
    if target == "-":
        output_format = output_format or "wav"
        return DescriptorOutput(stdout, output_format, _rate_of(output_format, sample_rate))
    path = Path(target)
    output_format = output_format or _format_of(path)
    rate = _rate_of(output_format, sample_rate)
    regular = path.is_file() or not path.exists()
    if regular and output_format in _WRITTEN_HERE:
        return SoundFileOutput(path, output_format, rate)
    return FileOutput(path, output_format, rate)


def _rate_of(output_format: str, asked: int | None) -> int:
    """Raises InvalidRequest if the format does not have the sample rate."""
    audio_format = AudioFormat(output_format)
    rate = audio_format.default_sample_rate if asked is None else asked
    if rate not in audio_format.sample_rates:
        allowed = ", ".join(map(str, audio_format.sample_rates))
        raise InvalidRequest(f"{output_format} has no {rate} Hz; it has {allowed}")
    return rate


def _format_of(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in FORMAT_OF_SUFFIX:
        known = " ".join(FORMAT_OF_SUFFIX)
        raise InvalidRequest(
            f"the suffix of {path} names no format: use one of {known}, or give --format"
        )
    return FORMAT_OF_SUFFIX[suffix]


class FileOutput:
    """A file with the bytes of the stream; it is made at the first chunk, and kept after an abort."""

    played: Final = None

    def __init__(self, path: Path, output_format: str, sample_rate: int) -> None:
        self.stream_format = output_format
        self.sample_rate = sample_rate
        self._path = path
        self._file: BinaryIO | None = None

    async def write(self, data: bytes) -> None:
        try:
            if self._file is None:
                self._file = self._path.open("wb")
            self._file.write(data)
        except OSError as error:
            raise _not_written(self._path, error.strerror) from None

    async def close(self, *, aborted: bool) -> None:
        if self._file is not None:
            self._file.close()


class SoundFileOutput:
    """A mono WAV or FLAC file, 16-bit or G.711, made at the first chunk and valid after an abort."""

    played: Final = None
    stream_format: Final = "pcm"

    def __init__(self, path: Path, output_format: str, sample_rate: int) -> None:
        # Imported before there is sound, and only here: it takes longer than all else of a start.
        self._soundfile: Any = importlib.import_module("soundfile")
        self._path = path
        self._format, self._subtype = _WRITTEN_HERE[output_format]
        self.sample_rate = sample_rate
        # A soundfile.SoundFile, once there is sound.
        self._file: Any = None
        self._samples = _WholeSamples()

    async def write(self, data: bytes) -> None:
        try:
            if self._file is None:
                self._file = self._open()
            self._file.buffer_write(self._samples.feed(data), dtype="int16")
        except OSError as error:
            raise _not_written(self._path, error.strerror) from None
        except self._soundfile.LibsndfileError:  # has no reason of its own
            raise _not_written(self._path, "is the disk full?") from None

    async def close(self, *, aborted: bool) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self) -> Any:
        # A path would be opened by libsndfile, which says "System error" whatever the reason.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        return self._soundfile.SoundFile(
            descriptor, "w", self.sample_rate, 1, subtype=self._subtype, format=self._format
        )


class DescriptorOutput:
    """A descriptor such as standard output; each chunk goes out at once."""

    played: Final = None

    def __init__(self, descriptor: int, output_format: str, sample_rate: int) -> None:
        self.stream_format = output_format
        self.sample_rate = sample_rate
        self._descriptor = descriptor

    async def write(self, data: bytes) -> None:
        """Raises BrokenPipeError if the reader is gone."""
        await asyncio.to_thread(self._write, data)

    async def close(self, *, aborted: bool) -> None: ...

    def _write(self, data: bytes) -> None:
        remainder = memoryview(data)
        while remainder:
            remainder = remainder[os.write(self._descriptor, remainder) :]


class Player:
    """Plays 16-bit mono PCM as it comes, through PortAudio (`sounddevice`, extra `playback`).

    Raises PlaybackUnavailable when made.
    """

    stream_format: Final = "pcm"

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
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
        self._samples = _WholeSamples()
        self._written = 0  # bytes that the device has taken

    @property
    def played(self) -> float:
        """What the device has taken, less what it holds back."""
        held: float = self._stream.latency
        return max(0.0, self._written / 2 / self.sample_rate - held)

    async def write(self, data: bytes) -> None:
        """Play, waiting for the device: the player sets the pace."""
        if whole := self._samples.feed(data):
            await asyncio.to_thread(self._stream.write, whole)
            self._written += len(whole)

    async def close(self, *, aborted: bool) -> None:
        """Stop: after the last sound, or at once if `aborted`."""
        await asyncio.to_thread(self._stream.abort if aborted else self._stream.stop)
        self._stream.close()


class _WholeSamples:
    """Keeps the first byte of a 16-bit sample until its second one comes."""

    def __init__(self) -> None:
        self._odd = b""

    def feed(self, data: bytes) -> bytes:
        """The whole samples of what came so far and was not given yet."""
        data = self._odd + data
        whole = len(data) - len(data) % 2
        self._odd = data[whole:]
        return data[:whole]


def _not_written(path: Path, reason: str | None) -> InvalidRequest:
    return InvalidRequest(f"cannot write {path}: {reason}")

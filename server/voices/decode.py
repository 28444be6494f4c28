"""Sound files of strangers, decoded with bounds on time and memory.

soundfile reads the samples of WAVE files, which need no codec; FFmpeg reads everything else.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Final, Protocol

import av
import numpy as np
import numpy.typing as npt
import soundfile
from av.codec.context import Flags2

from cosyserve.engine.interface import Samples
from cosyserve.protocol.errors import InvalidAudio

from .downmix import ChannelMeter, Columns, Weights, mixed
from ..signatures import AudioFile
from .wave_files import WaveFile

# No more of FFmpeg than these is ever run on an upload, and ALAC once its header has been read.
_CODECS: Final = (
    *("pcm_u8", "pcm_s8", "pcm_mulaw", "pcm_alaw", "adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt"),
    *("pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"),
    *("pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be", "pcm_f64be"),
    *("mp3float", "mp3", "flac", "vorbis", "opus", "libopus", "aac"),
)
_MOST_ALAC_SAMPLES: Final = 16384  # a frame; Apple's encoder makes 4096, a header may say 2^24
_RATES: Final = (8000, 192000)
_PROBE_BYTES: Final = "1000000"  # FFmpeg keeps what it reads ahead: 35 times that, in tiny packets
_MAX_PACKETS: Final = 50_000  # of 2.5 ms, the shortest there are, these make two minutes
_MISSING_SHARE: Final = 0.05  # of the declared length: more, and the file was cut off
_DECLARING: Final = frozenset(("FLAC", "M4A", "WebM", "CAF"))  # whose headers may say the length


class _Source(Protocol):
    def blocks(self) -> Iterator[tuple[Columns, int]]:
        """The sound from its beginning, each piece with its sample rate."""

    def declared_seconds(self, found: float) -> float:
        """How long the file says it is, where that can be believed, else 0; `found` was decoded."""


def decode_file(data: bytes, kind: AudioFile, most_seconds: float) -> tuple[Samples, int]:
    """The sound in a file, mixed to one channel, and its own sample rate.

    Stops as soon as there is more than `most_seconds`; the caller sees that by the length.
    Raises InvalidAudio: not decodable, cut off, a codec or a rate that is not taken.
    """
    try:
        source = _WaveSource.of(data, kind) if kind.name == "WAV" else _CodecSource(data, kind)
        row = _read(source, most_seconds, None)
        if (weights := row.meter.weights()) is not None:
            del row  # its memory is needed for the next one
            row = _read(source, most_seconds, weights)
    except (av.FFmpegError, soundfile.SoundFileError, ValueError, OverflowError) as error:
        raise InvalidAudio(f"file: it begins as {kind.name} but cannot be decoded") from error
    declared = 0.0 if row.full else source.declared_seconds(row.seconds)
    if row.seconds < declared * (1 - _MISSING_SHARE):
        raise InvalidAudio(
            f"file: it is cut off; of {declared:.2f} s of sound only {row.seconds:.2f} s are there"
        )
    return row.samples(), row.rate


def _read(source: _Source, most_seconds: float, weights: Weights | None) -> _Row:
    row = _Row(most_seconds, weights)
    for columns, rate in source.blocks():
        row.add(columns, rate)
        if row.full:
            break
    return row


class _Row:
    """Pieces of sound, each mixed to one channel at once."""

    def __init__(self, most_seconds: float, weights: Weights | None) -> None:
        self._most_seconds = most_seconds
        self._weights = weights
        self._sound = bytearray()  # float32; it grows in place, where a list of pieces is copied
        self.meter = ChannelMeter()
        self.rate = 0

    @property
    def seconds(self) -> float:
        return len(self._sound) / 4 / self.rate if self.rate else 0.0

    @property
    def full(self) -> bool:
        """Whether there is more than may be."""
        return self.seconds > self._most_seconds

    def add(self, columns: Columns, rate: int) -> None:
        """Raises InvalidAudio if the sample rate is not allowed or has changed."""
        low, high = _RATES
        if not low <= rate <= high:
            raise InvalidAudio(f"file: a sample rate of {rate} Hz; allowed: {low} to {high}")
        if self.rate not in (0, rate):
            raise InvalidAudio("file: its sample rate changes on the way")
        self.rate = rate
        self._sound += mixed(columns, self._weights).tobytes()
        if self._weights is None:
            self.meter.add(columns)

    def samples(self) -> Samples:
        if not self._sound:
            raise InvalidAudio("file: no sound in it")
        return np.frombuffer(self._sound, np.float32)


class _WaveSource:
    """A WAVE file; one with a codec is FFmpeg's, with a header that says the right size."""

    def __init__(self, data: bytes, header: WaveFile, codec: _CodecSource | None) -> None:
        self._data = data
        self._header = header
        self._codec = codec

    @classmethod
    def of(cls, data: bytes, kind: AudioFile) -> _WaveSource:
        """Raises InvalidAudio."""
        header = WaveFile.parse(data)
        codec = None if header.subtype else _CodecSource(header.plain(data), kind)
        return cls(data, header, codec)

    def blocks(self) -> Iterator[tuple[Columns, int]]:
        return self._codec.blocks() if self._codec else self._header.blocks(self._data)

    def declared_seconds(self, found: float) -> float:
        return found * self._header.declared / max(1, self._header.end - self._header.begin)


class _CodecSource:
    """A file that FFmpeg decodes."""

    def __init__(self, data: bytes, kind: AudioFile) -> None:
        self._data = data
        self._kind = kind
        self._duration = 0.0

    def blocks(self) -> Iterator[tuple[Columns, int]]:
        """Raises InvalidAudio and what FFmpeg raises."""
        options = {
            "format_whitelist": self._kind.demuxers,
            "codec_whitelist": ",".join(_CODECS),
            "probesize": _PROBE_BYTES,
        }
        with av.open(
            io.BytesIO(self._data), "r", options=options, metadata_errors="replace"
        ) as container:
            stream = self._stream(container)
            self._duration = (container.duration or 0) / av.time_base
            broken = 0
            for count, packet in enumerate(container.demux(stream)):
                if count > _MAX_PACKETS:
                    raise InvalidAudio(
                        f"file: a {self._kind.name} file of more than {_MAX_PACKETS} packets"
                    )
                try:
                    frames = packet.decode()
                except av.InvalidDataError:
                    broken += 1
                    # A cut leaves half a packet, and a bit reservoir misses what came before it;
                    # more is damage.
                    if broken > 2 + count // 50:
                        raise
                    continue
                for frame in frames:
                    assert isinstance(frame, av.AudioFrame)
                    yield _columns(frame), frame.sample_rate

    def declared_seconds(self, found: float) -> float:
        data = self._data
        if self._kind.name == "AIFF":
            size = int.from_bytes(data[4:8], "big") + 8
            return found * size / len(data) if size > len(data) else 0.0
        counted = self._kind.name == "MP3" and (b"Xing" in data[:64] or b"Info" in data[:64])
        return self._duration if self._kind.name in _DECLARING or counted else 0.0

    def _stream(self, container: av.container.InputContainer) -> av.AudioStream:
        """The first audio stream, if it may be decoded. Raises InvalidAudio."""
        if not container.streams.audio:
            raise InvalidAudio(f"file: no sound in this {self._kind.name} file")
        stream = container.streams.audio[0]
        # Where FFmpeg has no decoder there is no context, whatever PyAV's types say.
        name = getattr(stream.codec_context, "name", "an unknown codec")
        if name != "alac" and name not in _CODECS:
            raise InvalidAudio(f"file: {name} in a {self._kind.name} file is not taken")
        # FFmpeg allocates what the header asks for once it opens the decoder. It would do that as it
        # probes, were ALAC among the codecs that it is given for that.
        if name == "alac":
            samples = int.from_bytes((stream.codec_context.extradata or b"")[12:16], "big")
            if not 0 < samples <= _MOST_ALAC_SAMPLES:
                raise InvalidAudio(f"file: alac with {samples} samples in a frame is not taken")
            if self._kind.name == "CAF":
                # FFmpeg cuts from the last frame what the packet table says that it lacks.
                stream.codec_context.flags2 |= Flags2.skip_manual
        stream.codec_context.thread_count = 1
        return stream


def _columns(frame: av.AudioFrame) -> Columns:
    """The channels of a frame, at full scale +-1, without a subwoofer's."""
    raw: npt.NDArray[Any] = frame.to_ndarray()
    columns = raw if frame.format.is_planar else raw.reshape(-1, frame.layout.nb_channels).T
    names = [channel.name for channel in frame.layout.channels]
    if "LFE" in names and len(names) == len(columns) > 1:
        columns = np.delete(columns, names.index("LFE"), axis=0)
    match raw.dtype.kind:
        case "u":
            return (columns.astype(np.float32) - 128) / 128
        case "i":
            return columns.astype(np.float32) / np.float32(2.0 ** (8 * raw.dtype.itemsize - 1))
    return columns

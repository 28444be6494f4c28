"""Sound files of strangers, decoded through FFmpeg with bounds on time and memory."""

from __future__ import annotations

import io
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

from cosyserve.engine.base import Samples
from cosyserve.protocol.errors import InvalidAudio

from .signatures import AudioFile, skip_id3

# No more of FFmpeg than these is ever run on an upload. ALAC is not among them: its header can ask
# for frames of 16 million samples.
_CODECS: Final = (
    *("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"),
    *("pcm_s16be", "pcm_s24be", "pcm_mulaw", "pcm_alaw", "adpcm_ms", "adpcm_ima_wav"),
    *("mp3float", "mp3", "flac", "vorbis", "opus", "libopus", "aac"),
)
_RATES: Final = (8000, 192000)
_PROBE_BYTES: Final = "1000000"  # FFmpeg keeps what it reads ahead: 35 times that, in tiny packets
_MAX_PACKETS: Final = 50_000  # of 2.5 ms, the shortest there are, these make two minutes
_MISSING_SHARE: Final = 0.05  # of the declared length: more, and the file was cut off
_DECLARING: Final = frozenset(("FLAC", "M4A", "WebM"))  # whose headers say the length, if at all
_NO_SIZE: Final = 0x7F00_0000  # a RIFF size from here on means "unknown", as of a stream


def decode_file(data: bytes, kind: AudioFile, most_seconds: float) -> tuple[Samples, int]:
    """The sound in a file, mixed to one channel, and its own sample rate.

    Stops as soon as there is more than `most_seconds`; the caller sees that by the length.
    Raises InvalidAudio: not decodable, cut off, a codec or a rate that is not taken.
    """
    options = {
        "format_whitelist": kind.demuxers,
        "codec_whitelist": ",".join(_CODECS),
        "probesize": _PROBE_BYTES,
    }
    try:
        with av.open(
            io.BytesIO(data), "r", options=options, metadata_errors="replace"
        ) as container:
            row = _decode_stream(container, kind, most_seconds)
            declared = 0.0 if row.full else _declared_seconds(data, kind, container, row.seconds)
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise InvalidAudio(f"file: it begins as {kind.name} but cannot be decoded") from error
    if row.seconds < declared * (1 - _MISSING_SHARE):
        raise InvalidAudio(
            f"file: it is cut off; of {declared:.2f} s of sound only {row.seconds:.2f} s are there"
        )
    return row.samples(), row.rate


def _decode_stream(
    container: av.container.InputContainer, kind: AudioFile, most_seconds: float
) -> _Row:
    """What is in the first audio stream; raises InvalidAudio and what FFmpeg raises."""
    if not container.streams.audio:
        raise InvalidAudio(f"file: no sound in this {kind.name} file")
    stream = container.streams.audio[0]
    # Where FFmpeg has no decoder there is no context, whatever PyAV's types say.
    name = getattr(stream.codec_context, "name", "an unknown codec")
    if name not in _CODECS:
        raise InvalidAudio(f"file: {name} in a {kind.name} file is not taken")
    stream.codec_context.thread_count = 1
    row = _Row(most_seconds)
    broken = 0
    for count, packet in enumerate(container.demux(stream)):
        if count > _MAX_PACKETS:
            raise InvalidAudio(f"file: a {kind.name} file of more than {_MAX_PACKETS} packets")
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            broken += 1
            # A cut leaves half a packet, and a bit reservoir misses what came before it; more is
            # damage.
            if broken > 2 + count // 50:
                raise
            continue
        for frame in frames:
            assert isinstance(frame, av.AudioFrame)
            row.add(frame)
        if row.full:
            break
    return row


class _Row:
    """Decoded frames, each mixed to one channel at once."""

    def __init__(self, most_seconds: float) -> None:
        self._most_seconds = most_seconds
        self._pieces: list[Samples] = []
        self._count = 0
        self.rate = 0

    @property
    def seconds(self) -> float:
        return self._count / self.rate if self.rate else 0.0

    @property
    def full(self) -> bool:
        """Whether there is more than may be."""
        return self.seconds > self._most_seconds

    def add(self, frame: av.AudioFrame) -> None:
        """Raises InvalidAudio if the sample rate is not allowed or has changed."""
        low, high = _RATES
        if not low <= frame.sample_rate <= high:
            raise InvalidAudio(
                f"file: a sample rate of {frame.sample_rate} Hz; allowed: {low} to {high}"
            )
        if self.rate not in (0, frame.sample_rate):
            raise InvalidAudio("file: its sample rate changes on the way")
        self.rate = frame.sample_rate
        self._pieces.append(_mono(frame))
        self._count += frame.samples

    def samples(self) -> Samples:
        if not self._count:
            raise InvalidAudio("file: no sound in it")
        return np.concatenate(self._pieces)


def _mono(frame: av.AudioFrame) -> Samples:
    raw: npt.NDArray[Any] = frame.to_ndarray()
    channels = frame.layout.nb_channels
    columns = raw if frame.format.is_planar else raw.reshape(-1, channels).T
    # What is beyond float32 becomes infinite, and is found out with the rest of what is no number.
    with np.errstate(over="ignore", invalid="ignore"):
        mixed = columns.mean(axis=0, dtype=np.float64)
        match raw.dtype.kind:
            case "u":
                mixed = (mixed - 128) / 128
            case "i":
                mixed = mixed / 2.0 ** (8 * raw.dtype.itemsize - 1)
        samples: Samples = mixed.astype(np.float32)
    return samples


def _declared_seconds(
    data: bytes, kind: AudioFile, container: av.container.InputContainer, found: float
) -> float:
    """How long the file says it is, where that can be believed, else 0; `found` was decoded."""
    if kind.name == "WAV":
        size = int.from_bytes(data[4:8], "little") + 8
        present = data[:4] == b"RIFF" and len(data) < size < _NO_SIZE
        return found * size / len(data) if present else 0.0
    begin = skip_id3(data)
    head = data[begin : begin + 64]
    counted = kind.name == "MP3" and (b"Xing" in head or b"Info" in head)
    if (kind.name in _DECLARING or counted) and container.duration:
        return container.duration / av.time_base
    return 0.0

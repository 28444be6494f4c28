"""Untrusted sound files: recognised by their bytes, decoded within bounds of time and memory.

soundfile reads the samples of WAVE files that need no codec, FFmpeg everything else. libsndfile would
not tell the subwoofer's channel of FLAC, nor that a FLAC or AIFF file is cut off.

FFmpeg's own probe, even with an allow-list, does not replace the signatures here: it takes some raw PCM
for MP3, gives up on bytes before the first frame, and cannot name files that are not audio.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import av
import numpy as np
import numpy.typing as npt
import soundfile
from av.codec.context import Flags2

from cosyserve.engine.interface import Samples
from cosyserve.protocol.errors import InvalidAudio

from .downmix import ChannelMeter, Columns, Weights, mixed
from .wave_files import MAGICS as WAVE_MAGICS
from .wave_files import WaveFile

_TEXT_SAMPLE: Final = 4096  # bytes that show whether a file is text
_LATIN_SHARE: Final = 0.7  # of ASCII in text of an 8-bit encoding
_UNWRITTEN: Final = frozenset(("Cc", "Cs", "Co", "Cn"))  # categories that no text has
_MPEG_FRAMES: Final = 3  # frames in a row that make a file MPEG: quiet PCM may have sync bytes too
_STRAY_MPEG_FRAMES: Final = 5  # the same if other bytes precede them
_MPEG_SYNC: Final = re.compile(rb"\xff[\xe2\xe3\xea\xeb\xf0-\xf3\xf8-\xfb]")  # Layer III and ADTS
_STRAY_BYTES: Final = (
    1 << 16
)  # most bytes before the first frame: half a frame, or a tag with a wrong size
_BLANK: Final = re.compile(
    rb"[\0\t\n\r ]*(?:\xef\xbb\xbf)?[\0\t\n\r ]*"
)  # and UTF-8's byte order mark
_MOST_TAGS: Final = 100


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A kind of file that is accepted. name: for messages. demuxers: those of FFmpeg that may read it."""

    name: str
    demuxers: str


@dataclass(frozen=True, slots=True)
class OtherFile:
    """A kind of file that is refused. name: for messages."""

    name: str


# Beginnings of documents, whatever their encoding.
_TEXT_BEGINNINGS: Final = (b"<!doctype", b"<html", b"<?xml", b"#extm3u", b"[playlist]")

_WAV: Final = AudioFile("WAV", "wav")
_MP3: Final = AudioFile("MP3", "mp3")
_TAGGED: Final = AudioFile("MP3", "mp3,aac")
_ADTS: Final = AudioFile("AAC", "aac")
_AIFF: Final = AudioFile("AIFF", "aiff")
_M4A: Final = AudioFile("M4A", "mov")
_M4A_BOXES: Final = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")

_AUDIO: Final = (
    (b"fLaC", AudioFile("FLAC", "flac")),
    (b"OggS", AudioFile("Ogg", "ogg")),
    (b"\x1aE\xdf\xa3", AudioFile("WebM", "matroska")),
    (b"caff\0\x01", AudioFile("CAF", "caf")),
)

# At least three bytes each, so that raw PCM is not mistaken for a signature.
_OTHER: Final = (
    (b"\x7fELF", "a program (ELF)"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"%PDF", "a document (PDF)"),
    (b"\xd0\xcf\x11\xe0", "an office document"),
    (b"PK\x03\x04", "an archive or office document (ZIP)"),
    (b"\x1f\x8b\x08", "an archive (gzip)"),
    (b"BZh", "an archive (bzip2)"),
    (b"\xfd7zXZ", "an archive (xz)"),
    (b"\x28\xb5\x2f\xfd", "an archive (zstd)"),
    (b"Rar!", "an archive (RAR)"),
    (b"7z\xbc\xaf", "an archive (7z)"),
    (b"MThd", "notes (MIDI)"),
    (b"FORM", "an IFF file that is not AIFF"),
    (b"#!AMR", "an AMR file"),
    (b".snd", "an AU file"),
    (b"riff.\x91\xcf\x11", "a Wave64 file"),
    (b"wvpk", "a WavPack file"),
    (b"MAC \x96", "a Monkey's Audio file"),
    (b"\x30\x26\xb2\x75", "a Windows Media file"),
    (b"FLV\x01", "a Flash video"),
    (b"SQLite format 3", "a database"),
)


def sound_begin(data: bytes) -> int:
    """Where a sound file begins: after blank bytes, ID3v2 tags and an incomplete first MPEG frame.

    0 if the bytes have no known form, like raw PCM, which may begin with silence.
    """
    begin = first = _skip_blank(data, 0)
    for _ in range(_MOST_TAGS):
        if not (tag := skip_id3(data[begin : begin + 10])):
            break
        begin = _skip_blank(data, begin + tag)
    found = _by_signature(data[begin : begin + 64])
    if isinstance(found, AudioFile):
        return begin
    # An MP4 file begins with the size of a box: zeros, and often only bytes that count as blank.
    for box in range(max(4, begin), begin + 5):
        if data[box : box + 4] in _M4A_BOXES:
            return box - 4
    # Not after another signature: an archive may contain an MP3 file uncompressed.
    if found is None and (frame := _first_frame(data, begin)) is not None:
        return frame
    return first if begin > first else 0


def identify(data: bytes) -> AudioFile | OtherFile | None:
    """The kind of a file; None if its bytes have no known form, like raw PCM.

    data: the file from `sound_begin` on.
    """
    found = _by_signature(data)
    if found:
        return found
    if data[:2] == b"MZ" and b"PE\0\0" in data[:1024]:
        return OtherFile("a program (EXE)")
    return _by_frames(data, 0, _MPEG_FRAMES) or _by_text(data)


def skip_id3(data: bytes) -> int:
    """The size of the ID3v2 tag at the beginning; 0 if there is none."""
    if len(data) < 10 or data[:3] != b"ID3" or data[3] >= 0x10:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    footer = 10 if data[3] >= 4 and data[5] & 0x10 else 0
    return 10 + size + footer


def _skip_blank(data: bytes, begin: int) -> int:
    blank = _BLANK.match(data, begin)
    assert blank is not None  # the pattern matches the empty string
    return blank.end()


def _by_signature(data: bytes) -> AudioFile | OtherFile | None:
    if data[:4] in WAVE_MAGICS:
        return _WAV if data[8:12] == b"WAVE" else OtherFile("a RIFF file that is not WAVE")
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        return _AIFF
    if data[4:8] in _M4A_BOXES:
        return _M4A
    if data[:3] == b"ID3" and data[3:4] < b"\x10":
        return _TAGGED
    for magic, audio in _AUDIO:
        if data.startswith(magic):
            return audio
    for magic, name in _OTHER:
        if data.startswith(magic):
            return OtherFile(name)
    return None


def _first_frame(data: bytes, begin: int) -> int | None:
    """Where the first row of MPEG frames begins, if that is near the beginning."""
    for sync in _MPEG_SYNC.finditer(data, begin, begin + _STRAY_BYTES):
        frames = _MPEG_FRAMES if sync.start() == begin else _STRAY_MPEG_FRAMES
        if _by_frames(data, sync.start(), frames):
            return sync.start()
    return None


def _by_frames(data: bytes, begin: int, frames: int) -> AudioFile | None:
    """The kind of this many MPEG frames in a row, all of one kind and sample rate; None if there is none."""
    for audio, frame_size in ((_MP3, _mp3_frame_size), (_ADTS, _adts_frame_size)):
        position = begin
        for _ in range(frames):
            head = data[position : position + 6]
            size = frame_size(head)
            if not size or head[1] != data[begin + 1] or (head[2] ^ data[begin + 2]) & 0x0C:
                break
            position += size
        else:
            return audio
    return None


def _mp3_frame_size(header: bytes) -> int:
    """Bytes of the Layer III frame with this header, 0 if it is none (ISO/IEC 11172-3 2.4.1.3)."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, rate, kbits = header[1] >> 3 & 3, header[2] >> 2 & 3, header[2] >> 4
    if version == 1 or rate == 3 or kbits in (0, 15):
        return 0
    mpeg1 = version == 3
    sample_rate = (44100, 48000, 32000)[rate] >> (0 if mpeg1 else 1 if version == 2 else 2)
    table = (
        (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
        if mpeg1
        else (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
    )
    padding = header[2] >> 1 & 1
    return (144 if mpeg1 else 72) * 1000 * table[kbits - 1] // sample_rate + padding


def _adts_frame_size(header: bytes) -> int:
    """Bytes of the ADTS frame with this header, 0 if it is none (ISO/IEC 13818-7 6.2)."""
    if len(header) < 6 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return 0
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return size if size > 7 and header[2] >> 2 & 15 < 13 else 0


def _by_text(data: bytes) -> OtherFile | None:
    """Whether a file is text: a page, a playlist, JSON. 16-bit PCM is never limited to these bytes."""
    sample = data[:_TEXT_SAMPLE]
    if sample[:2] in (b"\xff\xfe", b"\xfe\xff"):
        words = sample[: len(sample) // 2 * 2].decode("utf-16", "replace").strip("\ufeff")
        return OtherFile("text") if words and all(map(_is_written, words)) else None
    if sample.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_TEXT_BEGINNINGS):
        return OtherFile("text")
    if not sample or any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in sample):
        return None
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        cut = error.start >= len(sample) - 3 and len(data) > _TEXT_SAMPLE
        if not cut and sum(byte < 127 for byte in sample) < _LATIN_SHARE * len(sample):
            return None
    return OtherFile("text")


def _is_written(character: str) -> bool:
    return character in "\t\n\r\f" or unicodedata.category(character) not in _UNWRITTEN


# The only codecs of FFmpeg that run on an upload, besides ALAC once its header has been checked.
_CODECS: Final = (
    *("pcm_u8", "pcm_s8", "pcm_mulaw", "pcm_alaw", "adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt"),
    *("pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"),
    *("pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be", "pcm_f64be"),
    *("mp3float", "mp3", "flac", "vorbis", "opus", "libopus", "aac"),
)
_MOST_ALAC_SAMPLES: Final = 16384  # per frame; Apple's encoder makes 4096, a header may say 2^24
HIGHEST_RATE: Final = 192000  # Hz
_RATES: Final = (8000, HIGHEST_RATE)
_PROBE_BYTES: Final = "1000000"  # FFmpeg keeps what it probes: with tiny packets 35 times as much
_MAX_PACKETS: Final = 50_000  # two minutes of 2.5 ms, the shortest packets there are
_MISSING_SHARE: Final = 0.05  # of the declared length; if more is missing, the file is cut off
_DECLARING: Final = frozenset(
    ("FLAC", "M4A", "WebM", "CAF")
)  # kinds whose headers may give the length


class _Source(Protocol):
    """A file that can be decoded any number of times."""

    def blocks(self) -> Iterator[tuple[Columns, int]]:
        """The sound from its beginning, piece by piece, each with its sample rate."""

    def declared_seconds(self, found: float) -> float:
        """The length that the file declares, if that is reliable, else 0. found: the decoded length."""


def decode_file(data: bytes, kind: AudioFile, most_seconds: float) -> tuple[Samples, int]:
    """The sound of a file, mixed to one channel, and its sample rate.

    Stops as soon as there is more than `most_seconds`; the caller sees that by the length.
    Raises InvalidAudio: not decodable, cut off, or a codec or rate that is not accepted.
    """
    try:
        source = _WaveSource.of(data, kind) if kind.name == "WAV" else _CodecSource(data, kind)
        row = _read(source, most_seconds, None)
        if (weights := row.meter.weights()) is not None:
            del row  # frees its memory for the next one
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
    """Collects pieces of sound, each mixed to one channel when it arrives."""

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
        """Whether there is more sound than allowed."""
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
    """A WAVE file. codec: decodes it if its samples need a codec, from a copy with correct sizes."""

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
                    # A file cut at its beginning and end has half a packet there, and one that lacks the
                    # bit reservoir of packets before it. More is damage.
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
        # Without a decoder there is no context, whatever PyAV's types say.
        name = getattr(stream.codec_context, "name", "an unknown codec")
        if name != "alac" and name not in _CODECS:
            raise InvalidAudio(f"file: {name} in a {self._kind.name} file is not supported")
        # FFmpeg allocates what the header asks for when it opens the decoder, which it does for probing if
        # ALAC is among the allowed codecs.
        if name == "alac":
            samples = int.from_bytes((stream.codec_context.extradata or b"")[12:16], "big")
            if not 0 < samples <= _MOST_ALAC_SAMPLES:
                raise InvalidAudio(f"file: alac with {samples} samples in a frame is not supported")
            if self._kind.name == "CAF":
                # FFmpeg would remove from the last frame samples that the packet table says are missing.
                stream.codec_context.flags2 |= Flags2.skip_manual
        stream.codec_context.thread_count = 1
        return stream


def _columns(frame: av.AudioFrame) -> Columns:
    """The channels of a frame with full scale at +-1, without a subwoofer."""
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

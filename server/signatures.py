"""What an uploaded file is, by its bytes: never by its name or by what the client calls it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_TEXT_SAMPLE: Final = 4096
_MPEG_FRAMES: Final = 3  # in a row, before sync bytes are believed: quiet PCM begins with them too


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A file that FFmpeg is to decode, by `demuxers` alone. name: for messages."""

    name: str
    demuxers: str


@dataclass(frozen=True, slots=True)
class OtherFile:
    """A file that is surely no audio that is taken here."""

    name: str


_WAV: Final = AudioFile("WAV", "wav")
_MP3: Final = AudioFile("MP3", "mp3")
_TAGGED: Final = AudioFile("MP3", "mp3,aac")
_ADTS: Final = AudioFile("AAC", "aac")
_M4A: Final = AudioFile("M4A", "mov")

_AUDIO: Final = (
    (b"fLaC", AudioFile("FLAC", "flac")),
    (b"OggS", AudioFile("Ogg", "ogg")),
    (b"\x1aE\xdf\xa3", AudioFile("WebM", "matroska")),
)

# At least three bytes each, that no beginning of raw PCM is taken for one by chance.
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
    (b"FORM", "an AIFF file"),
    (b"caff", "a CAF file"),
    (b"#!AMR", "an AMR file"),
    (b".snd", "an AU file"),
    (b"riff.\x91\xcf\x11", "a Wave64 file"),
    (b"wvpk", "a WavPack file"),
    (b"MAC \x96", "a Monkey's Audio file"),
    (b"\x30\x26\xb2\x75", "a Windows Media file"),
    (b"FLV\x01", "a Flash video"),
    (b"SQLite format 3", "a database"),
)


def identify(data: bytes) -> AudioFile | OtherFile | None:
    """What the bytes say they are; None where they say nothing, as raw PCM does."""
    if data[:4] in (b"RIFF", b"RIFX", b"RF64"):
        return _WAV if data[8:12] == b"WAVE" else OtherFile("a RIFF file that is not WAVE")
    if data[4:8] == b"ftyp":
        return _M4A
    if data[:3] == b"ID3" and data[3:4] < b"\x10":
        return _TAGGED
    for magic, audio in _AUDIO:
        if data.startswith(magic):
            return audio
    for magic, name in _OTHER:
        if data.startswith(magic):
            return OtherFile(name)
    if data[:2] == b"MZ" and b"PE\0\0" in data[:1024]:
        return OtherFile("a program (EXE)")
    return _by_frames(data) or _by_text(data)


def skip_id3(data: bytes) -> int:
    """Where the sound begins: behind an ID3v2 tag, if there is one."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size


def _by_frames(data: bytes) -> AudioFile | None:
    for audio, frame_size in ((_MP3, _mp3_frame_size), (_ADTS, _adts_frame_size)):
        position = 0
        for _ in range(_MPEG_FRAMES):
            size = frame_size(data[position : position + 6])
            if not size:
                break
            position += size
        else:
            return audio
    return None


def _mp3_frame_size(header: bytes) -> int:
    """Bytes of the Layer III frame that begins so; 0 if none does (ISO/IEC 11172-3 2.4.1.3)."""
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
    """Bytes of the ADTS frame that begins so; 0 if none does (ISO/IEC 13818-7 6.2)."""
    if len(header) < 6 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return 0
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return size if size > 7 and header[2] >> 2 & 15 < 13 else 0


def _by_text(data: bytes) -> OtherFile | None:
    """Text of any kind: a page, a playlist, JSON. 16-bit sound never stays within these bytes."""
    sample = data[:_TEXT_SAMPLE]
    if not sample or any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in sample):
        return None
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 3 or len(data) <= _TEXT_SAMPLE:
            return None
    return OtherFile("text")

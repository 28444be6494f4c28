"""What an uploaded file is, by its bytes: never by its name or by what the client calls it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from .voices.wave_files import MAGICS as WAVE_MAGICS

_TEXT_SAMPLE: Final = 4096
_LATIN_SHARE: Final = 0.7  # of ASCII in text of an older encoding
_UNWRITTEN: Final = frozenset(("Cc", "Cs", "Co", "Cn"))  # controls, surrogates, no characters
_MPEG_FRAMES: Final = 3  # in a row, before sync bytes are believed: quiet PCM begins with them too
_STRAY_MPEG_FRAMES: Final = 5  # if they are not at the beginning
_MPEG_SYNC: Final = re.compile(rb"\xff[\xe2\xe3\xea\xeb\xf0-\xf3\xf8-\xfb]")  # Layer III and ADTS
_STRAY_BYTES: Final = 1 << 16  # before a first frame: the rest of one, or a tag with a wrong size
_BLANK: Final = re.compile(rb"[\0\t\n\r ]*(?:\xef\xbb\xbf)?[\0\t\n\r ]*")  # and UTF-8's mark
_MOST_TAGS: Final = 100


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A file that is taken. demuxers: those of FFmpeg that may read it. name: for messages."""

    name: str
    demuxers: str


@dataclass(frozen=True, slots=True)
class OtherFile:
    """A file that is surely no audio that is taken here."""

    name: str


# Of documents in any encoding.
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
    """Where a sound file begins: behind blank bytes, ID3v2 tags and the rest of a first MPEG frame.

    0 if the bytes say nothing, as those of raw PCM do, which may begin with silence.
    """
    begin = first = _skip_blank(data, 0)
    for _ in range(_MOST_TAGS):
        if not (tag := skip_id3(data[begin : begin + 10])):
            break
        begin = _skip_blank(data, begin + tag)
    found = _by_signature(data[begin : begin + 64])
    if isinstance(found, AudioFile):
        return begin
    # An MP4 file begins with a box's size, which begins with zeros and may look blank to its end.
    for box in range(max(4, begin), begin + 5):
        if data[box : box + 4] in _M4A_BOXES:
            return box - 4
    # An archive may hold an MP3 file as it is.
    if found is None and (frame := _first_frame(data, begin)) is not None:
        return frame
    return first if begin > first else 0


def identify(data: bytes) -> AudioFile | OtherFile | None:
    """What the bytes say they are; None where they say nothing, as raw PCM does.

    data: from `sound_begin` on.
    """
    found = _by_signature(data)
    if found:
        return found
    if data[:2] == b"MZ" and b"PE\0\0" in data[:1024]:
        return OtherFile("a program (EXE)")
    return _by_frames(data, 0, _MPEG_FRAMES) or _by_text(data)


def skip_id3(data: bytes) -> int:
    """Where the sound begins: behind an ID3v2 tag, if there is one."""
    if len(data) < 10 or data[:3] != b"ID3" or data[3] >= 0x10:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    footer = 10 if data[3] >= 4 and data[5] & 0x10 else 0
    return 10 + size + footer


def _skip_blank(data: bytes, begin: int) -> int:
    blank = _BLANK.match(data, begin)
    assert blank is not None  # it matches nothing, too
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
    """Where MPEG frames follow each other first, near the beginning."""
    for sync in _MPEG_SYNC.finditer(data, begin, begin + _STRAY_BYTES):
        frames = _MPEG_FRAMES if sync.start() == begin else _STRAY_MPEG_FRAMES
        if _by_frames(data, sync.start(), frames):
            return sync.start()
    return None


def _by_frames(data: bytes, begin: int, frames: int) -> AudioFile | None:
    """What so many frames in a row are, of one kind and sample rate."""
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

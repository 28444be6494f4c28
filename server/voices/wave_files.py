"""Where the sound of a WAVE file begins and ends, whatever its size fields say.

A program that streams a WAVE file writes a placeholder for the size that it does not know yet: 0, the
largest number, 0x7FFFF000. Here a size counts only if the rest of the file confirms it. libsndfile and
FFmpeg trust such sizes: they lose sound, read what follows the sound as sound, or miss that a file is
cut off. soundfile still reads the samples, once it is told where they are.

Chunks: "Multimedia Programming Interface and Data Specifications 1.0" (1991); format tags and
WAVE_FORMAT_EXTENSIBLE: mmreg.h; RF64 and BW64: ITU-R BS.2088.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import soundfile

from cosyserve.protocol.errors import InvalidAudio

from .downmix import Columns

MAGICS: Final = (b"RIFF", b"RIFX", b"RF64", b"BW64")

_Order = Literal["little", "big"]

_EXTENSIBLE: Final = 0xFFFE
_IN_DS64: Final = 0xFFFF_FFFF
_PLACEHOLDER: Final = 0x7F00_0000  # sizes from here on are placeholders,
_PLACEHOLDER_SECONDS: Final = 600.0  # and so are sizes of this much sound, in a reference clip
_RIFF_SLACK: Final = 64  # bytes by which writers miscount a file's size, the header's 8 included
_MOST_CHUNKS: Final = 1000
_SUBWOOFER: Final = 0x8  # in a channel mask
_5_1: Final = 0x3F  # the mask of six channels if the file has none
_BLOCK: Final = 1 << 14  # samples of all channels together that are read at once
# soundfile's subtype for a format tag and bits per sample.
_SUBTYPES: Final = {
    **{(1, 8): "PCM_U8", (1, 16): "PCM_16", (1, 24): "PCM_24", (1, 32): "PCM_32"},
    **{(3, 32): "FLOAT", (3, 64): "DOUBLE", (6, 8): "ALAW", (7, 8): "ULAW"},
}
_KNOWN: Final = frozenset(
    (
        *(b"fmt ", b"data", b"fact", b"ds64", b"LIST", b"bext", b"iXML", b"axml", b"chna", b"_PMX"),
        *(b"JUNK", b"junk", b"PAD ", b"FLLR", b"PEAK", b"cue ", b"smpl", b"inst", b"id3 ", b"ID3 "),
    )
)


@dataclass(frozen=True, slots=True)
class WaveFile:
    """The header of a WAVE file, and where its sound is: the bytes `begin` to `end`.

    order: of bytes. tag: the codec; of an extensible format, that of the sub-format. rate: Hz. bits: of
    one sample as stored. subwoofer: the index of that channel, if any. declared: bytes of sound that the
    header promises, `end - begin` if it has a placeholder. format: the body of the format chunk.
    """

    order: _Order
    tag: int
    channels: int
    rate: int
    bits: int
    subwoofer: int | None
    begin: int
    end: int
    declared: int
    format: bytes

    @classmethod
    def parse(cls, data: bytes) -> WaveFile:
        """Raises ValueError if the bytes are not a WAVE file, InvalidAudio if it has no sound."""
        order: _Order = "big" if data[:4] == b"RIFX" else "little"
        riff = int.from_bytes(data[4:8], order)
        form, wide_riff, wide_size = b"", 0, 0
        for name, begin, size in _chunks(data, order):
            if name == b"data" and form:
                break
            if name == b"fmt ":
                form = data[begin : begin + size]
            elif name == b"ds64":
                wide_riff = int.from_bytes(data[begin : begin + 8], "little")
                wide_size = int.from_bytes(data[begin + 8 : begin + 16], "little")
        else:
            if form:
                raise InvalidAudio("file: no sound in this WAV file")
            raise ValueError("no format")
        if len(form) < 16:
            raise ValueError("half a format")
        prefix = ">" if order == "big" else "<"
        tag, channels, rate, byte_rate, frame, bits = struct.unpack_from(f"{prefix}HHIIHH", form)
        mask = _5_1 if channels == 6 else 0
        if tag == _EXTENSIBLE and len(form) >= 26:
            mask, tag = struct.unpack_from(f"{prefix}IH", form, 20)
        if size == _IN_DS64 and wide_size:
            riff, size = wide_riff, wide_size
        end = begin + size
        cut_off = (
            len(data) < end <= riff + _RIFF_SLACK
            and riff < _PLACEHOLDER
            and size < _PLACEHOLDER_SECONDS * byte_rate
        )
        if not _is_confirmed(data, order, begin, size, riff):
            end = len(data)
        return cls(
            order=order,
            tag=tag,
            channels=channels,
            rate=rate,
            bits=_stored_bits(bits, channels, frame),
            subwoofer=(mask & _SUBWOOFER - 1).bit_count() if mask & _SUBWOOFER else None,
            begin=begin,
            end=end,
            declared=size if cut_off else end - begin,
            format=form,
        )

    @property
    def subtype(self) -> str | None:
        """soundfile's subtype of the samples; None if they need a codec."""
        return _SUBTYPES.get((self.tag, self.bits))

    def blocks(self, data: bytes) -> Iterator[tuple[Columns, int]]:
        """The samples of a file that has a `subtype`, without a subwoofer, with their rate.

        soundfile gets the bare samples, so that no size in the header misleads it.
        Raises soundfile.SoundFileError, ValueError.
        """
        with soundfile.SoundFile(
            io.BytesIO(data[self.begin : self.end]),
            samplerate=self.rate,
            channels=self.channels,
            format="RAW",
            subtype=self.subtype,
            endian="BIG" if self.order == "big" else "LITTLE",
        ) as file:
            frames = max(1, _BLOCK // self.channels)
            while len(block := file.read(frames, dtype="float32", always_2d=True)):
                columns = block.T
                if self.subwoofer is not None and 1 < self.channels > self.subwoofer:
                    columns = np.delete(columns, self.subwoofer, axis=0)
                yield columns, self.rate

    def plain(self, data: bytes) -> bytes:
        """The same sound as a file of two chunks with correct sizes, for FFmpeg to decode."""

        def chunk(name: bytes, body: bytes) -> bytes:
            return name + len(body).to_bytes(4, self.order) + body + bytes(len(body) % 2)

        body = chunk(b"fmt ", self.format) + chunk(b"data", data[self.begin : self.end])
        return chunk(b"RIFX" if self.order == "big" else b"RIFF", b"WAVE" + body)


def _chunks(data: bytes, order: _Order) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin of the body, and declared size of each chunk."""
    position = 12
    for _ in range(_MOST_CHUNKS):
        head = data[position : position + 8]
        if len(head) < 8:
            return
        size = int.from_bytes(head[4:], order)
        yield head[:4], position + 8, size
        position = _next_chunk(data, position + 8 + size, size % 2 == 1)


def _next_chunk(data: bytes, end: int, odd: bool) -> int:
    """Where the next chunk begins after one that ends at `end`. Some writers forget the padding."""
    if not odd or (data[end : end + 4] in _KNOWN and data[end + 1 : end + 5] not in _KNOWN):
        return end
    return end + 1


def _is_confirmed(data: bytes, order: _Order, begin: int, size: int, riff: int) -> bool:
    """Whether the file ends where `size` says that the sound ends, or continues in a known way.

    riff: the declared size of the whole file without the first 8 bytes.
    """
    end = begin + size
    if end > len(data):
        return False
    following = _next_chunk(data, end, size % 2 == 1)
    head = data[following : following + 8]
    fits = following + 8 + int.from_bytes(head[4:], order) <= len(data)
    if head[:4] in _KNOWN or (len(head) == 8 and fits and _is_name(head[:4])):
        return True
    if not size:
        return False
    return (
        len(head) < 8
        or riff + 8 in (end, following)
        or (data[following : following + 3] == b"TAG" and len(data) - following == 128)  # ID3v1
        or head == b"APETAGEX"
        or data.count(0, end) == len(data) - end
    )


def _is_name(name: bytes) -> bool:
    return all(32 <= byte < 127 for byte in name)


def _stored_bits(bits: int, channels: int, frame: int) -> int:
    """The bits that a sample occupies: whole bytes, and sometimes four bytes for 24 bits."""
    stored = -(-bits // 8) * 8
    return 32 if stored == 24 and frame == 4 * channels else stored

"""Where the sound of a WAVE file begins and ends, whatever its size fields say.

A program that streams a WAVE file does not know its size when it writes the header, and writes a
placeholder: 0, the largest number, 0x7FFFF000. A size is believed only where the bytes confirm it.

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
_PLACEHOLDER: Final = 0x7F00_0000  # a size from here on, or
_PLACEHOLDER_SECONDS: Final = 600.0  # sound this long in a reference clip, was never meant
_RIFF_SLACK: Final = 64  # bytes by which writers miscount a file's size, its own 8 among them
_MOST_CHUNKS: Final = 1000
_SUBWOOFER: Final = 0x8  # in a channel mask
_5_1: Final = 0x3F  # what six channels are taken for where no mask tells
_BLOCK: Final = 1 << 14  # samples of all channels that are read at once
# What soundfile calls samples of a format tag and of so many bits.
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
    """What the header of a WAVE file says, and the bytes `begin` to `end` that are its sound.

    tag: the codec; that of the sub-format where the format is extensible. bits: of one sample as
    it is stored. subwoofer: the index of that channel, if there is one. declared: bytes of sound
    according to the header, or as many as there are where it gives a placeholder.
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
        """Raises ValueError if the bytes are no such file, InvalidAudio for one without sound."""
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
        """What soundfile calls the samples; None where they need a codec."""
        return _SUBTYPES.get((self.tag, self.bits))

    def blocks(self, data: bytes) -> Iterator[tuple[Columns, int]]:
        """The samples of a file with a `subtype`, without a subwoofer's, and their rate.

        soundfile is given the bare samples, so that no size in a header can mislead it.
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
        """A file of this format and sound alone, whose sizes are right."""

        def chunk(name: bytes, body: bytes) -> bytes:
            return name + len(body).to_bytes(4, self.order) + body + bytes(len(body) % 2)

        body = chunk(b"fmt ", self.format) + chunk(b"data", data[self.begin : self.end])
        return chunk(b"RIFX" if self.order == "big" else b"RIFF", b"WAVE" + body)


def _chunks(data: bytes, order: _Order) -> Iterator[tuple[bytes, int, int]]:
    """Of each chunk its name, where its body begins, and the size that it declares."""
    position = 12
    for _ in range(_MOST_CHUNKS):
        head = data[position : position + 8]
        if len(head) < 8:
            return
        size = int.from_bytes(head[4:], order)
        yield head[:4], position + 8, size
        position = _next_chunk(data, position + 8 + size, size % 2 == 1)


def _next_chunk(data: bytes, end: int, odd: bool) -> int:
    """Where the chunk begins that follows one that ends at `end`: some writers forget to pad."""
    if not odd or (data[end : end + 4] in _KNOWN and data[end + 1 : end + 5] not in _KNOWN):
        return end
    return end + 1


def _is_confirmed(data: bytes, order: _Order, begin: int, size: int, riff: int) -> bool:
    """Whether the file ends where `size` says that its sound ends, or goes on in a known way.

    riff: the size of the whole file but for 8 bytes, as it says.
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
    """Samples fill whole bytes; those of 24 bits at times four of them."""
    stored = -(-bits // 8) * 8
    return 32 if stored == 24 and frame == 4 * channels else stored

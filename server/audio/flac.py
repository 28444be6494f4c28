"""FLAC in frames of 20 ms, made by encoders that all streams share.

FFmpeg's encoder takes 7 MiB, whatever its options: it has room for eight channels of the longest blocks.
But a frame of FLAC is coded by itself, and knows of its stream only its number (RFC 9639, section 9). So a
stream borrows an encoder for the frames of a moment, and puts its own numbers in.

FFmpeg stores sound that cannot be compressed as it is, by a limit that counts the number's bytes too. So a
frame of noise may have other bytes another time, for the same samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.packet import Packet

from cosyserve.engine.interface import Samples

from .encoder import NOTHING, Encoded
from .ffmpeg import Sink, on_one_cpu
from .pcm import to_s16
from .provenance import Provenance

_Samples16 = npt.NDArray[np.int16]

_FRAMES_PER_SECOND: Final = 50
"""FFmpeg's default is a fifth of it, and a listener would wait as much longer."""
_FRAMES_PER_ENCODER: Final = 1 << 20
"""An encoder counts its frames, in a field that holds 31 bits."""
_LONGEST_FRAME: Final = 4096
"""Bytes. 20 ms at 48 kHz are 1920 bytes; frames that would take more are not compressed."""

_idle: dict[int, list[_FrameEncoder]] = {}
"""Encoders that nobody uses now, by sample rate: as many as threads have encoded at once."""


class FlacCodec:
    """One stream of FLAC. Each frame leaves as soon as its samples have come."""

    def __init__(self, sample_rate: int, provenance: Provenance | None = None) -> None:
        self._sample_rate = sample_rate
        self._provenance = provenance
        self._size = sample_rate // _FRAMES_PER_SECOND
        self._rest = np.zeros(0, np.int16)
        """Samples of a frame that has only begun."""
        self._number = 0
        """Of the next frame."""

    def encode(self, samples: Samples) -> Encoded:
        self._rest = np.concatenate((self._rest, to_s16(samples)))
        count = len(self._rest) // self._size
        if not count:
            return NOTHING
        blocks = self._rest[: count * self._size].reshape(count, self._size)
        self._rest = self._rest[count * self._size :].copy()
        with _borrowed(self._sample_rate) as encoder:
            return self._numbered([encoder.encode(block) for block in blocks], blocks.size)

    def flush(self) -> Encoded:
        if not len(self._rest):
            return NOTHING
        if not self._number:
            whole = _muxed(self._rest, self._sample_rate, self._provenance, end=True)
            return Encoded(whole, len(self._rest) / self._sample_rate)
        encoder = _FrameEncoder(self._sample_rate)
        # A short frame is an encoder's last, and if it were the first too, it might grow beyond its samples.
        encoder.encode(np.zeros(self._size, np.int16))
        return self._numbered([encoder.encode(self._rest, last=True)], len(self._rest))

    def _numbered(self, frames: list[bytes], samples: int) -> Encoded:
        parts = [] if self._number else [_stream_header(self._sample_rate, self._provenance)]
        for frame in frames:
            parts.append(renumbered(frame, self._number))
            self._number += 1
        return Encoded(b"".join(parts), samples / self._sample_rate)


class _FrameEncoder:
    """FFmpeg's encoder; its frames have numbers of its own."""

    def __init__(self, sample_rate: int) -> None:
        self._context = av.CodecContext.create("flac", "w")
        assert isinstance(self._context, av.AudioCodecContext)
        _set_up(self._context, sample_rate)
        self._sample_rate = sample_rate
        self._position = 0
        self.frames = 0

    def encode(self, block: _Samples16, *, last: bool = False) -> bytes:
        """The frame of these samples; only the last may have fewer than 20 ms."""
        frame = _audio_frame(block, self._sample_rate, self._position)
        self._position += len(block)
        if self.frames:
            packets = self._context.encode(frame)
        else:
            with on_one_cpu():
                packets = self._context.encode(frame)
        if last:
            packets += self._context.encode(None)
        self.frames += 1
        # The packet that ends a stream is empty.
        (data,) = (bytes(packet) for packet in packets if packet.size)
        return data


@contextmanager
def _borrowed(sample_rate: int) -> Iterator[_FrameEncoder]:
    """An encoder that nobody else uses meanwhile; one that fails is dropped. Thread-safe."""
    idle = _idle.setdefault(sample_rate, [])
    try:
        encoder = idle.pop()
    except IndexError:
        encoder = _FrameEncoder(sample_rate)
    yield encoder
    if encoder.frames < _FRAMES_PER_ENCODER:
        idle.append(encoder)


@cache
def _stream_header(sample_rate: int, provenance: Provenance | None) -> bytes:
    """All that stands before the first frame; it leaves open how long the stream will be."""
    silence = np.zeros(sample_rate // _FRAMES_PER_SECOND, np.int16)
    frame = _FrameEncoder(sample_rate).encode(silence)
    return _muxed(silence, sample_rate, provenance, end=False).removesuffix(frame)


def _muxed(
    samples: _Samples16, sample_rate: int, provenance: Provenance | None, *, end: bool
) -> bytes:
    """A stream of at most one frame as FFmpeg's muxer writes it. end: whether the stream ends there."""
    sink = Sink()
    options = {"flush_packets": "1", "metadata_header_padding": "0"}  # the padding would be 8 KiB
    container = av.open(sink, "w", format="flac", container_options=options)
    if provenance is not None:
        container.metadata.update(provenance.tags)
    stream = container.add_stream("flac", rate=sample_rate, layout="mono")
    assert isinstance(stream, av.AudioStream)
    _set_up(stream.codec_context, sample_rate)
    with on_one_cpu():
        packets: list[Packet[Any]] = stream.encode(_audio_frame(samples, sample_rate, 0))
    if end:
        packets += stream.encode(None)
    container.mux([packet for packet in packets if packet.size])
    data = sink.take()
    container.close()
    return data


def _set_up(context: av.AudioCodecContext, sample_rate: int) -> None:
    context.sample_rate = sample_rate
    context.layout = "mono"
    context.format = av.AudioFormat("s16")
    context.time_base = Fraction(1, sample_rate)
    context.thread_count = 1
    context.options = {"frame_size": str(sample_rate // _FRAMES_PER_SECOND)}


def _audio_frame(block: _Samples16, sample_rate: int, position: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = sample_rate
    frame.time_base = Fraction(1, sample_rate)
    frame.pts = position
    return frame


# Frame numbers


def renumbered(frame: bytes, number: int) -> bytes:
    """The frame with another number, from 0 to 2**31 - 1, and with checksums that fit."""
    old_size = _header_size(frame)
    written = _written(number)
    fixed = frame[4 + _number_size(frame[4]) : old_size - 1]  # block size and sample rate
    header = frame[:4] + written + fixed
    header += bytes((_crc8(header),))
    # The checksum of the frame changes by the difference of the headers' own, moved up by what follows.
    moved = len(frame) - old_size - 2
    change = _multiplied(_crc16(frame[:old_size]) ^ _crc16(header), _powers()[moved])
    checksum = int.from_bytes(frame[-2:], "big") ^ change
    return header + frame[old_size:-2] + checksum.to_bytes(2, "big")


def _number_size(first: int) -> int:
    """Bytes of a number, from its first one: coded as UTF-8 would, up to 31 bits."""
    return max(1, 8 - (first ^ 0xFF).bit_length())


def _header_size(frame: bytes) -> int:
    size_code, rate_code = frame[2] >> 4, frame[2] & 15
    more = {6: 1, 7: 2}.get(size_code, 0) + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    return 4 + _number_size(frame[4]) + more + 1


def _written(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    size = (
        number.bit_length() + 3
    ) // 5  # each further byte adds 6 bits and takes one of the first's
    lower = [0x80 | (number >> 6 * place) & 0x3F for place in range(size - 2, -1, -1)]
    return bytes(((0xFF00 >> size) & 0xFF | number >> 6 * (size - 1), *lower))


def _crc_table(polynomial: int, bits: int) -> tuple[int, ...]:
    """What each byte makes of a checksum of so many bits that is 0."""
    top, mask = 1 << (bits - 1), (1 << bits) - 1
    table = []
    for value in range(256):
        rest = value << (bits - 8)
        for _ in range(8):
            rest = (rest << 1 ^ (polynomial if rest & top else 0)) & mask
        table.append(rest)
    return tuple(table)


_CRC8: Final = _crc_table(0x07, 8)
_CRC16: Final = _crc_table(0x8005, 16)


def _crc8(data: bytes) -> int:
    rest = 0
    for byte in data:
        rest = _CRC8[rest ^ byte]
    return rest


def _crc16(data: bytes) -> int:
    rest = 0
    for byte in data:
        rest = (rest << 8 & 0xFF00) ^ _CRC16[rest >> 8 ^ byte]
    return rest


@cache
def _powers() -> tuple[int, ...]:
    """For each number of bytes up to the longest frame's: the checksum of a 1 that so many zeros follow."""
    powers = [1]
    while len(powers) < _LONGEST_FRAME:
        rest = powers[-1]
        powers.append((rest << 8 & 0xFF00) ^ _CRC16[rest >> 8])
    return tuple(powers)


def _multiplied(left: int, right: int) -> int:
    """The product of two polynomials over GF(2), modulo that of CRC-16."""
    product = 0
    while left:
        if left & 1:
            product ^= right
        left >>= 1
        right = (right << 1) ^ (0x18005 if right & 0x8000 else 0)
    return product

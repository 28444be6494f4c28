"""What of a stream of sound is the same wherever it is encoded."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable

import av
import numpy as np

from support.engines.fake_engine import RATE
from support.listening.audio import decode

DIGITS = 12
"""Of a SHA-256 that are written down."""


def digest(data: bytes) -> str:
    return f"{len(data)} bytes {hashlib.sha256(data).hexdigest()[:DIGITS]}"


class Sound:
    """The bytes of one stream, as they come.

    exact: they are the same everywhere; not so where FFmpeg had a hand in them, for its builds differ.
    """

    def __init__(self, audio_format: str, rate: int = RATE, *, exact: bool | None = None) -> None:
        self.format = audio_format
        self.rate = rate
        is_plain = audio_format in ("pcm", "wav") and rate == RATE
        self.exact = is_plain if exact is None else exact
        self._data = bytearray()

    def take(self, data: bytes) -> str:
        """Words for the next bytes."""
        self._data += data
        return digest(data) if self.exact else self.format

    def told(self) -> str:
        """Words for all that was taken, which begins anew."""
        data = bytes(self._data)
        self._data.clear()
        if self.exact:
            return f"{self.format}: {digest(data)}"
        samples, rate = decode(data, self.format, self.rate)
        found = f"{self.format}: {rate} Hz, {len(samples)} samples"
        if self.format == "flac" and rate == RATE:
            found += f", decoded {digest(np.rint(samples * 32768).astype('<i2').tobytes())}"
        of_header = _HEADERS.get(self.format)
        return found if of_header is None else found + of_header(data)


def _mp3(data: bytes) -> str:
    """At a constant bit rate without a reservoir, the size tells the rate."""
    return f", {len(data)} bytes, {_packets(data)} frames, the first one's header {data[:4].hex()}"


def _aac(data: bytes) -> str:
    return f", {_packets(data)} frames, the first one's header {data[:3].hex()}.."  # then its size


def _opus(data: bytes) -> str:
    at = data.index(b"OpusHead")
    channels, rate = data[at + 9], int.from_bytes(data[at + 12 : at + 16], "little")
    return f", {_packets(data)} packets, {data[:4].decode()}, {channels} channel of {rate} Hz"


def _flac(data: bytes) -> str:
    """The fields of STREAMINFO but for the frame sizes and the digest."""
    fields = int.from_bytes(data[18:26], "big")
    total, channels, bits = fields % (1 << 36), (fields >> 41) % 8 + 1, (fields >> 36) % 32 + 1
    blocks = int.from_bytes(data[8:10], "big"), int.from_bytes(data[10:12], "big")
    magic = data[:4].decode()
    return f", {magic}, blocks of {blocks}, {channels} channel of {bits} bits, {total} samples told"


def _wav(data: bytes) -> str:
    return f", header {data[: data.index(b'data') + 8].hex()}"


_HEADERS: dict[str, Callable[[bytes], str]] = {
    "mp3": _mp3,
    "aac": _aac,
    "opus": _opus,
    "flac": _flac,
    "wav": _wav,
    "wav_ulaw": _wav,
    "wav_alaw": _wav,
}


def _packets(data: bytes) -> int:
    with av.open(io.BytesIO(data), "r") as container:
        return sum(1 for packet in container.demux(audio=0) if packet.size)

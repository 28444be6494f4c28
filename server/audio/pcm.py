"""The formats without a codec: bare 16-bit PCM, and the same behind a WAV header.

The true sizes in the headers of an answer that is sent whole.
"""

from __future__ import annotations

import io
import struct
from typing import Final

import av
import numpy as np
import numpy.typing as npt

from cosyserve.engine.interface import Samples
from cosyserve.protocol.parameters import AudioFormat

from .encoder import NOTHING, Encoded

_UNKNOWN_SIZE: Final = (
    0xFFFFFFFF  # of a stream: every common reader takes it as "to the end", 0 not
)
WAV_HEADER_SIZE: Final = 44


def to_s16(samples: Samples) -> npt.NDArray[np.int16]:
    """Full scale +-1 to signed 16 bit: rounded to the nearest, saturated beyond full scale."""
    scaled = np.rint(samples * np.float32(32768))
    whole: npt.NDArray[np.int16] = np.clip(scaled, -32768, 32767).astype("<i2")
    return whole


def wav_header(sample_rate: int, data_size: int | None = None) -> bytes:
    """The header of mono 16-bit PCM; with no `data_size`, that of a stream of unknown length."""
    riff, data = (
        (_UNKNOWN_SIZE, _UNKNOWN_SIZE)
        if data_size is None
        else (data_size + WAV_HEADER_SIZE - 8, data_size)
    )
    format_chunk = struct.pack("<IHHIIHH", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    return b"".join(
        (
            b"RIFF",
            struct.pack("<I", riff),
            b"WAVEfmt ",
            format_chunk,
            b"data",
            struct.pack("<I", data),
        )
    )


class PcmCodec:
    """Little-endian signed 16-bit samples, after `header`, which goes with the first of them."""

    def __init__(self, sample_rate: int, header: bytes = b"") -> None:
        self._sample_rate = sample_rate
        self._header = header

    def encode(self, samples: Samples) -> Encoded:
        if not len(samples):
            return NOTHING
        data = self._header + to_s16(samples).tobytes()
        self._header = b""
        return Encoded(data, len(samples) / self._sample_rate)

    def flush(self) -> Encoded:
        return NOTHING


_STREAMINFO_TOTAL: Final = slice(
    18, 26
)  # of a FLAC file: rate, channels, bits, then 36 bits of total
_TOTAL_BITS: Final = 36


def sized(data: bytes, audio_format: AudioFormat) -> bytes:
    """A whole stream with its length in the header, where the format has such a field (WAV, FLAC).

    data: all results of one encoder, joined. Heavy for FLAC: it reads the frames' headers.
    """
    if audio_format is AudioFormat.WAV and len(data) >= WAV_HEADER_SIZE:
        (sample_rate,) = struct.unpack_from("<I", data, 24)
        return wav_header(sample_rate, len(data) - WAV_HEADER_SIZE) + data[WAV_HEADER_SIZE:]
    if audio_format is AudioFormat.FLAC and data:
        fields = int.from_bytes(data[_STREAMINFO_TOTAL], "big")
        total = _flac_samples(data) % (1 << _TOTAL_BITS)
        patched = (fields >> _TOTAL_BITS << _TOTAL_BITS | total).to_bytes(8, "big")
        return data[: _STREAMINFO_TOTAL.start] + patched + data[_STREAMINFO_TOTAL.stop :]
    return data


def _flac_samples(data: bytes) -> int:
    with av.open(io.BytesIO(data), "r", format="flac") as container:
        stream = container.streams.audio[0]
        last = 0
        for packet in container.demux(stream):
            if packet.pts is not None and packet.duration and packet.time_base is not None:
                end = (packet.pts + packet.duration) * packet.time_base * stream.rate
                last = round(end)
        return last

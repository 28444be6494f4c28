"""The formats without a codec, 16-bit PCM bare or after a WAV header, and lengths in finished headers.

The stdlib's `wave` and soundfile cannot write the header of a stream of unknown length: both compute its
sizes, and the field's convention for "unknown" overflows them.
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

_WAV_HEADER: Final = struct.Struct("<4sI8sIHHIIHH4sI")
WAV_HEADER_SIZE: Final = _WAV_HEADER.size
_UNKNOWN_SIZE: Final = 0xFFFFFFFF  # every common reader takes it as "to the end"; 0 they do not
_STREAMINFO: Final = slice(
    18, 26
)  # of a FLAC file: rate, channels and bits, then the total of samples
_TOTAL_BITS: Final = 36


def to_s16(samples: Samples) -> npt.NDArray[np.int16]:
    """Samples as signed 16-bit integers: rounded to the nearest, clipped at full scale."""
    scaled = np.rint(samples * np.float32(32768))
    whole: npt.NDArray[np.int16] = np.clip(scaled, -32768, 32767).astype("<i2")
    return whole


def wav_header(sample_rate: int, data_size: int | None = None) -> bytes:
    """The header of mono 16-bit PCM. data_size: in bytes, None for a stream of unknown length."""
    riff, data = _UNKNOWN_SIZE, _UNKNOWN_SIZE
    if data_size is not None:
        riff, data = data_size + WAV_HEADER_SIZE - 8, data_size
    pcm, channels, width = 1, 1, 2
    return _WAV_HEADER.pack(
        *(b"RIFF", riff, b"WAVEfmt ", 16, pcm, channels),
        *(sample_rate, sample_rate * width, width, 8 * width, b"data", data),
    )


class PcmCodec:
    """Little-endian signed 16-bit samples. header: comes before the first of them."""

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


def sized(data: bytes, audio_format: AudioFormat) -> bytes:
    """A complete stream with its length in the header, if the format has such a field (WAV, FLAC).

    data: all results of one encoder, joined. Takes long for FLAC: it reads the headers of all frames.
    """
    if audio_format is AudioFormat.WAV and len(data) >= WAV_HEADER_SIZE:
        (sample_rate,) = struct.unpack_from("<I", data, 24)
        return wav_header(sample_rate, len(data) - WAV_HEADER_SIZE) + data[WAV_HEADER_SIZE:]
    if audio_format is AudioFormat.FLAC and data:
        fields = int.from_bytes(data[_STREAMINFO], "big")
        total = _flac_samples(data) % (1 << _TOTAL_BITS)
        patched = (fields >> _TOTAL_BITS << _TOTAL_BITS | total).to_bytes(8, "big")
        return data[: _STREAMINFO.start] + patched + data[_STREAMINFO.stop :]
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

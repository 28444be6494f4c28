"""The formats without a codec: bare 16-bit PCM, and the same behind a WAV header."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from cosyserve.engine.interface import Samples

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

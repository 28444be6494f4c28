"""16-bit PCM, bare or after a head."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cosyserve.engine.interface import Samples

from .encoder import NOTHING, Encoded


def to_s16(samples: Samples) -> npt.NDArray[np.int16]:
    """Samples as signed 16-bit integers: rounded to the nearest, clipped at full scale."""
    scaled = np.rint(samples * np.float32(32768))
    whole: npt.NDArray[np.int16] = np.clip(scaled, -32768, 32767).astype("<i2")
    return whole


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

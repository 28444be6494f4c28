"""The formats without a codec, 16-bit PCM bare or after a WAV header, and lengths in finished headers.

The stdlib's `wave` and soundfile cannot write the header of a stream of unknown length: both compute its
sizes, and the field's convention for "unknown" overflows them.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from cosyserve.engine.interface import Samples
from cosyserve.protocol.parameters import AudioFormat

from .encoder import NOTHING, Encoded

_WAV_HEADER: Final = struct.Struct("<4sI8sIHHIIHH4sI")
SIZED_HEAD: Final = _WAV_HEADER.size
"""Bytes at the beginning of a stream in which its length is, in every format that has one."""
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
        riff, data = data_size + SIZED_HEAD - 8, data_size
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


def sized_head(head: bytes, audio_format: AudioFormat, size: int, samples: int) -> bytes:
    """The first SIZED_HEAD bytes of a complete stream with its length in them.

    head: as the encoder made them. size: bytes of the whole stream; samples: of its sound. Formats without
    a field for the length (all but WAV and FLAC) stay as they are.
    """
    if audio_format is AudioFormat.WAV and len(head) >= SIZED_HEAD:
        (sample_rate,) = struct.unpack_from("<I", head, 24)
        return wav_header(sample_rate, size - SIZED_HEAD)
    if audio_format is AudioFormat.FLAC and head:
        fields = int.from_bytes(head[_STREAMINFO], "big")
        total = samples % (1 << _TOTAL_BITS)
        patched = (fields >> _TOTAL_BITS << _TOTAL_BITS | total).to_bytes(8, "big")
        return head[: _STREAMINFO.start] + patched + head[_STREAMINFO.stop :]
    return head

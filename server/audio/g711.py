"""G.711, the sound of telephone lines: 8-bit samples at 8000 Hz by mu-law or A-law."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from cosyserve.engine.interface import Samples
from cosyserve.protocol.parameters import G711_SAMPLE_RATE, AudioFormat

from .encoder import NOTHING, Encoded
from .pcm import to_s16

FRAME: Final = G711_SAMPLE_RATE // 50
"""Samples, and bytes, in 20 ms: what a packet of RTP carries, and a media message of a telephony API."""

_Codes = npt.NDArray[np.uint8]


class G711Codec:
    """Whole frames of 20 ms; `flush` gives the rest.

    header: comes before the first frame. even: whether to end with a sample of silence if the number of
    samples is odd, as a RIFF chunk has to.
    """

    def __init__(
        self, audio_format: AudioFormat, header: bytes = b"", *, even: bool = False
    ) -> None:
        self._codes = _codes_of(audio_format)
        self._header = header
        self._even = even
        self._held = np.zeros(0, np.uint8)  # less than a frame

    def encode(self, samples: Samples) -> Encoded:
        codes = np.concatenate((self._held, self._codes[to_s16(samples).view(np.uint16)]))
        whole = len(codes) - len(codes) % FRAME
        self._held = codes[whole:]
        return self._result(codes[:whole])

    def flush(self) -> Encoded:
        rest, self._held = self._held, self._held[:0]
        if self._even and len(rest) % 2:
            rest = np.append(rest, self._codes[0])
        return self._result(rest)

    def _result(self, codes: _Codes) -> Encoded:
        if not len(codes):
            return NOTHING
        data = self._header + codes.tobytes()
        self._header = b""
        return Encoded(data, len(codes) / G711_SAMPLE_RATE)


@cache
def _codes_of(audio_format: AudioFormat) -> _Codes:
    """The code of every 16-bit sample, by its bits as an unsigned number."""
    samples = np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int32)
    negative = samples < 0
    magnitudes = np.where(negative, ~samples, samples)
    if audio_format in (AudioFormat.ULAW, AudioFormat.WAV_ULAW):
        return _mu_law(magnitudes, negative)
    return _a_law(magnitudes, negative)


def _mu_law(magnitudes: npt.NDArray[np.int32], negative: npt.NDArray[np.bool_]) -> _Codes:
    # Each segment is twice as long as the one before it. The bias of 33, in the 14 bits that the law
    # knows, makes the highest bit the segment's number.
    biased = np.minimum((magnitudes >> 2) + 33, 0x1FFF)
    segment = _highest_bit(biased) - 5
    code = segment << 4 | biased >> (segment + 1) & 15
    codes: _Codes = ((code | np.where(negative, 0x80, 0)) ^ 0xFF).astype(np.uint8)
    return codes


def _a_law(magnitudes: npt.NDArray[np.int32], negative: npt.NDArray[np.bool_]) -> _Codes:
    # The first two segments have the same step; the law inverts every second bit.
    short = magnitudes >> 4
    segment = np.maximum(_highest_bit(np.maximum(short, 1)) - 3, 0)
    code = segment << 4 | short >> np.maximum(segment - 1, 0) & 15
    codes: _Codes = ((code | np.where(negative, 0, 0x80)) ^ 0x55).astype(np.uint8)
    return codes


def _highest_bit(numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The place of the highest bit that is set; numbers > 0."""
    return (np.frexp(numbers)[1] - 1).astype(np.int32)

"""16-bit samples."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.server.audio.pcm import PcmCodec, to_s16


def test_samples_are_rounded_to_the_nearest() -> None:
    steps = np.array([0.4, 0.6, -0.4, -0.6, 1.49, -1.51], np.float32) / 32768
    assert to_s16(steps).tolist() == [0, 1, 0, -1, 1, -2]


def test_samples_beyond_full_scale_saturate() -> None:
    loud = np.array([1.0, 1.5, 1e30, -1.0, -1.5, -1e30], np.float32)
    assert to_s16(loud).tolist() == [32767, 32767, 32767, -32768, -32768, -32768]


@given(st.integers(-32768, 32767))
def test_every_16_bit_value_survives(value: int) -> None:
    assert to_s16(np.array([value / 32768], np.float32)).tolist() == [value]


def test_the_header_goes_with_the_first_sample() -> None:
    codec = PcmCodec(8000, b"header")
    assert codec.encode(np.zeros(0, np.float32)).data == b""
    assert codec.encode(np.zeros(1, np.float32)).data == b"header\0\0"
    assert codec.encode(np.zeros(1, np.float32)).data == b"\0\0"

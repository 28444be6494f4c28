from __future__ import annotations

import numpy as np
import pytest

from cosyserve.engine.embedded.espeak import library
from cosyserve.engine.embedded.espeak.resampler import Resampler
from cosyserve.engine.embedded.frames import SAMPLE_RATE
from cosyserve.engine.embedded.sound import WordMark


def resampled(pcm: bytes, size: int) -> bytes:
    resampler = Resampler()
    parts = [resampler.feed(pcm[at : at + size], [])[0] for at in range(0, len(pcm), size)]
    return b"".join([*parts, resampler.finish()[0]])


@pytest.mark.parametrize("hertz", [100.0, 1000.0, 9000.0])
@pytest.mark.parametrize("size", [20, 2646, 1 << 20])
def test_a_tone_stays_itself(hertz: float, size: int) -> None:
    def tone(rate: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return 20000 * np.sin(2 * np.pi * hertz * np.arange(rate) / rate)

    pcm = np.rint(tone(library.SAMPLE_RATE)).astype("<i2").tobytes()
    found = np.frombuffer(resampled(pcm, size), "<i2")
    assert len(found) == SAMPLE_RATE
    assert np.abs(found - tone(SAMPLE_RATE))[100:-100].max() < 10


def test_silence_stays_silent() -> None:
    assert not any(resampled(bytes(10000), 1000))
    assert resampled(b"", 1000) == b""


def test_the_loudest_sound_is_not_wrapped() -> None:
    loud = np.tile(np.repeat(np.array([32767, -32768], "<i2"), 20), 100)
    found = np.frombuffer(resampled(loud.tobytes(), 500), "<i2").astype(int)
    assert np.abs(np.diff(found)).max() < 65536
    assert found.max() == 32767
    assert found.min() == -32768


def test_marks_come_with_their_sound() -> None:
    resampler = Resampler()
    given = 0
    found = []
    for place in range(0, 22050, 1323):
        pcm, marks = resampler.feed(bytes(2 * 1323), [WordMark(place + 1322, place)])
        given += len(pcm) // 2
        assert all(mark.sample < given for mark in marks)
        found += marks
    found += resampler.finish()[1]
    assert [mark.position for mark in found] == list(range(0, 22050, 1323))
    assert found[0].sample == pytest.approx(1322 * 24000 / 22050, abs=1)

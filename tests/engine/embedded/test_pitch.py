import tracemalloc

import numpy as np
import pytest

from cosyserve.engine.embedded.pitch import median_f0


def voiced(f0: float, seconds: float, rate: int) -> np.ndarray:
    """Harmonics that fall by 6 dB an octave, as a voice's do."""
    times = np.arange(round(seconds * rate)) / rate
    harmonics = np.arange(1, int(4000 / f0) + 1)
    waves = np.sin(2 * np.pi * f0 * harmonics[:, None] * times) / harmonics[:, None]
    return (0.2 * waves.sum(axis=0)).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("f0", [75.0, 110.0, 143.0, 220.0, 330.0, 395.0])
def test_f0_of_a_steady_tone(f0: float, rate: int) -> None:
    assert median_f0(voiced(f0, 1.0, rate), rate) == pytest.approx(f0, rel=0.01)


def test_the_median_passes_over_pauses_and_noise() -> None:
    rate = 16000
    noise = 0.05 * np.random.default_rng(1).standard_normal(rate).astype(np.float32)
    clip = np.concatenate([noise, voiced(180.0, 1.5, rate), np.zeros(rate, np.float32)])
    assert median_f0(clip, rate) == pytest.approx(180.0, rel=0.02)


@pytest.mark.parametrize(
    "clip",
    [
        np.zeros(16000, np.float32),
        np.zeros(10, np.float32),
        np.zeros(0, np.float32),
        np.full(16000, 0.5, np.float32),
        0.3 * np.random.default_rng(2).standard_normal(32000).astype(np.float32),
    ],
)
def test_unvoiced_clips_have_none(clip: np.ndarray) -> None:
    assert median_f0(clip, 16000) is None


def test_a_clip_s_sample_rate_does_not_change_its_f0() -> None:
    found = []
    for rate in (16000, 24000, 44100, 48000, 96000, 176400, 192000):
        time = np.arange(3 * rate) / rate
        phase = 2 * np.pi * np.cumsum(150 + 60 * np.sin(2 * np.pi * 0.7 * time)) / rate
        clip = sum(np.sin(k * phase) / k for k in range(1, 15))
        hiss = np.random.default_rng(6).standard_normal(len(clip))
        found.append(median_f0((0.2 * clip + 0.01 * hiss).astype(np.float32), rate))
    assert found == pytest.approx([found[0]] * len(found), rel=0.02)


def test_what_a_high_sample_rate_adds_is_not_heard() -> None:
    rate = 96000
    whistle = 0.3 * np.sin(2 * np.pi * 16150 * np.arange(rate) / rate).astype(np.float32)
    assert median_f0(voiced(120.0, 1.0, rate) + whistle, rate) == pytest.approx(120, rel=0.01)


def test_the_memory_is_bounded_whatever_the_sample_rate() -> None:
    rate = 192000
    clip = np.tile(voiced(120.0, 1.0, rate), 29)
    tracemalloc.start()
    try:
        found = median_f0(clip, rate)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == pytest.approx(120, rel=0.01)
    assert peak < 40_000_000

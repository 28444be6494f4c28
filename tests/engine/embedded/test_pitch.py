import numpy as np
import pytest

from cosyserve.engine.embedded.pitch import median_f0


def voiced(f0: float, seconds: float, rate: int) -> np.ndarray:
    """Harmonics that fall by 6 dB an octave, as a voice's do."""
    times = np.arange(round(seconds * rate)) / rate
    harmonics = np.arange(1, int(4000 / f0) + 1)
    waves = np.sin(2 * np.pi * f0 * harmonics[:, None] * times) / harmonics[:, None]
    return (0.2 * waves.sum(axis=0)).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000])
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

from __future__ import annotations

import math

import pytest
import torch

from cosyserve.engine.cosyvoice.prompt import resample
from support.engines import goldens


def test_golden() -> None:
    """Of speech: the chirp's two clips were not made from each other."""
    clips = goldens.tensors("g_frontend")
    found = resample(clips["zero_shot_wav24k"], 24000, 16000)
    assert (found - clips["zero_shot_wav16k"]).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("rate", "tolerance"),
    # The last two have no small ratio: the tone drifts by a few millionths within the second.
    [(8000, 2e-3), (22050, 2e-3), (44100, 2e-3), (48000, 2e-3), (44101, 2e-2), (191999, 2e-2)],
)
def test_a_tone_keeps_its_pitch_and_level(rate: int, tolerance: float) -> None:
    def tone(at: int, length: int) -> torch.Tensor:
        return torch.sin(torch.arange(length, dtype=torch.float64) * (2 * math.pi * 440 / at))

    found = resample(tone(rate, rate).float()[None], rate, 24000)[0]
    assert abs(len(found) - 24000) <= 1
    inside = slice(200, len(found) - 200)
    assert (found - tone(24000, len(found)))[inside].abs().max() < tolerance


def test_length_is_rounded_up() -> None:
    assert resample(torch.zeros(1, 100), 44100, 24000).shape == (1, math.ceil(100 * 24000 / 44100))


def test_equal_rates_change_nothing() -> None:
    wave = torch.randn(1, 10)
    assert resample(wave, 16000, 16000) is wave


def test_rates_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        resample(torch.zeros(1, 10), 0, 24000)

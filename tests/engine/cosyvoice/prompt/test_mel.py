from __future__ import annotations

import pytest
import torch

from cosyserve.engine.cosyvoice.families import COSYVOICE3
from cosyserve.engine.cosyvoice.prompt.mel import (
    MEL_SHORTEST,
    WHISPER_SHORTEST,
    prompt_mel,
    slaney_filters,
    whisper_log_mel,
)
from support.engines import goldens, goldens3


@pytest.fixture(scope="module")
def clips() -> dict[str, torch.Tensor]:
    return goldens.tensors("g_frontend")


def test_prompt_mel_golden_of_a_chirp(clips: dict[str, torch.Tensor]) -> None:
    """The stated 1e-4 holds down to 77 dB under the tone, not below: 490 of 4800 bins miss it.

    There a float32 transform's own rounding shows: the golden is up to 8.4e-3 from this mel computed
    in float64 throughout, and float32 transforms are up to 0.011 from the golden.
    """
    wave, expected = clips["chirp_wav24k"], clips["chirp_mel24k"]
    found = prompt_mel(wave)
    assert found.shape == expected.shape
    off = (found - expected).abs()
    assert off[expected > -7.0].max() < 1e-4
    assert off.max() < 5e-3


def test_prompt_mel_golden_of_speech(clips: dict[str, torch.Tensor]) -> None:
    found = prompt_mel(clips["zero_shot_wav24k"])
    assert (found - clips["zero_shot_mel24k"]).abs().max() < 1e-4


@pytest.mark.parametrize("clip", ["chirp", "prompt", "quiet"])
def test_prompt_mel_golden_of_cosyvoice_3(clip: str) -> None:
    """Its filters reach up to half the sample rate; 75 dB under the loudest, float32 shows as above."""
    clips = goldens3.GOLDENS.arrays("g_frontend")
    expected = clips[f"{clip}_mel24k"]
    off = (prompt_mel(clips[f"{clip}_wav24k"], COSYVOICE3.prompt_mel_top) - expected).abs()
    assert off[expected > expected.max() - 8.6].max() < 1e-4
    assert off.max() < 1e-2


@pytest.mark.parametrize("clip", ["chirp", "zero_shot"])
def test_whisper_golden(clips: dict[str, torch.Tensor], clip: str) -> None:
    found = whisper_log_mel(clips[f"{clip}_wav16k"])
    assert (found - clips[f"{clip}_whisper128"]).abs().max() < 1e-4


def test_frames_per_second() -> None:
    wave = torch.randn(1, 48000)
    assert prompt_mel(wave).shape == (1, 80, 100)
    assert whisper_log_mel(wave).shape == (1, 128, 300)


def test_shortest_clips() -> None:
    assert prompt_mel(torch.randn(1, MEL_SHORTEST)).isfinite().all()
    assert whisper_log_mel(torch.randn(1, WHISPER_SHORTEST)).isfinite().all()
    with pytest.raises(ValueError, match="are needed"):
        prompt_mel(torch.randn(1, MEL_SHORTEST - 1))
    with pytest.raises(ValueError, match="are needed"):
        whisper_log_mel(torch.randn(1, WHISPER_SHORTEST - 1))


def test_a_clip_must_be_mono() -> None:
    with pytest.raises(ValueError, match="mono"):
        prompt_mel(torch.randn(2, 5000))


def test_filters_have_area_one() -> None:
    filters = slaney_filters(24000, 1920, 80, 8000.0)
    assert filters.sum(dim=1)[20:] * 12.5 == pytest.approx(torch.ones(60), abs=0.05)

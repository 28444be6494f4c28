from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from cosyserve.training.corpus import stage
from cosyserve.training.corpus.shards import TOKEN_SAMPLES, Batches, Recording, features, padded
from support.engines.tiny_training import steady_pitch


@pytest.mark.parametrize(("asked", "said"), [(["joe"], "not installed: joe"), (None, "no teacher")])
def test_teachers_that_are_missing_are_named(
    monkeypatch: pytest.MonkeyPatch, asked: list[str] | None, said: str
) -> None:
    monkeypatch.setattr(stage, "installed", lambda: ())
    with pytest.raises(stage.TeacherError, match=said):
        stage.installed_voices(asked)


def test_all_features_have_a_tokens_length() -> None:
    wave = 0.1 * np.random.default_rng(0).standard_normal(7 * TOKEN_SAMPLES).astype(np.float32)
    made = features(wave, steady_pitch)
    assert made["mel"].shape == (14, 80)
    assert made["log_mel"].shape == (28, 128)
    assert made["f0"].shape == (14,)
    assert made["fbank"].shape[1] == 80


def recording(number: int, tokens: int) -> Recording:
    return Recording(number, "text", ("t",), "voice", number, tokens, False)


def test_a_batch_has_different_recordings_of_like_length() -> None:
    batches = Batches([recording(i, i) for i in range(100)])
    for seed in range(20):
        drawn = batches.draw(8, random.Random(seed))
        lengths = [each.tokens for each in drawn]
        assert len(set(lengths)) == 8
        assert max(lengths) - min(lengths) < 16


def test_a_small_corpus_gives_small_batches() -> None:
    assert len(Batches([recording(i, 5) for i in range(3)]).draw(8, random.Random(0))) == 3


def test_padding_says_what_is_real() -> None:
    whole, real = padded([torch.ones(3, 2), torch.ones(1, 2)])
    assert whole.shape == (2, 3, 2)
    assert real.tolist() == [[True, True, True], [True, False, False]]

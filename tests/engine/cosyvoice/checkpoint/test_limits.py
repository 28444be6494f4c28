"""Sizes that no model has."""

from __future__ import annotations

import pytest

from cosyserve.benchmarks.parity.reference.config import model_config
from cosyserve.engine.cosyvoice.checkpoint.limits import size_problems
from cosyserve.engine.cosyvoice.config import CosyVoice2Config
from support.engines import goldens, tiny_checkpoint


@pytest.mark.parametrize(
    "config",
    [CosyVoice2Config(), tiny_checkpoint.TINY, model_config(goldens.config())],
    ids=["published", "tiny", "goldens"],
)
def test_real_models_pass(config: CosyVoice2Config) -> None:
    assert size_problems(config) == []


@pytest.mark.parametrize("name", sorted(CosyVoice2Config().flatten()))
@pytest.mark.parametrize("factor", [-1, 10**13])
def test_every_number_is_bounded(name: str, factor: int) -> None:
    value = CosyVoice2Config().flatten()[name]
    absurd: object = factor
    if isinstance(value, tuple):
        absurd = [[factor]] if isinstance(value[0], tuple) else [factor]
    problems = size_problems(CosyVoice2Config.from_flat({name: absurd}))
    assert len(problems) == 1
    assert problems[0].startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"lm.num_attention_heads": 15}, "lm.hidden_size"),
        ({"lm.num_key_value_heads": 3}, "lm.num_attention_heads"),
        ({"lm.speech_token_size": 7000}, "flow.vocab_size"),
        ({"flow.encoder.attention_heads": 7}, "flow.encoder.size"),
        ({"flow.estimator.chunk_frames": 25}, "flow.estimator.chunk_frames"),
        ({"flow.estimator.in_channels": 240}, "flow.estimator.in_channels"),
        ({"flow.estimator.n_blocks": 65}, "flow.estimator.n_blocks"),
        ({"flow.estimator.num_mid_blocks": 65}, "flow.estimator.num_mid_blocks"),
        ({"flow.estimator.out_channels": 100}, "flow.estimator.out_channels"),
        ({"hift.mel_size": 100}, "hift.mel_size"),
        ({"hift.base_channels": 100}, "hift.base_channels"),
        ({"hift.hop": 5}, "hift.upsample_rates x hift.hop"),
        ({"hift.n_fft": 15}, "hift.n_fft"),
        ({"hift.upsample_kernels": [16, 11]}, "hift: the lists"),
        ({"hift.upsample_kernels": [16, 12, 7]}, "hift: an upsampling kernel"),
        ({"hift.resblock_kernels": [3, 7]}, "hift: resblock_kernels"),
        ({"hift.resblock_kernels": [3, 7, 12]}, "hift: a resblock's kernel"),
        ({"hift.upsample_rates": []}, "hift.upsample_rates"),
    ],
)
def test_numbers_must_fit_each_other(changes: dict[str, object], named: str) -> None:
    problems = size_problems(CosyVoice2Config.from_flat(changes))
    assert any(problem.startswith(named) for problem in problems)

"""The sizes of a model, under their full names and under the reference's."""

from __future__ import annotations

import json

import pytest

from cosyserve.benchmarks.parity.reference.config import model_config
from cosyserve.engine.cosyvoice.config import CosyVoice2Config
from support.engines import goldens


def test_flat_names_are_paths() -> None:
    flat = CosyVoice2Config().flatten()
    assert flat["lm.vocab_size"] == 151936
    assert flat["flow.encoder.num_blocks"] == 6
    assert flat["hift.resblock_dilations"] == ((1, 3, 5),) * 3


def test_flat_and_back() -> None:
    config = model_config(goldens.config())
    assert config != CosyVoice2Config()
    assert CosyVoice2Config.from_flat(config.flatten()) == config


def test_flat_survives_json() -> None:
    config = model_config(goldens.config())
    assert CosyVoice2Config.from_flat(json.loads(json.dumps(config.flatten()))) == config


def test_absent_numbers_keep_their_defaults() -> None:
    config = CosyVoice2Config.from_flat({"flow.cfg_rate": 1})
    assert config.flow.cfg_rate == 1.0
    assert isinstance(config.flow.cfg_rate, float)
    assert config.lm == CosyVoice2Config().lm


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lm.hidden_size", 1.5),
        ("lm.hidden_size", "64"),
        ("lm.hidden_size", True),
        ("lm.hidden_size", None),
        ("lm.hidden_size", [64]),
        ("flow.cfg_rate", float("nan")),
        ("flow.cfg_rate", 10**400),
        ("flow.cfg_rate", False),
        ("hift.upsample_rates", 8),
        ("hift.upsample_rates", [8, "5", 3]),
        ("hift.resblock_dilations", [1, 3, 5]),
        ("hift.resblock_dilations", [[1, [3], 5]]),
        ("lm.colour", 1),
        ("lm", {}),
    ],
)
def test_a_wrong_number_is_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        CosyVoice2Config.from_flat({name: value})

"""The list of expected keys, against the lists taken from the reference and against our own models."""

from __future__ import annotations

import pytest
import torch

from cosyserve.engine.cosyvoice.checkpoint.weights import PARTS, TIED_HEAD, expected
from cosyserve.engine.cosyvoice.config import ModelConfig
from cosyserve.engine.cosyvoice.flow import Flow
from cosyserve.engine.cosyvoice.lm.qwen2 import Qwen2Lm
from support.engines import goldens


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("full", [False, True])
def test_keys_and_shapes_are_the_references(part: str, full: bool) -> None:
    config = ModelConfig() if full else ModelConfig.from_reference(goldens.config())
    due = {key: tuple(shape) for key, shape in goldens.key_shapes(part, full=full).items()}
    assert expected(config, part) == due


@pytest.mark.parametrize("part", ["llm", "flow"])
def test_models_have_the_keys(part: str) -> None:
    config = ModelConfig()
    with torch.device("meta"):
        model = Qwen2Lm(config.lm) if part == "llm" else Flow(config.flow)
    found = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    due = expected(config, part)
    due.pop(TIED_HEAD, None)
    assert found == due

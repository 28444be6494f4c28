"""The keys and shapes of our models, against the lists taken from the reference."""

from __future__ import annotations

import pytest

from cosyserve.benchmarks.parity.reference.config import model_config
from cosyserve.engine.cosyvoice.checkpoint.weights import PARTS, expected
from cosyserve.engine.cosyvoice.config import CosyVoice2Config
from support.engines import goldens


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("full", [False, True])
def test_keys_and_shapes_are_the_references(part: str, full: bool) -> None:
    config = CosyVoice2Config() if full else model_config(goldens.config())
    due = {key: tuple(shape) for key, shape in goldens.key_shapes(part, full=full).items()}
    assert expected(config, part) == due

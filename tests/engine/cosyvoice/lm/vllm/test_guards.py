from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from cosyserve.engine.cosyvoice.config import LmConfig
from cosyserve.engine.cosyvoice.lm.bistream import LmInput
from cosyserve.engine.cosyvoice.lm.ids import IdSpace
from cosyserve.engine.cosyvoice.lm.interface import LmTooLong, SamplingOptions
from cosyserve.engine.cosyvoice.lm.vllm.drawing import (
    KEY,
    InputDrawing,
    check_input,
    check_parameters,
)

IDS = IdSpace(216, 320, LmConfig.specials)
CHUNK = LmInput((0, IDS.size - 1), 15, 0, (IDS.fill,), (IDS.eos,), final=False)


def test_an_input_in_range_passes_to_the_last_place() -> None:
    check_input(CHUNK, IDS, 100, 117)
    with pytest.raises(LmTooLong):
        check_input(CHUNK, IDS, 100, 116)
    with pytest.raises(LmTooLong):
        check_input(CHUNK, IDS, 101, 117)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ids": (-1,)},
        {"ids": (IDS.size,)},
        {"ids": ()},
        {"stop_ids": (IDS.head_size,)},
        {"banned_ids": (-1,)},
        {"max_tokens": 0},
    ],
)
def test_ids_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is not in|at least"):
        check_input(replace(CHUNK, **wrong), IDS, 0, 1000)


def parameters(**changed: Any) -> SimpleNamespace:
    drawing = InputDrawing.of_input(CHUNK, SamplingOptions(), [], ids=219, seed=1, drawn=0)
    neutral: dict[str, Any] = {
        "n": 1,
        "temperature": 0.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "repetition_penalty": 1.0,
        "logprobs": None,
        "prompt_logprobs": None,
        "logit_bias": None,
        "allowed_token_ids": None,
        "max_tokens": 15,
        "stop_token_ids": [IDS.fill],
        "extra_args": drawing.written(),
    }
    return SimpleNamespace(**neutral | changed)


def test_our_parameters_and_those_of_a_trial_pass() -> None:
    check_parameters(parameters())
    check_parameters(parameters(extra_args=None, max_tokens=1, stop_token_ids=None))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"prompt_logprobs": 1}, "prompt_logprobs"),
        ({"repetition_penalty": 1.1}, "repetition_penalty"),
        ({"presence_penalty": 0.1, "frequency_penalty": 0.1}, "presence_penalty, frequency"),
        ({"temperature": 1.0}, "temperature"),
        ({"logit_bias": {1: 2.0}}, "logit_bias"),
        ({"n": 2}, "n"),
        ({"max_tokens": 16}, "random number"),
        ({"stop_token_ids": []}, "stop"),
        ({"extra_args": {KEY: {}}}, KEY),
    ],
)
def test_parameters_that_end_the_engine_are_refused(wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        check_parameters(parameters(**wrong))

"""The speech LM against the reference's golden vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.config import ModelConfig
from cosyserve.engine.cosyvoice.lm import parity
from cosyserve.engine.cosyvoice.lm.bistream import CLEAN, REFERENCE
from cosyserve.engine.cosyvoice.lm.decoder import Decoder
from cosyserve.engine.cosyvoice.lm.ids import IdSpace
from cosyserve.engine.cosyvoice.lm.qwen2 import Qwen2Lm
from support import goldens

TENSORS = goldens.tensors("f_llm")
META = goldens.meta("f_llm")
BISTREAM = sorted(name for name, case in META.items() if isinstance(case, dict))
LOGITS = {"atol": 2e-4, "rtol": 0.0}


def build() -> Qwen2Lm:
    with torch.device("meta"):
        model = Qwen2Lm(ModelConfig.from_reference(goldens.config()).lm)
    model.load_state_dict(goldens.weights("llm"), strict=True, assign=True)
    return model


@pytest.fixture(scope="module", params=[True, False], ids=["packed", "plain"])
def decoder(request: pytest.FixtureRequest) -> Decoder:
    return Decoder(build(), pack=request.param)


def ids(numbers: Sequence[int]) -> Tensor:
    return torch.tensor([list(numbers)], dtype=torch.int32)


def symbols(space: IdSpace, context: Sequence[int]) -> list[str]:
    """The ids as the golden vectors spell them."""
    names = {space.sos: "SOS", space.task: "TASK"}
    return [
        names.get(i) or (f"T{i - space.text_begin}" if i >= space.text_begin else f"S{i}")
        for i in context
    ]


def scripted(fill: int, case: dict[str, Any]) -> parity.Sampler:
    def sample(scores: Tensor, decoded: Sequence[int], eos_masked: bool) -> int:
        if len(decoded) in case["fill_at_len_out_tokens"]:
            return fill
        if len(decoded) >= case["eos_at_len_out_tokens"] and not eos_masked:
            return fill - 2
        return int(scores.argmax())

    return sample


def bistream(decoder: Decoder, name: str, quirks: Any = REFERENCE) -> parity.Decoding:
    case = META[name]
    return parity.inference_bistream(
        decoder,
        [ids(piece) for piece in case["pieces"]],
        ids(case["prompt_text"]),
        ids(case["prompt_speech"]),
        scripted(decoder.ids.fill, case),
        quirks,
    )


def test_hidden_states_and_logits(decoder: Decoder) -> None:
    hidden, logits = parity.forward(
        decoder, TENSORS["text"], TENSORS["prompt_text"], TENSORS["prompt_speech_token"]
    )
    torch.testing.assert_close(hidden, TENSORS["hidden"], atol=1e-4, rtol=0.0)
    torch.testing.assert_close(logits, TENSORS["logits"], **LOGITS)


def test_unistream(decoder: Decoder) -> None:
    wanted = TENSORS["uni_tokens"].tolist()
    found = parity.inference(
        decoder,
        TENSORS["text"],
        TENSORS["prompt_text"],
        TENSORS["prompt_speech_token"],
        max_token_text_ratio=len(wanted) / TENSORS["text"].numel() + 1e-6,
    )
    first = META["uni_first_lm_input"].split()
    assert symbols(decoder.ids, found.context)[: len(first)] == first
    assert found.tokens == wanted
    torch.testing.assert_close(found.step_logits, TENSORS["uni_step_logits"], **LOGITS)


@pytest.mark.parametrize("name", BISTREAM)
def test_bistream(decoder: Decoder, name: str) -> None:
    found = bistream(decoder, name)
    assert found.tokens == TENSORS[f"{name}_tokens"].tolist()
    assert found.pieces_pulled == META[name]["pieces_pulled_when_emitted"]
    read = " ".join(META[name]["lm_inputs"]).split()
    assert symbols(decoder.ids, found.context) == read
    torch.testing.assert_close(found.step_logits, TENSORS[f"{name}_step_logits"], **LOGITS)


def test_without_quirks_the_last_input_is_read_once(decoder: Decoder) -> None:
    quirky = symbols(decoder.ids, bistream(decoder, "bi_end_on_fill").context)
    clean = symbols(decoder.ids, bistream(decoder, "bi_end_on_fill", CLEAN).context)
    task = quirky.index("TASK")
    assert quirky[task - 2] == quirky[task - 1]
    assert clean[: task - 1] == quirky[: task - 1]
    assert clean[task - 1] == "TASK"


def test_the_unused_text_head_may_be_missing() -> None:
    weights = goldens.weights("llm")
    del weights["llm.model.lm_head.weight"]
    with torch.device("meta"):
        model = Qwen2Lm(ModelConfig.from_reference(goldens.config()).lm)
    model.load_state_dict(weights, strict=True, assign=True)
    assert set(model.state_dict()) == set(weights)


def test_fusing_leaves_the_parameters_as_they_were() -> None:
    model = build()
    Decoder(model)
    for key, value in model.state_dict().items():
        assert torch.equal(value, goldens.weights("llm")[key]), key


@pytest.mark.parametrize("pieces", [[40], [1, 39], [7, 1, 20, 12]])
def test_a_context_read_in_pieces_gives_the_same_states(
    decoder: Decoder, pieces: list[int]
) -> None:
    from cosyserve.engine.cosyvoice.lm.decoder import Span

    generator = torch.Generator().manual_seed(5)
    context = torch.randint(decoder.ids.size, (40,), generator=generator).tolist()
    whole = decoder.forward([Span(0, 0, context)], decoder.new_cache())
    cache, at, parts = decoder.new_cache(), 0, []
    for count in pieces:
        parts.append(decoder.forward([Span(2, at, context[at : at + count])], cache))
        at += count
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-4, rtol=1e-4)

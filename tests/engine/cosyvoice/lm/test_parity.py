"""The speech LM against the reference's golden vectors."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from cosyserve.benchmarks.parity import lm as golden_lm
from cosyserve.benchmarks.parity.lm import spelled
from cosyserve.benchmarks.parity.reference import lm as parity
from cosyserve.benchmarks.parity.reference.config import model_config
from cosyserve.benchmarks.parity.reference.lm import CLEAN, REFERENCE, Quirks
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder, Span
from cosyserve.engine.cosyvoice.lm.qwen2 import Qwen2Lm
from support.engines import goldens

TENSORS = goldens.tensors("f_llm")
META = goldens.meta("f_llm")
BISTREAM = sorted(name for name, case in META.items() if isinstance(case, dict))
LOGITS = {"atol": 2e-4, "rtol": 0.0}


def build() -> Qwen2Lm:
    return goldens.models().llm


@pytest.fixture(scope="module", params=[True, False], ids=["packed", "plain"])
def decoder(request: pytest.FixtureRequest) -> LmDecoder:
    return LmDecoder(build(), pack=request.param)


def bistream(decoder: LmDecoder, name: str, quirks: Quirks = REFERENCE) -> parity.Decoding:
    return golden_lm.bistream(decoder, META[name], quirks)


def test_hidden_states_and_logits(decoder: LmDecoder) -> None:
    hidden, logits = parity.forward(
        decoder, TENSORS["text"], TENSORS["prompt_text"], TENSORS["prompt_speech_token"]
    )
    torch.testing.assert_close(hidden, TENSORS["hidden"], atol=1e-4, rtol=0.0)
    torch.testing.assert_close(logits, TENSORS["logits"], **LOGITS)


def test_unistream(decoder: LmDecoder) -> None:
    wanted = TENSORS["uni_tokens"].tolist()
    found = golden_lm.unistream(decoder, TENSORS)
    first = META["uni_first_lm_input"].split()
    assert spelled(decoder.ids, found.context)[: len(first)] == first
    assert found.tokens == wanted
    torch.testing.assert_close(found.step_logits, TENSORS["uni_step_logits"], **LOGITS)


@pytest.mark.parametrize("name", BISTREAM)
def test_bistream(decoder: LmDecoder, name: str) -> None:
    found = bistream(decoder, name)
    assert found.tokens == TENSORS[f"{name}_tokens"].tolist()
    assert found.pieces_pulled == META[name]["pieces_pulled_when_emitted"]
    read = " ".join(META[name]["lm_inputs"]).split()
    assert spelled(decoder.ids, found.context) == read
    torch.testing.assert_close(found.step_logits, TENSORS[f"{name}_step_logits"], **LOGITS)


def stopping(stop: int, at: int) -> parity.Sampler:
    def sample(scores: Tensor, decoded: Sequence[int], eos_masked: bool) -> int:
        return stop if len(decoded) == at else parity.greedy(scores, decoded, eos_masked)

    return sample


@pytest.mark.parametrize("place", range(3))
def test_any_stop_id_ends_a_unistream(decoder: LmDecoder, place: int) -> None:
    inputs = TENSORS["text"], TENSORS["prompt_text"], TENSORS["prompt_speech_token"]
    stop = decoder.ids.eos + place
    found = parity.inference(decoder, *inputs, sampler=stopping(stop, 25))
    assert found.tokens == TENSORS["uni_tokens"].tolist()[:25]
    assert len(found.logits) == 26


def test_a_bistream_ends_by_the_stop_id_that_is_due_only(decoder: LmDecoder) -> None:
    ids = decoder.ids
    pieces, none = [torch.tensor([[1, 2, 3, 4, 5, 6]])], torch.zeros(1, 0)

    def spoken(stop: int, at: int) -> parity.Decoding:
        sampler = stopping(stop, at)
        if stop == ids.fill and at < 16:
            sampler = parity.scripted(ids, {at}, 20)
        return parity.inference_bistream(decoder, pieces, none, none, sampler)

    # A group of up to 15 tokens, its fill token, and the final phase.
    assert len(spoken(ids.fill, 7).tokens) == 19
    assert len(spoken(ids.eos, 20).tokens) == 19
    for stop, at in ((ids.eos, 7), (ids.unused, 7), (ids.unused, 20), (ids.fill, 20)):
        with pytest.raises(ValueError, match=f"stop id {stop}"):
            spoken(stop, at)


def test_decoded_ids_include_fill_tokens(decoder: LmDecoder) -> None:
    seen: list[list[int]] = []

    def watch(scores: Tensor, decoded: Sequence[int], eos_masked: bool) -> int:
        seen.append(list(decoded))
        return parity.scripted(decoder.ids, {3}, 20)(scores, decoded, eos_masked)

    none = torch.zeros(1, 0)
    parity.inference_bistream(decoder, [torch.tensor([[1, 2, 3, 4, 5]])], none, none, watch)
    assert seen[-1].count(decoder.ids.fill) == 1
    assert [len(decoded) for decoded in seen] == list(range(21))


def test_without_quirks_the_last_input_is_read_once(decoder: LmDecoder) -> None:
    quirky = spelled(decoder.ids, bistream(decoder, "bi_end_on_fill").context)
    clean = spelled(decoder.ids, bistream(decoder, "bi_end_on_fill", CLEAN).context)
    task = quirky.index("TASK")
    assert quirky[task - 2] == quirky[task - 1]
    assert clean[: task - 1] == quirky[: task - 1]
    assert clean[task - 1] == "TASK"


def test_the_unused_text_head_may_be_missing() -> None:
    weights = goldens.weights("llm")
    del weights["llm.model.lm_head.weight"]
    with torch.device("meta"):
        model = Qwen2Lm(model_config(goldens.config()).lm)
    model.load_state_dict(weights, strict=True, assign=True)
    assert set(model.state_dict()) == set(weights)


def test_fusing_leaves_the_parameters_as_they_were() -> None:
    model = build()
    LmDecoder(model)
    for key, value in model.state_dict().items():
        assert torch.equal(value, goldens.weights("llm")[key]), key


@pytest.mark.parametrize("pieces", [[40], [1, 39], [7, 1, 20, 12]])
def test_a_context_read_in_pieces_gives_the_same_states(
    decoder: LmDecoder, pieces: list[int]
) -> None:
    generator = torch.Generator().manual_seed(5)
    context = torch.randint(decoder.ids.size, (40,), generator=generator).tolist()
    whole = decoder.forward([Span(0, 0, context)], decoder.new_cache())
    cache, at, parts = decoder.new_cache(), 0, []
    for count in pieces:
        parts.append(decoder.forward([Span(2, at, context[at : at + count])], cache))
        at += count
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-4, rtol=1e-4)


def test_padded_spans_give_what_each_gives_alone() -> None:
    """As off the CPU: prompts of several lengths, some behind a context, beside single ids."""
    padded, single = LmDecoder(build(), pad=True), LmDecoder(build())
    generator = torch.Generator().manual_seed(6)
    context = torch.randint(padded.ids.size, (60,), generator=generator).tolist()
    before = [Span(3, 0, context[:7]), Span(0, 0, context[:12])]
    spans = [
        Span(3, 7, context[7:20]),
        Span(0, 12, context[12:13]),
        Span(1, 0, context[:2]),
        Span(4, 0, context[20:60]),
        Span(2, 0, context[5:6]),
    ]
    caches = padded.new_cache(), single.new_cache()
    padded.forward(before, caches[0])
    alone = []
    for span in before:
        single.forward([span], caches[1])
    for span in spans:
        alone.append(single.forward([span], caches[1]))
    torch.testing.assert_close(
        padded.forward(spans, caches[0]), torch.cat(alone), atol=1e-4, rtol=1e-4
    )

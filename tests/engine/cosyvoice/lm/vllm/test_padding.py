from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.checkpoint import CheckpointError
from cosyserve.engine.cosyvoice.config import LmConfig
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder, Span
from cosyserve.engine.cosyvoice.lm.qwen2 import Qwen2Lm
from cosyserve.engine.cosyvoice.lm.vllm.convert import Padding, vllm_weights
from support.engines import tiny_checkpoint


def config(head: int) -> LmConfig:
    return replace(tiny_checkpoint.TINY.lm, hidden_size=4 * head)


def weights(head: int) -> dict[str, Tensor]:
    whole = replace(tiny_checkpoint.TINY, lm=config(head))
    return tiny_checkpoint.weights("llm", 3, whole)


def built(lm: LmConfig, state: dict[str, Tensor]) -> LmDecoder:
    with torch.device("meta"):
        model = Qwen2Lm(lm)
    model.load_state_dict(state, strict=True, assign=True)
    return LmDecoder(model)


def official(lm: LmConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """vLLM's names back to the checkpoint's."""
    embeddings = state.pop("model.embed_tokens.weight").split((lm.head_size, 2, lm.vocab_size))
    names = ("speech_embedding.weight", "llm_embedding.weight", tiny_checkpoint.TEXT_EMBEDDING)
    found = dict(zip(names, embeddings, strict=True))
    for kind in ("weight", "bias"):
        found[f"llm_decoder.{kind}"] = state.pop(f"lm_head.{kind}")
    return found | {f"llm.model.{key}": tensor for key, tensor in state.items()}


@pytest.mark.parametrize("head", [4, 8, 16])
def test_a_padded_model_computes_the_same(head: int) -> None:
    plain, padding = config(head), Padding.of(config(head))
    assert padding.size == 64
    wide = replace(
        plain,
        hidden_size=padding.hidden_size,
        rms_norm_eps=plain.rms_norm_eps * padding.share,
    )
    assert wide.head_dim == 64
    state = official(plain, vllm_weights(plain, weights(head), padding))
    narrow, padded = built(plain, weights(head)), built(wide, state)
    context = torch.randint(narrow.ids.size, (300,), generator=torch.Generator().manual_seed(1))
    span = [Span(0, 0, context.tolist())]
    wanted = narrow.logits(narrow.forward(span, narrow.new_cache()))
    found = padded.logits(padded.forward(span, padded.new_cache()))
    torch.testing.assert_close(found, wanted, atol=2e-4, rtol=0.0)


@pytest.mark.parametrize("head", [32, 64, 80])
def test_larger_heads_stay_as_they_are(head: int) -> None:
    padding = Padding.of(config(head))
    assert padding.hidden_size == config(head).hidden_size
    assert padding.share == 1.0
    for key, tensor in weights(head).items():
        assert padding.padded(key, tensor) is tensor


@pytest.mark.parametrize("head", [6, 24])
def test_heads_that_do_not_divide_are_refused(head: int) -> None:
    with pytest.raises(CheckpointError, match=f"heads of {head} elements"):
        Padding.of(config(head))

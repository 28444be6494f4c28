"""The speech LM of CosyVoice 3 in vLLM: the tokens of the torch LM."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cosyserve.engine.cosyvoice.lm.interface import LmPrompt
from cosyserve.engine.cosyvoice.lm.vllm.convert import converted
from support.engines import goldens3, tiny_lm, vllm
from support.engines.tiny_lm import GREEDY, SEEDED, say, text

OPENING = (4, 8, 15, 300)
CASES = [
    (text(12), SEEDED, LmPrompt((20, 21, 22), tuple(range(20)), opening_ids=OPENING)),
    (text(11), replace(SEEDED, seed=2), LmPrompt(opening_ids=OPENING)),
    (text(9), replace(SEEDED, bistream=False), LmPrompt((20, 21), (3, 4), opening_ids=OPENING)),
    (text(7), replace(GREEDY, bistream=False), LmPrompt(opening_ids=OPENING)),
]


def test_what_is_written(tmp_path: Path) -> None:
    checkpoint = goldens3.checkpoint()
    folder = converted(checkpoint, tmp_path)
    said = json.loads((folder / "config.json").read_text())
    assert (said["vocab_size"], said["embed_vocab_size"]) == (456, 456 + 320)
    assert said["head_bias"] is False
    tensors = load_file(folder / "model.safetensors")
    assert "lm_head.bias" not in tensors
    embedding, weights = tensors["model.embed_tokens.weight"], checkpoint.weights["llm"]
    hidden = checkpoint.config.lm.hidden_size
    assert torch.equal(embedding[:456, :hidden], weights["speech_embedding.weight"])


@pytest.mark.vllm
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
async def test_the_torch_lm_says_the_same(tmp_path: Path) -> None:
    async with tiny_lm.running(goldens3.decoder()) as lm:
        wanted = [await say(lm, *case) for case in CASES]
    assert all(wanted)
    async with AsyncExitStack() as stack:
        with vllm.one_process():
            engine = vllm.running(goldens3.checkpoint(), tmp_path)
            in_vllm = await stack.enter_async_context(engine)
        assert [await say(in_vllm, *case) for case in CASES] == wanted

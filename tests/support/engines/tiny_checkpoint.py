"""A whole checkpoint directory in the official layout, with small random weights.

It speaks no language: it makes steady, voiced noise of a plausible length, which is what tests of the
plumbing need. `python -m support.tiny_checkpoint FOLDER` (from tests/) writes one to try a server with.
"""

from __future__ import annotations

import argparse
import json
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.checkpoint.weights import PARTS, Shape, expected
from cosyserve.engine.cosyvoice.config import (
    CosyVoice2Config,
    EncoderConfig,
    EstimatorConfig,
    FlowConfig,
    HiftConfig,
    LmConfig,
    ModelConfig,
)
from cosyserve.engine.cosyvoice.lm.qwen2 import TEXT_EMBEDDING, TIED_HEAD
from cosyserve.engine.cosyvoice.vocoder import DIRECTION, GAIN
from cosyserve.training.checkpoint import official
from support.engines.tiny_onnx import write_speaker_encoder, write_speech_tokenizer
from support.engines.tiny_tokenizer import write_tokenizer

TINY: Final = CosyVoice2Config(
    lm=LmConfig(
        vocab_size=384,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        speech_token_size=216,
    ),
    flow=FlowConfig(
        vocab_size=216,
        encoder=EncoderConfig(
            size=32, attention_heads=2, linear_units=64, num_blocks=1, num_up_blocks=1
        ),
        estimator=EstimatorConfig(
            channels=32, attention_head_dim=16, num_heads=2, n_blocks=1, num_mid_blocks=1
        ),
    ),
    hift=HiftConfig(base_channels=32, f0_channels=16),
)


def build(folder: Path, seed: int = 0, config: CosyVoice2Config = TINY) -> Path:
    """Write every file into the folder, made if need be; the same seed gives the same weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cosyvoice2.yaml").write_text(yaml_text(config))
    for part in PARTS:
        saved: dict[str, object] = {**weights(part, seed, config)}
        if part != "hift":
            saved |= {"epoch": 1, "step": 2}
        torch.save(saved, folder / f"{part}.pt")
    write_speech_tokenizer(folder / "speech_tokenizer_v2.onnx", tokens=config.lm.speech_token_size)
    write_speaker_encoder(folder / "campplus.onnx", size=config.flow.speaker_size)
    qwen = folder / "CosyVoice-BlankEN"
    qwen.mkdir(exist_ok=True)
    (qwen / "config.json").write_text(json.dumps(official.qwen_json(config.lm), indent=2))
    write_tokenizer(qwen)
    return folder


def weights(part: str, seed: int = 0, config: CosyVoice2Config = TINY) -> dict[str, Tensor]:
    """The state dictionary of `llm`, `flow` or `hift`, under the official keys."""
    state = drawn(part, seed, config)
    if part == "llm":
        state[TIED_HEAD] = state[TEXT_EMBEDDING]
        size = config.lm.speech_token_size
        # Speech ends by itself after a while; the other two stop ids are for the decoder to force.
        state["llm_decoder.bias"][size:] = torch.tensor([_EOS_BIAS, -20.0, -20.0])
    return state


def drawn(part: str, seed: int, config: ModelConfig) -> dict[str, Tensor]:
    """Every weight of a part, as its law has it."""
    state: dict[str, Tensor] = {}
    for key, shape in expected(config, part).items():
        if key != TIED_HEAD:
            source = torch.Generator().manual_seed(zlib.crc32(f"{seed} {part} {key}".encode()))
            state[key] = _law(key, shape)(torch.randn(shape, generator=source))
    return state


_EOS_BIAS: Final = 2.0

_Law = Callable[[Tensor], Tensor]


def _law(key: str, shape: Shape) -> _Law:
    """From standard normal noise to a weight that keeps signals at about their size through the layers."""
    if key.endswith(GAIN):
        return lambda noise: _gain(key) * (0.1 * noise).exp()
    if key.endswith((DIRECTION, "m_source.l_linear.weight", "input_embedding.weight")):
        return lambda noise: noise
    if key.endswith(".alpha"):
        return lambda noise: (0.2 * noise).exp()
    if key == "f0_predictor.classifier.weight":
        return lambda noise: 60.0 * noise / math.sqrt(shape[1])
    if key == "f0_predictor.classifier.bias":
        return lambda noise: torch.full_like(noise, 180.0)
    if key == "conv_post.bias":
        return lambda noise: 0.1 * noise - 1.0
    if len(shape) == 1 and key.endswith(".weight"):
        return lambda noise: 1.0 + 0.1 * noise
    if key.endswith(("embed_tokens.weight", "embedding.weight")):
        return lambda noise: 0.5 * noise
    if key == "llm_decoder.weight":
        return lambda noise: 2.0 * noise / math.sqrt(shape[1])
    if len(shape) == 1:
        return lambda noise: 0.05 * noise
    return lambda noise: noise / math.sqrt(math.prod(shape[1:]))


def _gain(key: str) -> float:
    if ".convs2." in key:
        return 0.4  # the branches of a residual sum, which would grow otherwise
    return 0.7 if key.startswith("conv_post") else 1.2


def yaml_text(config: CosyVoice2Config = TINY) -> str:
    return official.yaml_text(config)


def main() -> None:
    """Write a checkpoint into the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Write a small checkpoint with random weights.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(build(options.folder, options.seed))


if __name__ == "__main__":
    main()

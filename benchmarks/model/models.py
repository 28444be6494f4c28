"""A CosyVoice 2 model of any size with random weights: it takes the time and memory of a trained one.

The weights' law keeps activations within bounds at any depth: each matrix keeps the variance of its
input, gains are 1 and biases 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

import torch
from torch import Tensor, nn

from cosyserve.engine.cosyvoice.config import EncoderConfig, EstimatorConfig, FlowConfig, HiftConfig, LmConfig, ModelConfig
from cosyserve.engine.cosyvoice.flow import Flow
from cosyserve.engine.cosyvoice.lm.decoder import Decoder
from cosyserve.engine.cosyvoice.lm.qwen2 import Qwen2Lm
from cosyserve.engine.cosyvoice.vocoder import Hift

_PITCH: Final = 150.0
"""Hz, about which the random voice speaks: the source is voiced, as most of speech is."""
_QUIET: Final = 0.1
"""Gain of the vocoder's last layer, which is read as logarithms."""

_NEVER: Final = -1000.0
_SEED: Final = 1

Model = TypeVar("Model", bound=nn.Module)


def tiny_config() -> ModelConfig:
    """The published model's structure with small widths."""
    encoder = EncoderConfig(
        size=64, attention_heads=2, linear_units=128, num_blocks=2, num_up_blocks=1
    )
    estimator = EstimatorConfig(
        channels=32, attention_head_dim=16, num_heads=2, n_blocks=1, num_mid_blocks=2
    )
    lm = LmConfig(
        vocab_size=300,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        speech_token_size=200,
    )
    flow = FlowConfig(vocab_size=200, encoder=encoder, estimator=estimator)
    return replace(
        ModelConfig(), lm=lm, flow=flow, hift=HiftConfig(base_channels=64, f0_channels=64)
    )


def random_flow(config: ModelConfig, device: torch.device) -> Flow:
    """Steps in float32 until use_precision is called."""
    return _random(lambda: Flow(config.flow), device)


def random_hift(config: ModelConfig, device: torch.device) -> Hift:
    hift = _random(lambda: Hift(config.hift), device)
    hift.conv_post.weight.mul_(_QUIET)
    hift.f0_predictor.classifier.bias.fill_(_PITCH)
    return hift


def random_decoder(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> Decoder:
    """The speech LM."""
    return Decoder(_random(lambda: Qwen2Lm(config.lm), device).to(dtype))


def random_lm_weights(config: ModelConfig, device: torch.device) -> dict[str, Tensor]:
    """The speech LM's state dictionary. It never draws a stop id by itself."""
    state = dict(_random(lambda: Qwen2Lm(config.lm), device).state_dict())
    state["llm_decoder.bias"][config.lm.speech_token_size :] = _NEVER
    return state


def _random(build: Callable[[], Model], device: torch.device) -> Model:
    with torch.device("meta"):
        model = build()
    random = torch.Generator(device).manual_seed(_SEED)
    state = {name: _weight(name, like, random) for name, like in model.state_dict().items()}
    model.load_state_dict(state, strict=True, assign=True)
    return model.to(device).requires_grad_(False).eval()


def _weight(name: str, like: Tensor, random: torch.Generator) -> Tensor:
    device = random.device
    if not name.endswith(("weight", "pos_bias_u", "pos_bias_v")):
        return torch.full(like.shape, 1.0 if name.endswith("alpha") else 0.0, device=device)
    if like.dim() == 1:
        return torch.ones(like.shape, device=device)
    spread = 1.0 / math.sqrt(like[0].numel())
    return torch.randn(like.shape, device=device, generator=random).mul_(spread)

"""Small flows of CosyVoice 3, and voices and tokens for the golden one."""

from __future__ import annotations

import torch

from cosyserve.benchmarks.parity.reference.flow import Case
from cosyserve.engine.cosyvoice.config import DitConfig, DitFlowConfig
from cosyserve.engine.cosyvoice.flow import DitFlow
from support.engines import goldens3


def small_dit_flow() -> DitFlow:
    """Random weights, the tiny flow's vocabulary, and as few layers as there can be: for many examples."""
    dit = DitConfig(dim=32, depth=2, heads=2, head_dim=16)
    config = DitFlowConfig(vocab_size=256, steps=2, look_ahead_channels=16, dit=dit)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        flow = DitFlow(config)
    return flow.requires_grad_(False).eval()


def golden_case3(prompt: int, tokens: int | None = None) -> Case:
    """The golden tokens, or so many of them, with the voice whose prompt has `prompt` tokens."""
    arrays = goldens3.tensors("b_flow_inference")
    return Case(
        arrays["token"][:, :tokens],
        arrays[f"prompt_token_P{prompt}"],
        arrays[f"prompt_feat_P{prompt}"],
        arrays["embedding"],
    )

"""The tiny flow of the golden vectors, and a voice and tokens for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.config import ModelConfig
from cosyserve.engine.cosyvoice.flow import Flow, FlowState
from support import goldens


def tiny_flow() -> Flow:
    with torch.device("meta"):
        flow = Flow(ModelConfig.from_reference(goldens.config()).flow)
    flow.load_state_dict(goldens.weights("flow"), strict=True, assign=True)
    return flow.requires_grad_(False).eval()


def small_flow() -> Flow:
    """Random weights, the tiny flow's vocabulary, and as few layers as there can be: for many examples."""
    config = ModelConfig.from_reference(goldens.config()).flow
    encoder = replace(config.encoder, num_blocks=1, num_up_blocks=1)
    estimator = replace(config.estimator, n_blocks=1, num_mid_blocks=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        flow = Flow(replace(config, steps=2, encoder=encoder, estimator=estimator))
    return flow.requires_grad_(False).eval()


@dataclass(frozen=True)
class Case:
    """Inputs in the reference's layout."""

    token: Tensor
    prompt_token: Tensor
    prompt_feat: Tensor
    embedding: Tensor

    @property
    def voice(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.prompt_token, self.prompt_feat, self.embedding

    def whole(self, flow: Flow, *, streaming: bool = True) -> Tensor:
        return flow.inference(self.token, *self.voice, streaming=streaming, finalize=True)[0]


def golden_case(name: str) -> Case:
    arrays = goldens.tensors(name)
    keys = ("token", "prompt_token", "prompt_feat", "embedding")
    return Case(*(arrays[key] for key in keys))


def random_case(seed: int, *, prompt: int, tokens: int) -> Case:
    random = torch.Generator().manual_seed(seed)
    return Case(
        torch.randint(0, 216, (1, tokens), generator=random),
        torch.randint(0, 216, (1, prompt), generator=random),
        torch.randn(1, 2 * prompt, 80, generator=random),
        torch.randn(1, 192, generator=random),
    )


def speak(flow: Flow, state: FlowState, tokens: Tensor, hops: Sequence[int]) -> list[Tensor]:
    """The mel of each step; the last hop takes all that is left and is final."""
    mels, at = [], 0
    for number, hop in enumerate(hops):
        last = number == len(hops) - 1
        end = tokens.shape[0] if last else at + hop
        mels += flow.step([state], [tokens[at:end]], [last])
        at = end
    return mels


def difference(found: Tensor, expected: Tensor) -> float:
    """The largest absolute difference of two tensors of one shape."""
    assert found.shape == expected.shape
    return float((found - expected).abs().max()) if found.numel() else 0.0

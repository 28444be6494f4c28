"""The tiny flow of the golden vectors, and a voice and tokens for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor

from cosyserve.benchmarks.parity.reference.flow import Case
from cosyserve.engine.cosyvoice.flow import Flow
from support.engines import goldens


def tiny_flow() -> Flow:
    return goldens.models().flow


def small_flow() -> Flow:
    """Random weights, the tiny flow's vocabulary, and as few layers as there can be: for many examples."""
    config = goldens.GOLDENS.config().flow
    encoder = replace(config.encoder, num_blocks=1, num_up_blocks=1)
    estimator = replace(config.estimator, n_blocks=1, num_mid_blocks=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        flow = Flow(replace(config, steps=2, encoder=encoder, estimator=estimator))
    return flow.requires_grad_(False).eval()


Store = Literal["slabs", "pages"]
"""Where a flow keeps what utterances need: as on a CPU, or as on a GPU."""
STORES: tuple[Store, ...] = get_args(Store)


def kept_in(store: Store, flow: Flow, pages: int = 200) -> Flow:
    """The same flow, that keeps its memory so from here on."""
    if store == "pages":
        flow.use_pages(pages)
    return flow


def golden_case(name: str) -> Case:
    return Case.of(goldens.tensors(name))


def random_case(seed: int, *, prompt: int, tokens: int) -> Case:
    random = torch.Generator().manual_seed(seed)
    return Case(
        torch.randint(0, 216, (1, tokens), generator=random),
        torch.randint(0, 216, (1, prompt), generator=random),
        torch.randn(1, 2 * prompt, 80, generator=random),
        torch.randn(1, 192, generator=random),
    )


def difference(found: Tensor, expected: Tensor) -> float:
    """The largest absolute difference of two tensors of one shape."""
    assert found.shape == expected.shape
    return float((found - expected).abs().max()) if found.numel() else 0.0

"""The faster product is the same product, in both directions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cosyserve.training import products
from cosyserve.training.products import OneDnnLinear


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(200, 12), (4, 50, 12), (2, 12)])
def test_results_and_gradients_are_those_of_a_linear_layer(
    shape: tuple[int, ...], bias: bool
) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(12, 7, bias=bias), torch.randn(shape, requires_grad=True)
    places = [x, *layer.parameters()]
    known = layer(x)
    with OneDnnLinear():
        found = layer(x)
    torch.testing.assert_close(found, known, atol=1e-5, rtol=1e-4)
    weight = torch.randn_like(known)
    expected = torch.autograd.grad((known * weight).sum(), places)
    for one, other in zip(
        torch.autograd.grad((found * weight).sum(), places), expected, strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_it_is_used_where_it_pays() -> None:
    if not products._there():
        pytest.skip("this torch has no oneDNN")
    layer = nn.Linear(12, 7)
    with OneDnnLinear():
        assert "_Product" in type(layer(torch.randn(100, 12)).grad_fn).__name__
        assert "_Product" not in type(layer(torch.randn(10, 12)).grad_fn).__name__
        with torch.no_grad():
            assert layer(torch.randn(100, 12)).grad_fn is None

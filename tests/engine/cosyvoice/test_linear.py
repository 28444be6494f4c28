"""A packed linear gives what its layers give, packed or not, also after the weights have changed."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cosyserve.engine.cosyvoice import linear
from cosyserve.engine.cosyvoice.linear import PackedLinear


@pytest.fixture(params=["packed", "plain"])
def _kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "plain":
        monkeypatch.setattr(linear, "pack_weight", lambda weight: None)
    elif linear.pack_weight(torch.zeros(8, 8)) is None:
        pytest.skip("this torch has no oneDNN")


pytestmark = pytest.mark.usefixtures("_kind")


def same(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


@torch.inference_mode()
def test_layers_side_by_side() -> None:
    layers = [nn.Linear(12, size, bias=False) for size in (16, 8, 24)]
    x = torch.randn(2, 5, 12)
    same(PackedLinear(*layers)(x), torch.cat([layer(x) for layer in layers], dim=2))


@torch.inference_mode()
def test_an_activation() -> None:
    layer, x = nn.Linear(12, 16), torch.randn(2, 5, 12)
    same(PackedLinear(layer, activation="gelu")(x), F.gelu(layer(x)))


@torch.inference_mode()
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_convolution_over_frames(kernel: int) -> None:
    layer = nn.Conv1d(12, 16, kernel)
    for x in (
        torch.randn(2, 9, 12),
        torch.randn(2, 12, 9).transpose(1, 2),
        torch.randn(3, 9, 12)[1:],
    ):
        same(PackedLinear(layer)(x), layer(x.transpose(1, 2)).transpose(1, 2))


def test_with_gradients() -> None:
    layer, x = nn.Linear(12, 16), torch.randn(2, 5, 12)
    made = PackedLinear(layer)(x)
    made.sum().backward()
    assert layer.weight.grad is not None


def test_new_weights_are_noticed() -> None:
    layer, x = nn.Linear(12, 16), torch.randn(2, 5, 12)
    made = PackedLinear(layer)
    changes = [
        lambda: None,
        lambda: nn.init.ones_(layer.weight),
        lambda: layer.load_state_dict(nn.Linear(12, 16).state_dict()),
        lambda: layer.load_state_dict(nn.Linear(12, 16).state_dict(), assign=True),
    ]
    for change in changes:
        change()
        with torch.inference_mode():
            same(made(x), layer(x))
    layer.to(torch.bfloat16)
    with torch.inference_mode():
        same(made(x.bfloat16()), layer(x.bfloat16()), tolerance=0.05)


def test_a_copy_has_weights_of_its_own() -> None:
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(12, 16)
            self.made = PackedLinear(self.layer)

    first, x = Holder(), torch.randn(2, 5, 12)
    with torch.inference_mode():
        known = first.made(x)
    second = copy.deepcopy(first)
    with torch.no_grad():
        second.layer.weight.zero_()
        second.layer.bias.zero_()
    with torch.inference_mode():
        assert not second.made(x).any()
        assert torch.equal(first.made(x), known)


@torch.inference_mode()
@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("sizes", [(16, 8, 24), (4,)])
def test_fused_layers(rows: int, sizes: tuple[int, ...]) -> None:
    layers = [nn.Linear(12, size) for size in sizes]
    x = torch.randn(rows, 12)
    expected = torch.cat([layer(x) for layer in layers], dim=1)
    made = PackedLinear(*layers, fuse=True)
    same(made(x), expected)
    same(torch.cat([layer(x) for layer in layers], dim=1), expected)
    first, *others = (layer.weight.untyped_storage().data_ptr() for layer in layers)
    assert all(storage == first for storage in others), "one matrix holds all weights"


@torch.inference_mode()
def test_a_precision_other_than_the_weights() -> None:
    layer, x = nn.Linear(12, 16, dtype=torch.bfloat16), torch.randn(2, 12)
    for made in (PackedLinear(layer), PackedLinear(layer, fuse=True)):
        found = made(x)
        assert found.dtype == torch.float32
        same(found, F.linear(x, layer.weight.float(), layer.bias.float()))


@pytest.mark.parametrize("kernel", [1, 3])
def test_gradients_reach_weights_and_biases(kernel: int) -> None:
    layer, x = nn.Conv1d(12, 16, kernel), torch.randn(2, 9, 12)
    packed = PackedLinear(layer, activation="gelu")
    with torch.inference_mode():
        packed(x)  # makes the copy that has no gradient
    known = F.gelu(layer(x.transpose(1, 2))).transpose(1, 2)
    expected = torch.autograd.grad(known.square().sum(), list(layer.parameters()))
    found = torch.autograd.grad(packed(x).square().sum(), list(layer.parameters()))
    for one, other in zip(found, expected, strict=True):
        same(one, other, 1e-4)

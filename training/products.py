"""Products with gradients through oneDNN.

On AMD's processors they are twice as fast as torch's own, since MKL uses half of the vector width there. The
engine's PackedLinear does the same without gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from cosyserve.engine.cosyvoice.linear import pack_weight

_FEWEST: Final = 64
"""Rows from which on it pays."""


class OneDnnLinear(TorchFunctionMode):
    """While it is entered, linear layers that learn are computed by oneDNN, where torch has it."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is F.linear and not kwargs and _serves(*args):
            return _Product.apply(*args, *[None] * (3 - len(args)))  # type: ignore[no-untyped-call]
        return func(*args, **kwargs or {})


def _serves(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    learns = torch.is_grad_enabled() and weight.requires_grad and weight.dim() == 2
    plain = x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu"
    return learns and plain and x.numel() >= _FEWEST * x.shape[-1] and _there()


@cache
def _there() -> bool:
    return pack_weight(torch.zeros(8, 8)) is not None


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        ctx.save_for_backward(rows, weight)
        ctx.biased = bias is not None
        return _product(rows, weight, bias).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        rows, weight = ctx.saved_tensors
        [gradient] = gradients
        flat = gradient.reshape(-1, gradient.shape[-1])
        own = None
        if ctx.needs_input_grad[0]:
            own = _product(flat, weight.t()).view(*gradient.shape[:-1], -1)
        return own, _product(flat.t(), rows.t()), flat.sum(0) if ctx.biased else None


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    made: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "none")
    return made

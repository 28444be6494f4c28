"""A weight matrix, stored as the machine multiplies it fastest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import linear as packed

_TYPICAL_ROWS: Final = 64
"""The layout for 64 rows serves 1 to 300 well."""


class Matrix:
    """x -> x W^T + b for x [rows, in], at x's precision whatever the weights'.

    Made of linear layers with the same input, one after another; their parameters become views of it.

    On a CPU a single row costs the reading of W, which goes fastest along the longer side; for several
    rows oneDNN's own layout is several times faster than the BLAS behind F.linear. pack keeps a second
    copy of W in that layout.
    """

    def __init__(self, layers: Sequence[nn.Linear], *, pack: bool) -> None:
        self.weight = _fused(layers)
        biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
        self.bias = torch.cat(biases) if biases else None
        self._packed = packed.pack(self.weight, _TYPICAL_ROWS) if pack else None

    def __call__(self, x: Tensor) -> Tensor:
        if x.dtype != self.weight.dtype:
            bias = None if self.bias is None else self.bias.to(x.dtype)
            return F.linear(x, self.weight.to(x.dtype), bias)
        if self._packed is not None and (x.shape[0] > 1 or x.dtype != torch.float32):
            product: Tensor = torch.ops.mkldnn._linear_pointwise(
                x, self._packed, self.bias, "none", [], ""
            )
            return product
        return F.linear(x, self.weight, self.bias)


def _fused(layers: Sequence[nn.Linear]) -> Tensor:
    weight = torch.cat([layer.weight.detach() for layer in layers])
    if weight.device.type == "cpu" and weight.shape[0] > weight.shape[1]:
        weight = weight.t().contiguous().t()
    begin = 0
    for layer in layers:
        end = begin + layer.weight.shape[0]
        layer.weight = nn.Parameter(weight[begin:end], requires_grad=False)
        begin = end
    return weight

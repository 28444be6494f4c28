"""Weights in oneDNN's own layout. The operators are the compiler's own.

A weight matrix, stored as the machine multiplies it fastest.

Products with weights, as the machine does them fastest.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def pack_weight(weight: Tensor, rows: int) -> Tensor | None:
    """A matrix in that layout, None where there is none for it: not on a CPU, or not of this type.

    rows: of the products to come; oneDNN chooses the layout for a number of them.
    """
    if weight.device.type != "cpu":
        return None
    try:
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), rows)
        trial = torch.zeros(2, weight.shape[1], dtype=weight.dtype)
        torch.ops.mkldnn._linear_pointwise(trial, packed, None, "none", [], "")
    except (
        AttributeError,
        RuntimeError,
    ):  # a torch without oneDNN, or a processor without this type
        return None
    return packed


_MATRIX_ROWS: Final = 64
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
        self._packed = pack_weight(self.weight, _MATRIX_ROWS) if pack else None

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


Activation = Literal["none", "gelu"]

_PRODUCT_ROWS: Final = 128
"""A chunk's frames, with and without condition, are 100."""


class Product:
    """x [B, n, in] -> x W^T + b, then the activation.

    Made of linear layers with the same input, side by side, or of one convolution over frames, whose
    input is then [B, n + kernel - 1, in].

    On a CPU a copy of W in oneDNN's own layout serves; it is made at the first use and again whenever
    the layers have got other weights. Elsewhere a copy is kept only where the layers' own weights are
    not one matrix.
    """

    def __init__(self, *layers: nn.Linear | nn.Conv1d, activation: Activation = "none") -> None:
        self._layers = layers
        self._activation = activation
        self._made_of: tuple[tuple[int, int], ...] = ()
        self._packed: Tensor | None = None
        self._weight: Tensor | None = None
        self._bias: Tensor | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Product:
        return Product(*copy.deepcopy(self._layers, memo), activation=self._activation)

    def __call__(self, x: Tensor) -> Tensor:
        self._refresh()
        x = self._windows(x)
        if self._packed is not None and not torch.is_grad_enabled():
            rows = x.flatten(0, 1)
            made: Tensor = torch.ops.mkldnn._linear_pointwise(
                rows, self._packed, self._bias, self._activation, [], "none"
            )
            return made.view(*x.shape[:2], -1)
        weight = _matrix(self._layers) if self._weight is None else self._weight
        made = F.linear(x, weight, self._bias)
        return F.gelu(made) if self._activation == "gelu" else made

    def _windows(self, x: Tensor) -> Tensor:
        (first, *_) = self._layers
        if isinstance(first, nn.Linear) or first.kernel_size[0] == 1:
            return x
        # Neighbouring frames lie side by side, so each window is one stretch of memory.
        batch, frames, width = x.shape
        kernel = first.kernel_size[0]
        size = batch, frames - kernel + 1, kernel * width
        return x.contiguous().as_strided(size, (frames * width, width, 1), x.storage_offset())

    def _refresh(self) -> None:
        made_of = tuple(map(_identity, self._layers))
        if made_of == self._made_of:
            return
        with torch.no_grad():
            weight = _matrix(self._layers)
            biases = [layer.bias for layer in self._layers if layer.bias is not None]
            self._bias = _joined(biases) if biases else None
            self._packed = pack_weight(weight, _PRODUCT_ROWS)
        self._weight = weight if self._packed is None else None
        self._made_of = made_of


def _identity(layer: nn.Linear | nn.Conv1d) -> tuple[int, int]:
    """Changes with the layer's weights."""
    weight = layer.weight
    return weight.data_ptr(), 0 if weight.is_inference() else weight._version


def _matrix(layers: Sequence[nn.Linear | nn.Conv1d]) -> Tensor:
    """[out, kernel * in]."""
    return _joined(
        [
            layer.weight
            if isinstance(layer, nn.Linear)
            else layer.weight.transpose(1, 2).flatten(1)
            for layer in layers
        ]
    )


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parts)) if len(parts) > 1 else parts[0]

"""Products with weights, as the machine does them fastest."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import linear as packed

Activation = Literal["none", "gelu"]

_TYPICAL_ROWS: Final = 128
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
            self._packed = packed.pack(weight, _TYPICAL_ROWS)
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

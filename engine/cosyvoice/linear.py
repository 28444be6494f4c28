"""Products with weights, as fast as the machine does them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Literal["none", "gelu", "tanh-gelu"]
"""tanh-gelu: the approximation by a hyperbolic tangent."""

_APPROXIMATION: Final = {"none": "none", "gelu": "none", "tanh-gelu": "tanh"}

_ROWS: Final = 64
"""oneDNN chooses its layout for a number of rows; the one for 64 serves 1 to 800 as well as their own."""


class PackedLinear:
    """x [..., in] -> x W^T + b, then the activation; in x's precision, whatever the weights'.

    W is that of linear layers with the same input, side by side, or of one convolution over frames, whose
    input is [B, n + kernel - 1, in].

    On a CPU a second copy of W in oneDNN's own layout multiplies several rows several times faster than the
    BLAS behind F.linear. A single row in float32 costs the reading of W, and takes W as it is. The copy is
    made at the first use, and again whenever the layers have got other weights.

    fuse: make the layers' parameters views of one matrix, now and for good, so that W costs no memory
        beside them; it lies as a single row reads it fastest. Later weights are not noticed.
    pack: False keeps no second copy.
    """

    def __init__(
        self,
        *layers: nn.Linear | nn.Conv1d,
        activation: Activation = "none",
        fuse: bool = False,
        pack: bool = True,
    ) -> None:
        self._layers = layers
        self._activation = activation
        self._fused = fuse
        self._pack = pack
        self._made_of: tuple[tuple[int, int], ...] = ()
        self._packed: Tensor | None = None
        self._weight: Tensor | None = None
        """None where the packed copy serves and the layers' own weights are not one matrix."""
        self._bias: Tensor | None = None
        if fuse:
            self._prepare(_fused(layers))

    def __deepcopy__(self, memo: dict[int, Any]) -> PackedLinear:
        layers = copy.deepcopy(self._layers, memo)
        return PackedLinear(*layers, activation=self._activation, fuse=self._fused, pack=self._pack)

    def __call__(self, x: Tensor) -> Tensor:
        if not self._fused:
            x = self._windows(x)
            if torch.is_grad_enabled() and self._layers[0].weight.requires_grad:
                return self._differentiable(x)
            self._refresh()
        rows = x if x.dim() == 2 else x.flatten(0, -2)
        if self._packed is not None and _gains(rows) and rows.dtype == self._packed.dtype:
            activation = "none" if self._activation == "none" else "gelu"
            made: Tensor = torch.ops.mkldnn._linear_pointwise(
                rows, self._packed, self._bias, activation, [], _APPROXIMATION[self._activation]
            )
            return made if rows is x else made.view(*x.shape[:-1], -1)
        weight = _matrix(self._layers) if self._weight is None else self._weight
        bias = self._bias
        if weight.dtype != x.dtype:
            weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
        made = F.linear(x, weight, bias)
        return self._activated(made)

    def _differentiable(self, x: Tensor) -> Tensor:
        """By the layers' own parameters, so that training reaches all of them."""
        biases = [layer.bias for layer in self._layers if layer.bias is not None]
        made = F.linear(x, _matrix(self._layers), _joined(biases) if biases else None)
        return self._activated(made)

    def _activated(self, x: Tensor) -> Tensor:
        if self._activation == "none":
            return x
        return F.gelu(x, approximate=_APPROXIMATION[self._activation])

    def _windows(self, x: Tensor) -> Tensor:
        """For a convolution, the frames that each output sees, side by side."""
        first = self._layers[0]
        if isinstance(first, nn.Linear) or first.kernel_size[0] == 1:
            return x
        # Neighbouring frames lie side by side, so each window is one stretch of memory.
        batch, frames, width = x.shape
        kernel = first.kernel_size[0]
        size = batch, frames - kernel + 1, kernel * width
        return x.contiguous().as_strided(size, (frames * width, width, 1), x.storage_offset())

    def _refresh(self) -> None:
        made_of = tuple(map(_identity, self._layers))
        if made_of != self._made_of:
            with torch.no_grad():
                self._prepare(_matrix(self._layers))
            self._made_of = made_of
            if self._packed is not None:
                self._weight = None

    def _prepare(self, weight: Tensor) -> None:
        biases = [layer.bias for layer in self._layers if layer.bias is not None]
        self._bias = _joined(biases).detach() if biases else None
        self._packed = pack_weight(weight) if self._pack else None
        self._weight = weight


def _gains(rows: Tensor) -> bool:
    """Whether the packed copy is the faster one, and can serve: it has no gradient."""
    return (rows.shape[0] > 1 or rows.dtype != torch.float32) and not torch.is_grad_enabled()


def pack_weight(weight: Tensor) -> Tensor | None:
    """The matrix in oneDNN's layout; None where there is none: not on a CPU, or not for this type."""
    if weight.device.type != "cpu":
        return None
    try:
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(
            weight.detach().contiguous(), _ROWS
        )
        trial = torch.zeros(2, weight.shape[1], dtype=weight.dtype)
        torch.ops.mkldnn._linear_pointwise(trial, packed, None, "none", [], "")
    except (AttributeError, RuntimeError):
        # A torch without oneDNN, or a processor without this type. The operators are torch's compiler's.
        return None
    return packed


def _fused(layers: Sequence[nn.Linear | nn.Conv1d]) -> Tensor:
    """The layers' weights as one matrix, of which their parameters become views."""
    weight = torch.cat([layer.weight.detach() for layer in layers])
    if weight.device.type == "cpu" and weight.shape[0] > weight.shape[1]:
        # A single row reads the matrix fastest along its longer side.
        weight = weight.t().contiguous().t()
    begin = 0
    for layer in layers:
        end = begin + layer.weight.shape[0]
        layer.weight = nn.Parameter(weight[begin:end], requires_grad=False)
        begin = end
    return weight


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

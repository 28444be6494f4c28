"""Weights in oneDNN's own layout. The operators are the compiler's own."""

from __future__ import annotations

import torch
from torch import Tensor


def pack(weight: Tensor, rows: int) -> Tensor | None:
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

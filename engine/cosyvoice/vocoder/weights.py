"""Weight normalisation (arXiv:1602.07868) folded into plain weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

_FORMS: Final = (
    (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
    (".weight_g", ".weight_v"),
)


def fold_weight_norm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same state with `X.weight = gain * direction / |direction|` for each normalised layer X.

    Both spellings of the pair are read; all other entries pass unchanged. The norm is taken per index of
    dimension 0, which is the input channel of a transposed convolution. A gain without its direction (or
    the other way round) stays as it is, so that strict loading names it.
    """
    folded = dict(state)
    for gain_end, direction_end in _FORMS:
        for key in [key for key in folded if key.endswith(gain_end)]:
            layer = key.removesuffix(gain_end)
            if layer + direction_end not in folded:
                continue
            gain = folded.pop(key)
            direction = folded.pop(layer + direction_end)
            exact = direction.double()
            norm = torch.linalg.vector_norm(exact, dim=(1, 2), keepdim=True)
            folded[layer + ".weight"] = (exact * gain.double() / norm).to(direction.dtype)
    return folded

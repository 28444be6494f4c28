"""Which positions attention sees."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def chunk_mask(length: int, chunk: int, device: torch.device) -> Tensor | None:
    """[length, length], True where query i sees key j: up to the end of i's chunk, without left limit.

    The first position begins a chunk. None where every query sees every key.
    """
    if length <= chunk:
        return None
    position = torch.arange(length, device=device)
    end = (position // chunk + 1) * chunk
    return position[None, :] < end[:, None]


def with_past(mask: Tensor | None, keys: int) -> Tensor | None:
    """The mask of the newest positions, widened to `keys` keys; all earlier ones are seen."""
    if mask is None or mask.shape[-1] == keys:
        return mask
    return F.pad(mask, (keys - mask.shape[-1], 0), value=True)

"""Attention to the keys and values of earlier steps."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from .masks import with_past
from .native import AttentionKernel, attention_kernel

FRAMES: Final = -2
"""The dimension that counts frames, in keys, values and queries."""


def attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Each [batch, heads, frames, head_dim]. mask: of the newest keys; the earlier ones are seen."""
    seen = with_past(mask, keys.shape[FRAMES])
    return F.scaled_dot_product_attention(query, keys, values, attn_mask=seen)


def kernel_for(query: Tensor) -> AttentionKernel | None:
    """Our own, for keys and values in pieces; None where torch's serves, which wants them in one."""
    if query.device.type != "cpu" or query.dtype != torch.float32:
        return None
    kernel = attention_kernel()
    return kernel if kernel is not None and kernel.takes(query) else None

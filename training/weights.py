"""Tensors on disk, and the precision in which weights are kept."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file that appears whole or not at all."""
    temporary = path.with_suffix(".tmp")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
    temporary.replace(path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    return load_file(path)


def half_rounded(module: nn.Module) -> None:
    """Round the weights to what half precision keeps, in place: the checkpoint then is what was measured."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.half().to(parameter.dtype))

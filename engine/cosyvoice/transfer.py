"""Numbers between the host and a device. On CUDA each read makes the host wait for all that was launched
before, so every read of a step goes through `to_host`, and a test counts them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Numbers = NDArray[np.int64] | NDArray[np.float64]


def to_device(arrays: Sequence[Numbers], device: torch.device) -> list[Tensor]:
    """Arrays of one type on the device, brought there by one copy that the host does not wait for."""
    flat = torch.from_numpy(np.concatenate([array.reshape(-1) for array in arrays]))
    if device.type == "cuda":
        flat = flat.pin_memory().to(device, non_blocking=True)
    parts = torch.split(flat, [array.size for array in arrays])
    return [part.view(array.shape) for part, array in zip(parts, arrays, strict=True)]


def to_host(tensor: Tensor) -> NDArray[np.generic]:
    """The tensor's numbers, once they are computed. Of a type that NumPy has: not bfloat16."""
    return tensor.detach().cpu().numpy()

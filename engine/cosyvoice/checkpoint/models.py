"""Models made of a Checkpoint: built without memory, given the mapped weights, then moved.

On the CPU in the weights' own type nothing is copied: pages of the file come in as they are first used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..flow import Flow
from ..lm.qwen2 import Qwen2Lm
from ..vocoder import Hift
from .errors import CheckpointError, listing, printable
from .keys import TEXT_EMBEDDING, TIED_HEAD
from .open import Checkpoint

Model = TypeVar("Model", bound=nn.Module)


def load_llm(
    checkpoint: Checkpoint,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Qwen2Lm:
    """The speech language model. Raises CheckpointError."""
    return _load(checkpoint, "llm", lambda: Qwen2Lm(checkpoint.config.lm), device, dtype)


def load_flow(
    checkpoint: Checkpoint,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Flow:
    """Speech tokens to mel. It holds its weights in float32 and steps in `dtype`. Raises CheckpointError."""
    flow = _load(checkpoint, "flow", lambda: Flow(checkpoint.config.flow), device, torch.float32)
    flow.use_precision(dtype)
    return flow


def load_hift(checkpoint: Checkpoint, device: torch.device | str = "cpu") -> Hift:
    """The vocoder, in float32 at least: its phase needs it. Raises CheckpointError."""
    return _load(checkpoint, "hift", lambda: Hift(checkpoint.config.hift), device, torch.float32)


def _load(
    checkpoint: Checkpoint,
    part: str,
    build: Callable[[], Model],
    device: torch.device | str,
    dtype: torch.dtype,
) -> Model:
    state = checkpoint.weights.get(part)
    if state is None:
        raise CheckpointError(f"{part}: not in this checkpoint")
    with torch.device("meta"), _Unfilled():
        model = build()
    given = {key: tensor.to(device, dtype) for key, tensor in state.items() if key != TIED_HEAD}
    if TIED_HEAD in model.state_dict():
        given[TIED_HEAD] = given[TEXT_EMBEDDING]
    try:
        model.load_state_dict(given, strict=True, assign=True)
    except RuntimeError as error:  # torch's report names the keys and shapes
        raise CheckpointError(f"{part}: does not fit: {printable(error, 1000)}") from error
    named = chain(model.named_parameters(), model.named_buffers())
    unset = [name for name, tensor in named if tensor.is_meta]
    if unset:
        raise CheckpointError(f"{part}: the weights do not set {listing(unset)}")
    # buffers that are no weights, in their own types
    return model.to(device).requires_grad_(False).eval()


class _Unfilled(TorchFunctionMode):
    """Leaves out the random filling of tensors that have no memory, which would load torch's compiler."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if func in _FILLING:
            tensor = args[0] if args else given["tensor"]
            if tensor.is_meta:
                return tensor
        return func(*args, **given)


_FILLING: Final = frozenset(
    {nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_, Tensor.normal_, Tensor.uniform_}
)

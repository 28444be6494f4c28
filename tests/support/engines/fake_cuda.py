"""The engine's CUDA branch on a machine without CUDA: tensors that have shape, type and device, no numbers.

Everything runs but the arithmetic. An operation on tensors of two devices raises, and so does a number that
the host reads in passing: what it may read goes through `transfer.to_host`, which gives zeros here, or what
`Watch.drawn` says.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cosyserve.engine.cosyvoice.checkpoint import (
    Checkpoint,
    from_state_dicts,
    load_flow,
    load_hift,
    load_llm,
)
from cosyserve.engine.cosyvoice.checkpoint.weights import PARTS, expected
from cosyserve.engine.cosyvoice.config import CosyVoice2Config, CosyVoice3Config, ModelConfig
from cosyserve.engine.cosyvoice.flow import DitFlow, Flow
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder
from cosyserve.engine.cosyvoice.vocoder import Hift
from support.tools.required import missing

CUDA: Final = torch.device("cuda:0")
_GUARD: Final = Path(__file__).with_name("no_op_guard.cpp")
_COMPOSITE: Final = torch._C.DispatchKey.CompositeImplicitAutograd
_KERNELS: Final = frozenset(
    {"scaled_dot_product_attention", "linear", "layer_norm", "rms_norm", "conv1d"}
)
"""Operators that torch makes of others, and a GPU of a few kernels whatever the batch."""
_CAT_INPUTS: Final = 64
"""Tensors that one kernel joins, at least."""
_FREE: Final = frozenset(
    {"empty", "empty_like", "empty_strided", "new_empty", "lift_fresh", "_unsafe_view"}
)
"""Operators that launch nothing."""
_READERS: Final = (
    "flow.model",
    "flow.graphs",
    "scheduling.hops",
    "lm.step",
)
"""Modules that read numbers of the device."""


@lru_cache(maxsize=1)
def _guard() -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        missing("g++", "g++ is needed")
    package = Path(torch.__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "guard.so"
        torch_ = [f"-I{package / 'include'}", f"-L{package / 'lib'}", "-lc10"]
        command = [compiler, "-std=c++20", "-O0", "-shared", "-fPIC", str(_GUARD), "-o", str(made)]
        subprocess.run([*command, *torch_], check=True, capture_output=True, timeout=120)
        ctypes.CDLL(str(made))


class Watch(TorchDispatchMode):
    """Counts what a GPU would be asked for.

    operators: those on the device by name; views and allocations launch nothing. reads: that the host waits
    for. waits: copies to the device that it waits for. drawn: what integers are read as.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operators: Counter[str] = Counter()
        self.reads = 0
        self.waits = 0
        self.drawn = 1

    @property
    def launches(self) -> int:
        return self.operators.total()

    def reset(self) -> None:
        self.operators.clear()
        self.reads = self.waits = 0

    def read(self, tensor: Tensor) -> NDArray[Any]:
        """In place of transfer.to_host."""
        assert tensor.is_cuda
        self.reads += 1
        if tensor.dtype == torch.bool:  # all is finite
            return np.ones(tensor.shape, dtype=np.bool_)
        kind = np.float32 if tensor.is_floating_point() else np.int64
        return np.full(tensor.shape, 0 if kind is np.float32 else self.drawn, dtype=kind)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "prim":
            return func(*args, **kwargs)
        name = func._schema.name.split("::")[1]
        if func.has_kernel_for_dispatch_key(_COMPOSITE) and name not in _KERNELS:
            with self:
                return func.decompose(*args, **kwargs)
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if name == "index_copy_":
            # In inference mode torch's stand-in for it asks CUDA for memory.
            assert all(tensor.is_cuda for tensor in given)
            made = args[0]
        else:
            made = func(*args, **kwargs)
        results = [leaf for leaf in tree_leaves(made) if isinstance(leaf, Tensor)]
        if any(tensor.is_cuda for tensor in (*given, *results)):
            self._count(name, func, given, results, args, kwargs)
        return made

    def _count(
        self,
        name: str,
        func: Any,
        given: Sequence[Tensor],
        results: Sequence[Tensor],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> None:
        if name in ("_to_copy", "copy_"):
            source, target = given[-1], results[0]
            assert target.is_cuda, "a number is read in passing"
            if not source.is_cuda:
                asynchronous = kwargs.get("non_blocking", args[2] if len(args) > 2 else False)
                self.waits += not asynchronous
        if name in _FREE or _is_view(func):
            return
        self.operators[name] += -(-len(given) // _CAT_INPUTS) if name == "cat" else 1
        assert not name.startswith("_foreach"), "it loops inside"


def _is_view(func: Any) -> bool:
    returned = [each.alias_info for each in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in returned)


def _apply(module: nn.Module, fn: Any, recurse: bool = True) -> nn.Module:
    """In place of nn.Module._apply, which cannot exchange the insides of tensors that others hold."""
    for child in module.children():
        child._apply(fn)
    for name, given in module._parameters.items():
        if given is not None:
            module._parameters[name] = nn.Parameter(fn(given.detach()), requires_grad=False)
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = fn(buffer)
    return module


@contextmanager
def fake_cuda() -> Iterator[Watch]:
    """Inside, tensors are on CUDA if they say so."""
    _guard()
    watch = Watch()
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(Tensor, "pin_memory", lambda tensor: tensor))
        stack.enter_context(mock.patch.object(nn.Module, "_apply", _apply))
        plain = "cosyserve.engine.cosyvoice.checkpoint.weights._is_plain"
        stack.enter_context(mock.patch(plain, return_value=True))
        for module in _READERS:
            name = f"cosyserve.engine.cosyvoice.{module}.to_host"
            stack.enter_context(mock.patch(name, watch.read))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        yield stack.enter_context(watch)


@dataclass(frozen=True)
class CudaModels:
    """The models of a checkpoint of the published size, on the device; see checkpoint.open."""

    flow: Flow
    hift: Hift
    lm: LmDecoder


def load_models(dtype: torch.dtype, config: CosyVoice2Config | None = None) -> CudaModels:
    """Inside fake_cuda. dtype: of flow and LM."""
    checkpoint = _checkpoint(config or CosyVoice2Config())
    return CudaModels(
        cast(Flow, load_flow(checkpoint, CUDA, dtype)),
        cast(Hift, load_hift(checkpoint, CUDA)),
        LmDecoder(load_llm(checkpoint, CUDA, dtype)),
    )


def load_dit_flow(dtype: torch.dtype, config: CosyVoice3Config) -> DitFlow:
    """CosyVoice 3's, likewise."""
    return cast(DitFlow, load_flow(_checkpoint(config), CUDA, dtype))


def _checkpoint(config: ModelConfig) -> Checkpoint:
    weights = {
        part: {key: torch.empty(shape) for key, shape in expected(config, part).items()}
        for part in PARTS
    }
    return from_state_dicts(config, **weights)

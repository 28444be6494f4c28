"""Work recorded operation by operation on the CPU, replayed as a CUDA graph is: no Python runs, and what
was recorded reads and writes the memory that it did."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass
class _Operation:
    run: Callable[..., Any]
    inputs: Sequence[Any]
    options: Mapping[str, Any]
    results: Any

    def again(self) -> None:
        made = self.run(*self.inputs, **self.options)
        for known, new in zip(tensors(self.results), tensors(made), strict=True):
            if known.data_ptr() != new.data_ptr():
                known.copy_(new)


@dataclass
class Recorder(TorchDispatchMode):
    """A Capture. replays: how often something was replayed."""

    replays: int = 0
    recordings: list[list[_Operation]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        work()  # a GPU's kernels are warmed up before
        operations: list[_Operation] = []
        self.recordings.append(operations)
        with self:
            work()

        def replay() -> None:
            self.replays += 1
            for operation in operations:
                operation.again()

        return replay

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        results = func(*args, **kwargs)
        self.recordings[-1].append(_Operation(func, args, kwargs, results))
        return results


def tensors(tree: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))

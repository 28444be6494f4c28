"""The weights of a part, under the official keys: read from a file, and held against the model they are for.

A part is a mapping of keys to tensors that lie in the file. Nothing is unpickled but tensors, and nothing is
read into memory: the file is mapped. It must not be cut short while a model made of it runs.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final, TypeGuard

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..config import ModelConfig
from ..families import family_of
from ..families.sizes import Shape, Shapes
from ..lm.qwen2 import TEXT_EMBEDDING, TIED_HEAD
from ..vocoder import DIRECTION, GAIN
from .errors import CheckpointError, listing, printable

PARTS: Final = ("llm", "flow", "hift")

_WITHOUT_NORM: Final = "source_downs."
"""The only convolutions of the vocoder that are stored as they are."""


def expected(config: ModelConfig, part: str) -> Shapes:
    """Every key of a part with its shape, as the official file has them."""
    with torch.device("meta"), Unfilled():
        model = family_of(config).network(config, part)
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    if part == "llm":
        shapes[TIED_HEAD] = shapes[TEXT_EMBEDDING]
    return dict(_normalised(shapes)) if part == "hift" else shapes


def _normalised(shapes: Shapes) -> Iterator[tuple[str, Shape]]:
    """With a gain and a direction in place of each weight that the file has normalised.

    There is one gain per row of the first dimension: a convolution's outputs, a transposed one's inputs.
    """
    for key, shape in shapes.items():
        if len(shape) == 3 and not key.startswith(_WITHOUT_NORM):
            layer = key.removesuffix(".weight")
            yield layer + GAIN, (shape[0], 1, 1)
            yield layer + DIRECTION, shape
        else:
            yield key, shape


class Unfilled(TorchFunctionMode):
    """Skips the random filling of tensors on the meta device, which would load torch's compiler."""

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


_LARGEST_PICKLE: Final = 32 << 20
"""Bytes of an archive's index of tensors; flow.pt's has about 200 KB."""
_DTYPES: Final = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_TRAINING: Final = ("epoch", "step")
_DISCRIMINATOR: Final = "discriminator."
_GENERATOR: Final = "generator."
_OLD_WEIGHT_NORM: Final = {".weight_g": GAIN, ".weight_v": DIRECTION}


def read_weights(path: Path, part: str) -> dict[str, Tensor]:
    """The tensors of a .pt or .safetensors file under the official keys, whatever the file's spelling.

    Raises CheckpointError, which names the file and what is wrong with it.
    """
    raw = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    state = official(raw, part, path.name)
    size = path.stat().st_size
    # tied weights count twice; beyond that, a few bytes pose as tensors of any size
    if sum(tensor.numel() * tensor.element_size() for tensor in state.values()) > 2 * size:
        raise CheckpointError(f"{path.name}: tensors larger than the file")
    return state


def official(raw: Mapping[Any, object], part: str, place: str) -> dict[str, Tensor]:
    """Without what training left behind, and with hift's keys in their newest spelling.

    Raises CheckpointError for values that are no plain tensors of floating point numbers.
    """
    state: dict[str, Tensor] = {}
    problems: list[str] = []
    for given, value in raw.items():
        if not isinstance(given, str):
            raise CheckpointError(f"{place}: a key that is no string: {printable(given)}")
        if given in _TRAINING or given.startswith(_DISCRIMINATOR):
            continue
        key = _spelled(given) if part == "hift" else given
        if not _is_plain(value):
            problems.append(f"{place}: {printable(given)}: not a tensor of floating point numbers")
        elif key in state:
            problems.append(f"{place}: {printable(given)}: there twice, under two spellings")
        else:
            state[key] = value.detach()
    if problems:
        raise CheckpointError(problems if len(problems) < 5 else listing(problems, 4))
    return state


def key_problems(found: Mapping[str, Tensor], due: Shapes, place: str) -> list[str]:
    """Missing, extra and ill-shaped keys, one line each; empty if all are as due."""
    missing = sorted(due.keys() - found.keys() - {TIED_HEAD})
    extra = sorted(found.keys() - due.keys())
    ill_shaped = [
        f"{key} is {list(found[key].shape)} where {list(shape)} is due"
        for key, shape in due.items()
        if key in found and tuple(found[key].shape) != shape
    ]
    lines = (
        ("missing", missing),
        ("unexpected", [printable(key) for key in extra]),
        ("ill-shaped", ill_shaped),
    )
    return [f"{place}: {kind} keys: {listing(keys)}" for kind, keys in lines if keys]


def _spelled(key: str) -> str:
    key = key.removeprefix(_GENERATOR)
    for old, new in _OLD_WEIGHT_NORM.items():
        if key.endswith(old):
            return key.removesuffix(old) + new
    return key


def _is_plain(value: object) -> TypeGuard[Tensor]:
    return (
        isinstance(value, Tensor)
        and type(value) in (Tensor, torch.nn.Parameter)
        and value.layout is torch.strided
        and not value.is_nested
        and value.device.type == "cpu"
        and value.dtype in _DTYPES
    )


def _read_safetensors(path: Path) -> dict[object, object]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path.name}: not readable: {printable(error)}") from error


def _read_torch(path: Path) -> dict[object, object]:
    _check_archive(path)
    try:
        value = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except UnpicklingError as error:
        raise CheckpointError(
            f"{path.name}: holds more than tensors, and code is never run: {printable(error)}"
        ) from error
    except Exception as error:  # a hostile pickle can make the unpickler fail in any way
        raise CheckpointError(f"{path.name}: not readable: {printable(error)}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path.name}: {type(value).__name__} where a state dict is due")
    return value


def _check_archive(path: Path) -> None:
    """Members must be stored as they are: one that inflates could fill the memory. Raises CheckpointError."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        raise CheckpointError(
            f"{path.name}: not a whole archive of torch.save: {printable(error)}"
        ) from error
    except Exception as error:  # zipfile raises what its parsing meets: struct.error, ...
        raise CheckpointError(f"{path.name}: a broken archive: {printable(error)}") from error
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise CheckpointError(f"{path.name}: a compressed archive, which torch.save does not write")
    if any(m.file_size > _LARGEST_PICKLE for m in members if m.filename.endswith(".pkl")):
        raise CheckpointError(f"{path.name}: its index of tensors is too large")

"""Folders of golden vectors, made of the committed one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from . import goldens

Change = Callable[[dict[str, Tensor]], object]
"""Changes a file's arrays in place."""


def folder_of(path: Path, *names: str) -> Path:
    """A folder with these files of the committed goldens only."""
    path.mkdir(exist_ok=True)
    for name in names:
        (path / name).symlink_to(goldens.FOLDER / name)
    return path


def write(path: Path, name: str, arrays: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """NAME.safetensors of the folder."""
    whole = {key: array.contiguous().clone() for key, array in arrays.items()}
    save_file(whole, path / f"{name}.safetensors", {"meta": json.dumps(meta)})


def altered(path: Path, name: str, change: Change, parts: Sequence[str] = ()) -> Path:
    """A folder with NAME.safetensors after the change, and with the weights of these parts."""
    weights = [f"{part}.safetensors" for part in parts]
    folder = folder_of(path, *weights, *(["config.json"] if parts else []))
    arrays = goldens.tensors(name)
    change(arrays)
    write(folder, name, arrays, goldens.meta(name))
    return folder

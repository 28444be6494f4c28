"""A folder of golden vectors, and the models whose weights it holds."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError, safe_open
from torch import Tensor

from cosyserve.benchmarks.parity.reference.config import model_config
from cosyserve.engine.cosyvoice.checkpoint import (
    Checkpoint,
    from_state_dicts,
    load_flow,
    load_hift,
    load_llm,
    open_checkpoint,
)
from cosyserve.engine.cosyvoice.config import ModelConfig
from cosyserve.engine.cosyvoice.flow import Flow
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder
from cosyserve.engine.cosyvoice.lm.qwen2 import Qwen2Lm
from cosyserve.engine.cosyvoice.vocoder import Hift

CONFIG = "config.json"
PARTS = ("llm", "flow", "hift")


class FolderError(Exception):
    """A folder, or a file of it, that cannot be used."""


class GoldenFolder:
    """NAME.safetensors with arrays and JSON under `meta`; weights of the parts; config.json.

    Arrays are read anew on each call.
    """

    def __init__(self, path: Path) -> None:
        """Raises FolderError if it is no folder."""
        if not path.is_dir():
            raise FolderError(f"{path}: not a folder")
        self.path = path

    def names(self) -> list[str]:
        """Of all .safetensors files but the weights."""
        found = (path.stem for path in self.path.glob("*.safetensors"))
        return sorted(name for name in found if name not in PARTS)

    def has(self, name: str) -> bool:
        return self._file(name).is_file()

    def arrays(self, name: str) -> dict[str, Tensor]:
        """Every array of NAME.safetensors. Raises FolderError."""
        try:
            with safe_open(self._file(name), framework="pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
        except (SafetensorError, OSError) as error:
            raise FolderError(f"{self._file(name)}: not readable: {error}") from error

    def meta(self, name: str) -> dict[str, Any]:
        """The details of the cases in NAME.safetensors; empty if it has none. Raises FolderError."""
        try:
            with safe_open(self._file(name), framework="pt") as file:
                text = (file.metadata() or {}).get("meta", "{}")
            found = json.loads(text)
        except (SafetensorError, OSError, ValueError) as error:
            raise FolderError(f"{self._file(name)}: meta: not readable: {error}") from error
        if not isinstance(found, dict):
            raise FolderError(f"{self._file(name)}: meta: not an object")
        return found

    @property
    def has_config(self) -> bool:
        return (self.path / CONFIG).is_file()

    def raw_config(self) -> dict[str, Any]:
        """The model's sizes under the reference's names. Raises FolderError."""
        path = self.path / CONFIG
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FolderError(f"{path}: not readable: {error}") from error
        if not isinstance(found, dict):
            raise FolderError(f"{path}: not an object")
        return found

    def config(self) -> ModelConfig:
        """Raises FolderError."""
        try:
            return model_config(self.raw_config())
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise FolderError(f"{self.path / CONFIG}: not a model's sizes: {error!r}") from error

    def checkpoint(self) -> Checkpoint:
        """Of the sizes and of those weights that the folder holds. Raises FolderError, CheckpointError."""
        weights = {part: self.arrays(part) for part in PARTS if self.has(part)}
        return from_state_dicts(self.config(), **weights)

    def _file(self, name: str) -> Path:
        return self.path / f"{name}.safetensors"


class GoldenModels:
    """The parts of one checkpoint, each loaded when it is first asked for."""

    def __init__(self, folder: GoldenFolder, weights: Path | None = None) -> None:
        """weights: a checkpoint's directory, or another folder of goldens, in place of the folder's own."""
        self.folder = folder
        self._weights = weights

    def has(self, part: str) -> bool:
        """Raises FolderError, CheckpointError."""
        if self._weights is None:
            return self.folder.has(part)
        return part in self.checkpoint.weights

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Raises FolderError, CheckpointError."""
        if self._weights is None:
            return self.folder.checkpoint()
        if (self._weights / CONFIG).is_file():
            return GoldenFolder(self._weights).checkpoint()
        return open_checkpoint(self._weights)

    @cached_property
    def llm(self) -> Qwen2Lm:
        return load_llm(self.checkpoint)

    @cached_property
    def decoder(self) -> LmDecoder:
        return LmDecoder(self.llm)

    @cached_property
    def flow(self) -> Flow:
        return cast(Flow, load_flow(self.checkpoint))

    @cached_property
    def hift(self) -> Hift:
        return cast(Hift, load_hift(self.checkpoint))

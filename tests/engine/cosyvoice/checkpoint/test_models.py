"""Models made of a checkpoint: the right values, in place, in the right types."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from cosyserve.benchmarks.parity.reference import flow as reference_flow
from cosyserve.benchmarks.parity.reference import vocoder as reference_vocoder
from cosyserve.benchmarks.parity.reference.config import model_config
from cosyserve.engine.cosyvoice.checkpoint import (
    CheckpointError,
    from_state_dicts,
    load_flow,
    load_hift,
    load_llm,
    open_checkpoint,
)
from cosyserve.engine.cosyvoice.checkpoint.weights import PARTS, Unfilled
from cosyserve.engine.cosyvoice.lm.qwen2 import TIED_HEAD
from support.engines import goldens, tiny_checkpoint

PRECISE = {torch.float32, torch.float64}
"""The vocoder keeps what its phase depends on in float64."""


def test_models_use_the_mapped_weights_in_place(whole: Path) -> None:
    """No second copy: parameters lie where the file is mapped."""
    checkpoint = open_checkpoint(whole)
    for part, model in (("llm", load_llm(checkpoint)), ("flow", load_flow(checkpoint))):
        state = dict(checkpoint.weights[part])
        state.pop(TIED_HEAD, None)
        parameters = dict(model.named_parameters())
        assert parameters.keys() == state.keys()
        assert all(parameters[key].data_ptr() == state[key].data_ptr() for key in state)


def test_models_take_no_memory_before_their_weights(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    load = nn.Module.load_state_dict

    def spy(self: nn.Module, *args: object, **options: object) -> object:
        seen.append({parameter.device.type for parameter in self.parameters()})
        return load(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(nn.Module, "load_state_dict", spy)
    checkpoint = open_checkpoint(whole)
    load_llm(checkpoint), load_flow(checkpoint), load_hift(checkpoint)
    assert seen == [{"meta"}] * 3


def test_only_what_has_no_memory_stays_unfilled() -> None:
    with torch.device("meta"), Unfilled():
        empty = nn.Linear(3, 4)
        full = nn.init.normal_(torch.zeros(3, device="cpu"))
    assert empty.weight.is_meta
    assert empty.weight.shape == (4, 3)
    assert full.abs().sum() > 0


def test_models_are_ready_to_run(whole: Path) -> None:
    checkpoint = open_checkpoint(whole)
    for model in (load_llm(checkpoint), load_flow(checkpoint), load_hift(checkpoint)):
        assert not model.training
        assert not any(p.requires_grad for p in model.parameters())
        tensors = [*model.parameters(), *model.buffers()]
        assert {tensor.device.type for tensor in tensors} == {"cpu"}
        assert {t.dtype for t in tensors if t.is_floating_point()} <= PRECISE


def test_types(whole: Path) -> None:
    checkpoint = open_checkpoint(whole)
    llm = load_llm(checkpoint, dtype=torch.bfloat16)
    assert {p.dtype for p in llm.parameters()} == {torch.bfloat16}
    flow = load_flow(checkpoint, dtype=torch.float16)
    assert {p.dtype for p in flow.parameters()} == {torch.float32}
    assert flow.cache_dtype == torch.float16
    assert flow.noise.dtype == torch.float32


def test_half_precision_weights_give_a_float32_vocoder() -> None:
    state = {key: tensor.half() for key, tensor in tiny_checkpoint.weights("hift").items()}
    hift = load_hift(from_state_dicts(tiny_checkpoint.TINY, hift=state))
    assert {p.dtype for p in hift.parameters()} <= PRECISE


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_not_there_is_named(part: str) -> None:
    load = {"llm": load_llm, "flow": load_flow, "hift": load_hift}[part]
    with pytest.raises(CheckpointError, match=f"^{part}: not in this checkpoint"):
        load(from_state_dicts(tiny_checkpoint.TINY))


def test_golden_flow_gives_the_golden_mel() -> None:
    config = model_config(goldens.config())
    flow = load_flow(from_state_dicts(config, flow=goldens.weights("flow")))
    case = goldens.tensors("b_flow_inference")
    mel = reference_flow.inference(
        flow,
        case["token"][:, :46],
        case["prompt_token"],
        case["prompt_feat"],
        case["embedding"],
        streaming=True,
        finalize=False,
    )
    assert torch.allclose(mel, case["mel_stream_prefix_46"], rtol=0, atol=1e-4)


def test_golden_vocoder_gives_the_golden_pitch() -> None:
    config = model_config(goldens.config())
    hift = load_hift(from_state_dicts(config, hift=goldens.weights("hift")))
    case = goldens.tensors("d_hift")
    with torch.inference_mode():
        pitch = hift.f0_predictor(case["mel"]).float()
    assert torch.allclose(pitch, case["f0"], rtol=0, atol=2e-3)


def test_golden_lm_has_the_golden_logits() -> None:
    config = model_config(goldens.config())
    llm = load_llm(from_state_dicts(config, llm=goldens.weights("llm")))
    case = goldens.tensors("f_llm")
    with torch.inference_mode():
        logits = llm.llm_decoder(case["hidden"])
    assert torch.allclose(logits, case["logits"], rtol=0, atol=2e-4)


def test_the_tiny_checkpoint_makes_sound(whole: Path) -> None:
    """Finite, within the limit, neither silent nor clipped flat, with a voice's pitch."""
    checkpoint = open_checkpoint(whole)
    noise = torch.Generator().manual_seed(0)
    flow, hift = load_flow(checkpoint), load_hift(checkpoint)
    mel = reference_flow.inference(
        flow,
        torch.randint(0, 216, (1, 20), generator=noise),
        torch.randint(0, 216, (1, 20), generator=noise),
        torch.randn(1, 40, 80, generator=noise) - 4,
        torch.randn(1, 192, generator=noise),
        streaming=True,
        finalize=True,
    )
    with torch.inference_mode():
        wave, _ = reference_vocoder.inference(hift, mel, torch.zeros(1, 1, 0))
        pitch = hift.f0_predictor(mel)
    assert wave.shape == (1, 20 * 960)
    assert torch.isfinite(wave).all()
    assert 0.01 < float(wave.std()) < 0.5
    assert 60 < float(pitch.mean()) < 400

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cosyserve.benchmarks.parity.reference import vocoder as reference_vocoder
from cosyserve.benchmarks.parity.reference.vocoder import Phase
from cosyserve.engine.cosyvoice.config import HiftConfig
from cosyserve.engine.cosyvoice.vocoder import Hift
from support.engines import goldens
from support.engines.vocoder import hift_config

GOLDEN = goldens.tensors("d_hift")
PHASES = pytest.mark.parametrize("phase", list(Phase))


def close(actual: Tensor, name: str, tolerance: float) -> None:
    torch.testing.assert_close(actual, GOLDEN[name], rtol=0, atol=tolerance)


def test_f0(hift: Hift) -> None:
    with torch.inference_mode():
        f0 = hift.f0_predictor(GOLDEN["mel"])
    close(f0, "f0", 2e-3)
    assert torch.equal((f0 > 10)[..., None].float(), GOLDEN["uv"])


@PHASES
def test_source_of_a_given_f0(hift: Hift, phase: Phase) -> None:
    close(reference_vocoder.source(hift, GOLDEN["f0"], phase=phase), "source_zero_noise", 2e-3)
    close(reference_vocoder.source(hift, GOLDEN["f0_known"], phase=phase), "f0_known_source", 1e-3)


@PHASES
def test_sines(hift: Hift, phase: Phase) -> None:
    for f0, name, every, tolerance in (
        ("f0", "sine_waves_zero_noise", 16, 2e-3),
        ("f0_known", "f0_known_sines", 8, 1e-3),
    ):
        voiced = (GOLDEN[f0] > 10).float().repeat_interleave(480, dim=1)[..., None]
        sines = reference_vocoder.sines(hift.m_source, GOLDEN[f0], phase) * voiced
        close(sines[:, ::every], name, tolerance)


@PHASES
def test_source_with_injected_noise(hift: Hift, phase: Phase) -> None:
    close(
        reference_vocoder.source(hift, GOLDEN["noise_f0"], GOLDEN["noise"], phase),
        "source_with_noise",
        2e-3,
    )


def test_reference_phase_drifts_as_the_reference_does(hift: Hift) -> None:
    reference = reference_vocoder.source(hift, GOLDEN["f0_long"], phase=Phase.REFERENCE)
    exact = reference_vocoder.source(hift, GOLDEN["f0_long"], phase=Phase.EXACT)
    # Far below the tolerance of the file: the roundings are the same ones.
    close(reference[:, :, -1920:], "f0_long_source_last_4_frames", 1e-5)
    close(exact[:, :, -1920:], "f0_long_source_last_4_frames", 2e-2)
    recorded = goldens.meta("d_hift")["max_abs_diff_f32_vs_f64_phase_over_f0_long"]
    assert float((reference - exact).abs().max()) == pytest.approx(recorded, rel=0.05)


def test_decode(hift: Hift) -> None:
    close(hift.decode(GOLDEN["mel"], GOLDEN["decode_s"]), "decode_wav", 1e-4)


@PHASES
def test_inference(hift: Hift, phase: Phase) -> None:
    wave, source = reference_vocoder.inference(hift, GOLDEN["mel"], phase=phase)
    close(wave, "inference_wav", 5e-3)
    close(source, "inference_source", 5e-3)


@PHASES
def test_inference_with_a_cached_source(hift: Hift, phase: Phase) -> None:
    wave, source = reference_vocoder.inference(
        hift, GOLDEN["mel"], GOLDEN["cache_source"], phase=phase
    )
    close(wave, "inference_cached_wav", 5e-3)
    close(source, "inference_cached_source", 5e-3)


def test_an_empty_cache_is_no_cache(hift: Hift) -> None:
    empty = reference_vocoder.inference(hift, GOLDEN["mel"], torch.zeros(1, 1, 0))[0]
    assert torch.equal(empty, reference_vocoder.inference(hift, GOLDEN["mel"])[0])


def test_source_and_transforms_stay_in_fp32_under_autocast(hift: Hift) -> None:
    mel = GOLDEN["mel"]
    plain, source = reference_vocoder.inference(hift, mel, phase=Phase.EXACT)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast, cast_source = reference_vocoder.inference(hift, mel, phase=Phase.EXACT)
    assert torch.equal(source, cast_source)
    assert cast.dtype == torch.float32
    # The convolutions did follow autocast.
    assert 0 < float((cast - plain).square().mean().sqrt()) < 0.05


def test_built_on_the_meta_device() -> None:
    with torch.device("meta"):
        hift = Hift(hift_config())
    hift.load_state_dict(goldens.weights("hift"), strict=True, assign=True)
    assert hift.f0_predictor.classifier.weight.dtype == torch.float64
    with torch.inference_mode():
        close(hift.f0_predictor(GOLDEN["mel"]), "f0", 2e-3)
    close(hift.decode(GOLDEN["mel"], GOLDEN["decode_s"]), "decode_wav", 1e-4)


def test_published_sizes() -> None:
    """The keys and shapes of the 0.5B model load strictly."""
    shapes = goldens.key_shapes("hift", full=True)
    with torch.device("meta"):
        hift = Hift(HiftConfig())
        state = {key: torch.empty(shape) for key, shape in shapes.items()}
        hift.load_state_dict(state, strict=True, assign=True)
    assert hift.conv_pre.weight.shape == (512, 80, 7)


def test_strict_loading_names_what_is_missing() -> None:
    state = goldens.weights("hift")
    del state["conv_pre.parametrizations.weight.original1"]
    with pytest.raises(RuntimeError, match=r"conv_pre\.weight"):
        Hift(hift_config()).load_state_dict(state, strict=True)

from __future__ import annotations

import math

import torch

from cosyserve.benchmarks.parity.reference import vocoder as reference_vocoder
from cosyserve.benchmarks.parity.reference.vocoder import Phase
from cosyserve.engine.cosyvoice.config import SAMPLE_RATE, HiftConfig
from cosyserve.engine.cosyvoice.vocoder.source import (
    HarmonicSource,
    cycles_per_frame,
)

SECOND = 50


def steady_error(phase: Phase, seconds: int) -> float:
    """Of the last second of a steady 237.3 Hz, against its closed form."""
    pitch = 237.3
    frames = seconds * SECOND
    f0 = torch.full((1, frames), pitch, dtype=torch.float64)
    source = HarmonicSource(HiftConfig())
    sines = reference_vocoder.sines(source, f0, phase)[0, -SAMPLE_RATE:-240]
    # The first frame's centre stands at one frame's worth of cycles.
    samples = torch.arange(frames * 480, dtype=torch.float64)[-SAMPLE_RATE:-240]
    time = (samples + 0.5 + 240) / SAMPLE_RATE
    order = torch.arange(1, 10, dtype=torch.float64)
    expected = 0.1 * torch.sin(2 * math.pi * pitch * time[:, None] * order)
    return float((sines.double() - expected).abs().max())


def test_phase_does_not_drift_within_a_minute() -> None:
    assert steady_error(Phase.EXACT, 60) < 1e-5


def test_the_reference_s_phase_does() -> None:
    assert steady_error(Phase.REFERENCE, 60) > 1e-3


def test_no_sample_jumps_over_a_minute_of_gliding_pitch() -> None:
    time = torch.arange(60 * SECOND, dtype=torch.float64) / SECOND
    f0 = (200 + 100 * torch.sin(0.7 * time))[None]
    sines = reference_vocoder.sines(HarmonicSource(HiftConfig()), f0, Phase.EXACT)[0]
    order = torch.arange(1, 10)
    fastest = 0.1 * 2 * math.pi * 301 * order / SAMPLE_RATE
    assert bool((sines.diff(dim=0).abs().amax(0) < fastest + 1e-5).all())


def test_a_window_continues_from_a_carried_phase() -> None:
    generator = torch.Generator().manual_seed(0)
    f0 = 400 * torch.rand(1, 40, generator=generator, dtype=torch.float64)
    source = HarmonicSource(HiftConfig())
    whole = reference_vocoder.sines(source, f0, Phase.EXACT)
    steps = cycles_per_frame(f0, 9)
    carried = steps[:, :25].sum(1)
    carried = carried - carried.floor()
    centres = carried[:, None] + steps[:, 25:].cumsum(1)
    window = source.render(centres, steps[:, 25:], torch.zeros(1))
    torch.testing.assert_close(window, whole[:, 25 * 480 :], rtol=0, atol=1e-6)


def test_both_laws_agree_on_a_short_sound() -> None:
    f0 = 300 * torch.rand(2, 20, generator=torch.Generator().manual_seed(1))
    source = HarmonicSource(HiftConfig())
    exact = reference_vocoder.sines(source, f0, Phase.EXACT)
    torch.testing.assert_close(
        exact, 0.1 * reference_vocoder.reference_phase(f0, 9).sin(), rtol=0, atol=1e-3
    )

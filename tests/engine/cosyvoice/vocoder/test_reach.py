from __future__ import annotations

import torch

from cosyserve.benchmarks.parity.reference import vocoder as reference_vocoder
from cosyserve.benchmarks.parity.reference.vocoder import Phase
from cosyserve.engine.cosyvoice.config import HiftConfig
from cosyserve.engine.cosyvoice.vocoder import Hift, reach
from support.engines.vocoder import hift_config, random_mel

FRAMES = 60
CHANGED = 30


def test_a_changed_frame_moves_nothing_beyond_the_reach(hift: Hift) -> None:
    """Of mel, source and F0 together; the phase law is kept out by giving both runs one F0 before."""
    bound = reach(hift_config())
    mel = random_mel(FRAMES, 1)[None]
    other = mel.clone()
    other[:, :, CHANGED] += 1.0
    waves = [
        reference_vocoder.inference(hift, each, phase=Phase.EXACT)[0][0] for each in (mel, other)
    ]
    moved = (waves[0] - waves[1]).abs().nonzero()
    # Roundings do not depend on the values elsewhere, so that untouched samples are bit-identical.
    assert int(moved[0]) // 480 >= CHANGED - bound.right


def test_a_changed_frame_moves_nothing_after_the_left_reach(hift: Hift) -> None:
    bound = reach(hift_config())
    generator = torch.Generator().manual_seed(2)
    mel = random_mel(FRAMES, 2)[None]
    source = 0.1 * torch.randn(1, 1, FRAMES * 480, generator=generator)
    other_mel, other_source = mel.clone(), source.clone()
    other_mel[:, :, CHANGED] += 1.0
    other_source[:, :, CHANGED * 480 : (CHANGED + 1) * 480] += 0.1
    before = hift.decode(mel, source)[0]
    after = hift.decode(other_mel, other_source)[0]
    moved = (before - after).abs().nonzero()
    assert CHANGED < int(moved[-1]) // 480 <= CHANGED + bound.left


def test_it_depends_on_kernels_and_not_on_widths() -> None:
    assert reach(HiftConfig()) == reach(HiftConfig(base_channels=16, f0_channels=8))
    narrow = HiftConfig(source_resblock_kernels=(3, 3, 3), resblock_kernels=(3, 3, 3))
    assert reach(narrow).left < reach(HiftConfig()).left
    assert reach(narrow).right < reach(HiftConfig()).right

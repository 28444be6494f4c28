"""The causal vocoder in steps: chunked is whole."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cosyserve.benchmarks.parity.reference.causal_vocoder import inference
from cosyserve.engine.cosyvoice.config import MEL_HOP
from cosyserve.engine.cosyvoice.vocoder import CausalHift, CausalVocoderState, StreamPolicy
from support.engines import goldens3
from support.engines.goldens3 import golden_causal_hift
from support.engines.vocoder import random_mel

HIFT = golden_causal_hift()
GOLDEN_MEL = goldens3.tensors("d_hift")["mel"][0]
PLAIN = StreamPolicy(fade_out=0)
SCHEDULES = st.lists(st.integers(0, 40), min_size=1, max_size=8)


@pytest.fixture
def hift() -> CausalHift:
    return HIFT


def in_steps(
    hift: CausalHift,
    state: CausalVocoderState,
    mel: Tensor,
    hops: Sequence[int],
    speed: float = 1.0,
) -> list[Tensor]:
    """The waves of one utterance, `mel` cut into `hops` (the last one final, taking the rest)."""
    waves, begin = [], 0
    for index, hop in enumerate(hops):
        last = index == len(hops) - 1
        end = mel.shape[1] if last else begin + hop
        waves += hift.step([state], [mel[:, begin:end]], [last], [speed])
        begin = min(end, mel.shape[1])
    return waves


def at_once(hift: CausalHift, mel: Tensor, seed: int | None = None, speed: float = 1.0) -> Tensor:
    return in_steps(hift, hift.start(PLAIN, seed), mel, [mel.shape[1]], speed)[0]


def test_the_whole_is_the_offline_sound(hift: CausalHift) -> None:
    offline = inference(hift, GOLDEN_MEL[None])[0]
    assert torch.equal(at_once(hift, GOLDEN_MEL), offline)


@settings(max_examples=25)
@given(st.integers(1, 120), SCHEDULES, st.sampled_from([1.0, 0.5, 0.83, 1.3, 2.0]))
def test_chunked_is_whole(frames: int, hops: list[int], speed: float) -> None:
    mel = random_mel(frames, frames)
    whole = at_once(HIFT, mel, seed=5, speed=speed)
    chunked = torch.cat(in_steps(HIFT, HIFT.start(PLAIN, 5), mel, hops, speed))
    assert chunked.shape == (int(frames / speed) * MEL_HOP,)
    torch.testing.assert_close(chunked, whole, rtol=0, atol=5e-5)


def test_one_frame_at_a_time(hift: CausalHift) -> None:
    waves = in_steps(hift, hift.start(PLAIN, 1), GOLDEN_MEL, [1] * 40)
    assert [len(wave) for wave in waves] == [0] * 4 + [477] + [480] * 34 + [5 * 480 + 3]
    whole = at_once(hift, GOLDEN_MEL, seed=1)
    torch.testing.assert_close(torch.cat(waves), whole, rtol=0, atol=5e-5)


@pytest.mark.parametrize("frames", range(7))
def test_a_few_frames_are_a_sound(hift: CausalHift, frames: int) -> None:
    for hops in ([frames], [0, frames], [frames, 0]):
        waves = in_steps(hift, hift.start(), GOLDEN_MEL[:, :frames], hops)
        assert sum(map(len, waves)) == frames * MEL_HOP


def test_phase_is_carried_over_a_minute(hift: CausalHift) -> None:
    """The last second of steps equals that of the whole, where all errors have added up."""
    mel = random_mel(150, 10).repeat(1, 20)
    wave = torch.cat(in_steps(hift, hift.start(PLAIN), mel, [200] * 15)[-1:])
    expected = inference(hift, mel[None])[0]
    torch.testing.assert_close(wave[-24000:], expected[-24000:], rtol=0, atol=5e-5)


def test_a_batch_is_its_members(hift: CausalHift) -> None:
    mels = [random_mel(90, seed) for seed in range(4)]
    speeds = [1.0, 1.0, 1.4, 1.0]
    seeds = [1, 2, 3, None]
    hops = [[30, 30, 30], [30, 30, 30], [30, 10, 50], [45, 0, 45]]
    alone = [
        torch.cat(in_steps(hift, hift.start(None, seed), mel, hop, speed))
        for mel, seed, hop, speed in zip(mels, seeds, hops, speeds, strict=True)
    ]
    states = [hift.start(None, seed) for seed in seeds]
    together: list[list[Tensor]] = [[] for _ in mels]
    for index in range(3):
        borders = [list(itertools.accumulate(hop, initial=0)) for hop in hops]
        news = [m[:, b[index] : b[index + 1]] for m, b in zip(mels, borders, strict=True)]
        waves = hift.step(states, news, [index == 2] * 4, speeds)
        for kept, wave in zip(together, waves, strict=True):
            kept.append(wave)
    for expected, parts in zip(alone, together, strict=True):
        torch.testing.assert_close(torch.cat(parts), expected, rtol=0, atol=5e-5)


def test_copies_are_independent(hift: CausalHift) -> None:
    mel = random_mel(80, 6)
    state = hift.start(None, 3)
    hift.step([state], [mel[:, :40]], [False])
    branch = state.copy()
    straight = hift.step([state], [mel[:, 40:]], [True])[0]
    hift.step([hift.start(None, 9)], [random_mel(50, 7)], [True])
    assert torch.equal(hift.step([branch], [mel[:, 40:]], [True])[0], straight)


def test_noise_follows_its_seed(hift: CausalHift) -> None:
    first, again, other = (at_once(hift, GOLDEN_MEL, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, at_once(hift, GOLDEN_MEL))


def test_the_end_falls_to_zero(hift: CausalHift) -> None:
    plain = at_once(hift, GOLDEN_MEL)
    faded = in_steps(hift, hift.start(StreamPolicy(fade_out=120)), GOLDEN_MEL, [20, 20])
    joined = torch.cat(faded)
    assert float(joined[-1]) == 0.0
    torch.testing.assert_close(joined[:-120], plain[:-120], rtol=0, atol=5e-5)


def test_state_stays_as_it_is(hift: CausalHift) -> None:
    state = hift.start(None, 1)
    sizes = []
    for _ in range(4):
        hift.step([state], [random_mel(50, 11)], [False])
        sizes.append(state.nbytes)
    assert len(set(sizes)) == 1
    # Nothing of a batch is held by its members.
    states = [hift.start(None, seed) for seed in range(3)]
    hift.step(states, [random_mel(50, 11)] * 3, [False] * 3)
    held = states[0].carried.tails.untyped_storage().nbytes()
    assert held == states[0].carried.tails.numel() * 4


def test_nothing_changes_when_a_step_fails(hift: CausalHift) -> None:
    good, bad = hift.start(PLAIN), hift.start(PLAIN)
    with pytest.raises(ValueError, match="speed"):
        hift.step([good, bad], [GOLDEN_MEL, GOLDEN_MEL], [True, True], [1.0, 3.0])
    assert torch.equal(hift.step([good], [GOLDEN_MEL], [True])[0], at_once(hift, GOLDEN_MEL))


def test_misuse(hift: CausalHift) -> None:
    state, mel = hift.start(), GOLDEN_MEL
    with pytest.raises(ValueError, match="once per step"):
        hift.step([state, state], [mel, mel], [False, False])
    with pytest.raises(ValueError, match="mel must be"):
        hift.step([state], [mel.T], [False])
    with pytest.raises(ValueError, match="zip"):
        hift.step([state], [mel, mel], [False])
    assert hift.step([state], [mel[:, :0]], [True])[0].shape == (0,)
    with pytest.raises(ValueError, match="ended"):
        hift.step([state], [mel], [True])

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cosyserve.benchmarks.parity.reference import vocoder as reference_vocoder
from cosyserve.benchmarks.parity.reference.vocoder import Phase, ReferenceChain
from cosyserve.engine.cosyvoice.vocoder import Hift, StreamPolicy, reach
from cosyserve.engine.cosyvoice.vocoder.streaming import step_states
from support.engines import goldens
from support.engines.vocoder import at_once, golden_hift, hift_config, in_steps, random_mel

EXACT = StreamPolicy(look_ahead=reach(hift_config()).right)
GOLDEN_MEL = goldens.tensors("b_flow_inference")["mel_offline"][0]
SCHEDULES = st.lists(st.integers(0, 40), min_size=1, max_size=8)
HIFT = golden_hift()


def rms(wave: Tensor) -> float:
    return float(wave.double().square().mean().sqrt())


def test_the_whole_is_the_offline_sound(hift: Hift) -> None:
    offline = reference_vocoder.inference(hift, GOLDEN_MEL[None], phase=Phase.EXACT)[0][0]
    whole = at_once(hift, GOLDEN_MEL)
    fade = StreamPolicy().fade_out
    assert whole.dtype == torch.float32
    torch.testing.assert_close(whole[:-fade], offline[:-fade], rtol=0, atol=1e-6)


@settings(max_examples=8)
@given(st.integers(1, 120), SCHEDULES, st.sampled_from([1.0, 0.5, 0.83, 1.3, 2.0]))
def test_chunked_is_whole_with_full_look_ahead(frames: int, hops: list[int], speed: float) -> None:
    mel = random_mel(frames, frames)
    whole = at_once(HIFT, mel, EXACT, seed=5, speed=speed)
    chunked = torch.cat(in_steps(HIFT, HIFT.start(EXACT, 5), mel, hops, speed))
    assert chunked.shape == (int(frames / speed) * 480,)
    torch.testing.assert_close(chunked, whole, rtol=0, atol=1e-4)


def test_chunked_is_whole_one_frame_at_a_time(hift: Hift) -> None:
    mel = random_mel(45, 8)
    waves = in_steps(hift, hift.start(EXACT, 1), mel, [1] * 45)
    assert [len(wave) for wave in waves] == [0] * EXACT.look_ahead + [480] * 24 + [21 * 480]
    torch.testing.assert_close(torch.cat(waves), at_once(hift, mel, EXACT, 1), rtol=0, atol=1e-4)


def test_a_look_ahead_that_grows_from_the_second_step_on(hift: Hift) -> None:
    """Only the first border is then approximate."""
    mel = GOLDEN_MEL[:, :150]
    state = hift.start(StreamPolicy())
    waves = hift.step([state], [mel[:, :40]], [False])
    state.policy = replace(state.policy, look_ahead=EXACT.look_ahead)
    for begin in range(40, 150, 22):
        waves += hift.step([state], [mel[:, begin : begin + 22]], [begin + 22 >= 150])
    error = (torch.cat(waves) - at_once(hift, mel, EXACT)).abs()
    border = (40 - StreamPolicy().look_ahead) * 480
    assert float(error[border + StreamPolicy().fade :].max()) < 1e-4


@pytest.mark.parametrize("mel", [GOLDEN_MEL, random_mel(200, 4)], ids=["golden", "random"])
def test_seams_are_far_below_the_reference_s(hift: Hift, mel: Tensor) -> None:
    hop = 50
    offline = reference_vocoder.inference(hift, mel[None], phase=Phase.EXACT)[0][0]
    hops = [hop] * (mel.shape[1] // hop)
    ours = torch.cat(in_steps(hift, hift.start(), mel, hops))
    chain = ReferenceChain(hift)
    pieces = [
        chain.feed(piece[None], final=index == len(hops) - 1)[0]
        for index, piece in enumerate(mel.split(hop, dim=1))
    ]
    theirs = torch.cat(pieces)
    end = len(offline) - StreamPolicy().fade_out
    our_error, their_error = ours[:end] - offline[:end], theirs[:end] - offline[:end]
    assert rms(our_error) < rms(their_error) / 10
    assert float(our_error.abs().max()) < float(their_error.abs().max()) / 2


def test_seam_error_falls_with_the_look_ahead(hift: Hift) -> None:
    offline = at_once(hift, GOLDEN_MEL)
    errors = []
    for look_ahead in (4, 8, 12, 19):
        state = hift.start(StreamPolicy(look_ahead=look_ahead))
        errors.append(rms(torch.cat(in_steps(hift, state, GOLDEN_MEL, [50] * 6)) - offline))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-5


@settings(max_examples=6)
@given(SCHEDULES, st.integers(1, 20))
def test_the_tail_is_the_offline_tail(hops: list[int], look_ahead: int) -> None:
    """Whatever the last hop: no sound is made of a few last frames alone."""
    mel = GOLDEN_MEL[:, :70]
    policy = StreamPolicy(look_ahead=look_ahead)
    waves = torch.cat(in_steps(HIFT, HIFT.start(policy), mel, hops))
    kept = min(look_ahead * 480 - policy.fade, 1200)
    assert kept >= 360
    torch.testing.assert_close(waves[-kept:], at_once(HIFT, mel, policy)[-kept:], rtol=0, atol=1e-4)


@pytest.mark.parametrize("last", [1, 2, 6, 30])
def test_the_last_50_ms_have_no_burst(hift: Hift, last: int) -> None:
    mel = random_mel(90, 3)
    # A decaying end.
    mel = mel - torch.linspace(0, 6, 30).repeat(3)[None] * (torch.arange(90) >= 60)
    waves = torch.cat(in_steps(hift, hift.start(seed=2), mel, [90 - last, last]))
    before, end = waves[-2400:-1200], waves[-1200:]
    assert rms(end) < 1.5 * rms(before)
    assert float(end.abs().max()) < 1.5 * float(before.abs().max())


def test_the_end_falls_to_zero(hift: Hift) -> None:
    plain = at_once(hift, GOLDEN_MEL, StreamPolicy(fade_out=0))
    faded = at_once(hift, GOLDEN_MEL, StreamPolicy(fade_out=120))
    assert float(faded[-1]) == 0.0
    assert torch.equal(faded[:-120], plain[:-120])
    assert bool((faded[-120:].abs() <= plain[-120:].abs()).all())


def test_a_batch_is_its_members(hift: Hift) -> None:
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
        torch.testing.assert_close(torch.cat(parts), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("speeds", [(1.0, 1.0, 1.0, 1.0), (1.0, 1.3, 0.8, 1.1)])
def test_windows_of_different_lengths_together(hift: Hift, speeds: tuple[float, ...]) -> None:
    """As off the CPU: aligned at their ends, what lies before a window is not heard."""
    mels = [random_mel(150, number) for number in range(4)]
    hops = [(40, 50, 60), (30, 20, 100), (100, 25, 25), (1, 90, 59)]
    sounds: list[list[Tensor]] = []
    for align in (False, True):
        states = [hift.start(EXACT, seed) for seed in range(4)]
        parts: list[list[Tensor]] = [[] for _ in states]
        for number in range(3):
            begins = [sum(each[:number]) for each in hops]
            new = [
                mel[:, at : at + each[number]]
                for mel, at, each in zip(mels, begins, hops, strict=True)
            ]
            with torch.inference_mode():
                waves = step_states(hift, states, new, [number == 2] * 4, speeds, align)
            for part, wave in zip(parts, waves, strict=True):
                part.append(wave)
        sounds.append([torch.cat(part) for part in parts])
    for apart, together in zip(*sounds, strict=True):
        torch.testing.assert_close(together, apart, rtol=0, atol=1e-4)


def test_states_are_independent_and_copies_are_too(hift: Hift) -> None:
    mel = random_mel(80, 6)
    state = hift.start(None, 3)
    hift.step([state], [mel[:, :40]], [False])
    branch = state.copy()
    straight = hift.step([state], [mel[:, 40:]], [True])[0]
    hift.step([hift.start(None, 9)], [random_mel(50, 7)], [True])
    assert torch.equal(hift.step([branch], [mel[:, 40:]], [True])[0], straight)


def test_noise_follows_its_seed(hift: Hift) -> None:
    mel = random_mel(40, 9)
    first, again, other = (at_once(hift, mel, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, at_once(hift, mel))


def test_phase_is_carried_exactly_over_a_minute(hift: Hift) -> None:
    """60 s in 200-frame steps; only the last second is compared, where all errors have added up."""
    mel = random_mel(150, 10).repeat(1, 20)
    state = hift.start(EXACT)
    wave = torch.cat(in_steps(hift, state, mel, [200] * 15)[-1:])
    f0 = hift.f0_predictor.precise(mel[None])
    source = reference_vocoder.source(hift, f0, phase=Phase.EXACT)[:, :, -100 * 480 :]
    expected = hift.decode(mel[None, :, -100:], source)[0]
    fade = EXACT.fade_out
    torch.testing.assert_close(wave[-24000:-fade], expected[-24000:-fade], rtol=0, atol=1e-4)


def test_state_stays_small(hift: Hift) -> None:
    state = hift.start(EXACT, 1)
    sizes = []
    for _ in range(6):
        hift.step([state], [random_mel(50, 11)], [False])
        sizes.append(state.nbytes)
    assert len(set(sizes[1:])) == 1
    assert sizes[-1] < 32_000


def test_nothing_changes_when_a_step_fails(hift: Hift) -> None:
    good, bad = hift.start(), hift.start()
    mel = random_mel(60, 12)
    expected = at_once(hift, mel)
    with pytest.raises(ValueError, match="speed"):
        hift.step([good, bad], [mel, mel], [True, True], [1.0, 3.0])
    assert torch.equal(hift.step([good], [mel], [True])[0], expected)


def test_misuse(hift: Hift) -> None:
    state = hift.start()
    mel = random_mel(10, 13)
    with pytest.raises(ValueError, match="once per step"):
        hift.step([state, state], [mel, mel], [False, False])
    with pytest.raises(ValueError, match="mel must be"):
        hift.step([state], [mel.T], [False])
    with pytest.raises(ValueError, match="zip"):
        hift.step([state], [mel, mel], [False])
    assert hift.step([state], [mel[:, :0]], [True])[0].shape == (0,)
    with pytest.raises(ValueError, match="ended"):
        hift.step([state], [mel], [True])


@pytest.mark.parametrize(
    "bad",
    [{"look_ahead": 0}, {"left_context": 0}, {"look_ahead": 1, "fade": 481}, {"fade_out": -1}],
)
def test_policies_that_cannot_be(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        StreamPolicy(**bad)

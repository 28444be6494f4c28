from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from cosyserve.engine.cosyvoice.vocoder.streaming import TimeScale
from support.engines.vocoder import random_mel

SPEEDS = st.floats(0.5, 2.0)


def fed(mel: Tensor, cuts: list[int], speeds: list[float]) -> Tensor:
    scale = TimeScale(mel[:, :0])
    made = []
    borders = [0, *cuts, mel.shape[1]]
    for index, (begin, end) in enumerate(itertools.pairwise(borders)):
        scale, out = scale.feed(mel[:, begin:end], speeds[index], index == len(cuts))
        made.append(out)
        assert scale.kept.shape[1] <= 3
    return torch.cat(made, dim=1)


@settings(max_examples=80)
@given(st.integers(1, 60), st.lists(st.integers(0, 60), max_size=60), SPEEDS)
def test_chunked_is_whole(frames: int, cuts: list[int], speed: float) -> None:
    mel = random_mel(frames, 0)
    cuts = sorted(min(cut, frames) for cut in cuts)
    whole = fed(mel, [], [speed])
    chunked = fed(mel, cuts, [speed] * (len(cuts) + 1))
    assert whole.shape[1] == int(frames / speed)
    torch.testing.assert_close(chunked, whole, rtol=0, atol=1e-5)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 20), SPEEDS), min_size=1, max_size=6), st.integers(0, 20))
def test_a_speed_that_changes(parts: list[tuple[int, float]], extra: int) -> None:
    """Each part may be cut further without a change of what comes out, and the length is about right."""
    frames = sum(count for count, _ in parts) + extra
    mel = random_mel(max(frames, 1), 1)[:, :frames]
    cuts = list(itertools.accumulate(count for count, _ in parts))
    speeds = [speed for _, speed in parts] + [parts[-1][1]]
    out = fed(mel, cuts, speeds)
    expected = sum(count / speed for count, speed in parts) + extra / speeds[-1]
    # What is pending at a change is made at the new speed.
    assert abs(out.shape[1] - expected) <= 2 + 3 * len(parts)
    doubled_cuts = sorted([*cuts, *cuts])
    doubled_speeds = [speed for speed in speeds for _ in range(2)][: len(doubled_cuts) + 1]
    torch.testing.assert_close(fed(mel, doubled_cuts, doubled_speeds), out, rtol=0, atol=1e-5)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 20), SPEEDS), min_size=1, max_size=8))
def test_time_neither_stops_nor_jumps_where_the_speed_changes(
    parts: list[tuple[int, float]],
) -> None:
    """A ramp comes out as the places that were read."""
    frames = sum(count for count, _ in parts)
    ramp = torch.arange(frames, dtype=torch.float64)[None]
    cuts = list(itertools.accumulate(count for count, _ in parts))[:-1]
    places = fed(ramp, cuts, [speed for _, speed in parts])[0]
    steps = places[1:-1].diff()
    assert bool((steps > 0.5 - 1e-6).all())
    assert bool((steps < 2.0 + 1e-6).all())


@pytest.mark.parametrize("frames", [13, 26, 130])
def test_a_whole_ratio_is_the_library_s_interpolation(frames: int) -> None:
    """Where floor(T / v) = T / v, the reference's scale is ours."""
    mel = random_mel(frames, 2)
    expected = F.interpolate(mel[None], size=int(frames / 1.3), mode="linear")[0]
    # The library computes places in fp32.
    torch.testing.assert_close(fed(mel, [], [1.3]), expected, rtol=0, atol=1e-4)


def test_normal_speed_holds_nothing_back() -> None:
    mel = random_mel(10, 3)
    scale, out = TimeScale(mel[:, :0]).feed(mel[:, :4], 1.0, False)
    assert torch.equal(out, mel[:, :4])
    assert torch.equal(scale.feed(mel[:, 4:], 1.0, True)[1], mel[:, 4:])


def test_back_to_normal_speed_in_several_pieces() -> None:
    mel = random_mel(30, 4)
    speeds = [2.0, 1.0, 1.0, 1.0]
    out = fed(mel, [10, 15, 20], speeds)
    assert out.shape[1] == 5 + 20
    torch.testing.assert_close(out[:, 5:], mel[:, 10:], rtol=0, atol=1e-6)


@pytest.mark.parametrize("speed", [0.0, 0.49, 2.01, float("nan"), float("inf")])
def test_a_speed_out_of_range(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        TimeScale(torch.zeros(80, 0)).feed(torch.zeros(80, 2), speed, False)

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.benchmarks.stats import Playback, Summary, gaps, play, summarize

numbers = st.floats(-1e6, 1e6)


def test_a_summary_of_known_numbers() -> None:
    summary = summarize([float(number) for number in range(101)])
    assert summary == Summary(101, 50.0, 50.0, 90.0, 95.0, 99.0, 100.0)
    assert summarize([7.0]) == Summary(1, *[7.0] * 6)
    assert summarize([]) is None


@given(st.lists(numbers, min_size=2, max_size=50))
def test_percentiles_are_interpolated_as_the_standard_library_does(values: list[float]) -> None:
    summary = summarize(values)
    assert summary is not None
    parts = statistics.quantiles(values, n=100, method="inclusive")
    ours = [summary.p50, summary.p90, summary.p95, summary.p99]
    assert ours == pytest.approx([parts[number - 1] for number in (50, 90, 95, 99)], abs=1e-6)


def test_gaps() -> None:
    assert gaps([1.0, 1.5, 3.0]) == [0.5, 1.5]
    assert gaps([1.0]) == []


def test_a_player_runs_dry_once_per_delay() -> None:
    # The second chunk is 0.5 s late; the third and fourth keep that distance and are not late again.
    assert play([10.0, 11.5, 12.5, 13.5], [1.0] * 4) == Playback((0.5, 0.0, 0.0), 14.5)
    assert play([0.0, 0.1, 0.2, 5.0], [1.0] * 4) == Playback((0.0, 0.0, 2.0), 6.0)
    assert play([3.0], [1.0]) == Playback((), 4.0)
    assert play([], []) == Playback((), 0.0)


pieces = st.lists(st.tuples(st.floats(0, 3), st.floats(0.01, 3)), min_size=1, max_size=30)


@given(pieces)
def test_playing_takes_the_speech_and_the_silences(steps: list[tuple[float, float]]) -> None:
    arrivals, now = [], 0.0
    for step, _ in steps:
        now += step
        arrivals.append(now)
    lengths = [length for _, length in steps]
    playback = play(arrivals, lengths)
    dry = playback.silences
    assert all(silence >= 0 for silence in dry)
    end = playback.ends_at
    assert end == pytest.approx(arrivals[0] + sum(lengths) + sum(dry))
    assert end >= arrivals[-1] + lengths[-1] - 1e-9
    if not any(dry):
        assert end == pytest.approx(arrivals[0] + sum(lengths))
    else:  # the last silence ended with an arrival, and from there all was played without a break
        last = max(number for number, silence in enumerate(dry) if silence > 0) + 1
        assert end == pytest.approx(arrivals[last] + sum(lengths[last:]))

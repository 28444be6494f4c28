import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.benchmarks.stats import Summary, gaps, percentile, slope, summarize, underruns

numbers = st.floats(-1e6, 1e6)
some = st.lists(numbers, min_size=1, max_size=50)


def test_percentiles_of_known_numbers() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 50) == 2.5
    assert percentile([4.0, 1.0, 3.0, 2.0], 0) == 1.0
    assert percentile([4.0, 1.0, 3.0, 2.0], 100) == 4.0
    assert percentile(range(101), 99) == 99
    assert percentile([7.0], 99) == 7.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@given(st.lists(numbers, min_size=2, max_size=50))
def test_percentiles_agree_with_the_standard_librarys(values: list[float]) -> None:
    quartiles = statistics.quantiles(values, n=4, method="inclusive")
    ours = [percentile(values, percent) for percent in (25, 50, 75)]
    assert ours == pytest.approx(quartiles, rel=1e-6, abs=1e-6)


@given(some, st.floats(0, 100), st.floats(0, 100))
def test_percentiles_are_ordered_and_within_the_values(
    values: list[float], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    slack = 1e-6
    assert min(values) <= percentile(values, low) <= percentile(values, high) + slack
    assert percentile(values, high) <= max(values)


def test_a_summary_of_known_numbers() -> None:
    summary = summarize([float(number) for number in range(101)])
    assert summary == Summary(101, 50.0, 50.0, 90.0, 95.0, 99.0, 100.0)
    assert summarize([]) is None


def test_gaps() -> None:
    assert gaps([1.0, 1.5, 3.0]) == [0.5, 1.5]
    assert gaps([1.0]) == []


def test_a_player_runs_dry_once_per_delay() -> None:
    # The second chunk is 0.5 s late; the third and fourth keep that distance and are not late again.
    assert underruns([10.0, 11.5, 12.5, 13.5], [1.0, 1.0, 1.0, 1.0]) == [0.5, 0.0, 0.0]
    assert underruns([0.0, 0.1, 0.2, 5.0], [1.0, 1.0, 1.0, 1.0]) == [0.0, 0.0, 2.0]
    assert underruns([3.0], [1.0]) == []
    assert underruns([], []) == []


pieces = st.lists(st.tuples(st.floats(0, 3), st.floats(0.01, 3)), min_size=1, max_size=30)


@given(pieces)
def test_playing_takes_the_speech_and_the_silences(steps: list[tuple[float, float]]) -> None:
    arrivals, now = [], 0.0
    for step, _ in steps:
        now += step
        arrivals.append(now)
    lengths = [length for _, length in steps]
    dry = underruns(arrivals, lengths)
    assert all(silence >= 0 for silence in dry)
    end = arrivals[0] + sum(lengths) + sum(dry)
    assert end >= arrivals[-1] + lengths[-1] - 1e-9
    if not any(dry):
        assert end == pytest.approx(arrivals[0] + sum(lengths))
    else:  # the last silence ended with an arrival, and from there all was played without a break
        last = max(number for number, silence in enumerate(dry) if silence > 0) + 1
        assert end == pytest.approx(arrivals[last] + sum(lengths[last:]))


@given(numbers, st.floats(-1e3, 1e3), st.lists(st.integers(0, 1000), min_size=2, unique=True))
def test_the_slope_of_a_line_is_its_slope(start: float, rise: float, xs: list[int]) -> None:
    ys = [start + rise * x for x in xs]
    assert slope(xs, ys) == pytest.approx(rise, rel=1e-6, abs=1e-6)


def test_the_slope_of_a_point_is_none() -> None:
    assert slope([2.0, 2.0], [1.0, 5.0]) == 0.0

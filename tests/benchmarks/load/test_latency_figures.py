import pytest

from cosyserve.benchmarks.load.generator import LoadResult
from cosyserve.benchmarks.load.latency import HEAD, figures, row
from cosyserve.benchmarks.load.streams import TaskRecord

SMOOTH = TaskRecord(0, 10.0, 10.1, 10.2, [10.15, 10.65, 11.65], [1.0, 1.0, 1.0], 99)
BROKEN = TaskRecord(1, 20.0, 20.1, 20.1, [20.4, 21.6], [1.0, 1.0], 66)
HASTY = TaskRecord(1, 30.0, 30.0, 30.0, [30.1, 31.19], [1.0, 1.0], 66)
FAILED = TaskRecord(1, 40.0, 40.1, 40.1, error="Throttled")


def test_figures_of_known_records() -> None:
    level = figures(2, LoadResult([SMOOTH, BROKEN, HASTY, FAILED], 10.0, 0.5, 1))
    assert (level.streams, level.tasks, level.failed) == (2, 4, 1)
    assert level.errors == {"Throttled": 1}
    assert level.first_package_from_run is not None
    assert level.first_package_from_run.p50 == pytest.approx(0.15)
    assert level.first_package_from_first_text is not None
    assert level.first_package_from_first_text.max == pytest.approx(0.3)
    assert level.first_package_from_last_text is not None
    assert level.first_package_from_last_text.p50 == pytest.approx(0.1)
    assert level.gap is not None
    assert level.gap.count == 4
    assert level.gap.max == pytest.approx(1.2)
    assert level.real_time_factor is not None
    assert level.real_time_factor.max == pytest.approx(1.5 / 2)
    assert level.continuity == 2 / 4  # BROKEN was dry for 200 ms, HASTY only for 90 ms
    assert level.throughput == pytest.approx(0.7)
    assert len(row(level)) == len(HEAD)


def test_figures_without_any_success() -> None:
    level = figures(1, LoadResult([FAILED], 1.0, 0.1, 1))
    assert level.first_package_from_run is None
    assert level.continuity == 0.0
    assert "-" in row(level)
    assert figures(1, LoadResult([], 1.0, 0.1, 1)).continuity == 0.0

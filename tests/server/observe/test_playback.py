"""The listener's clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.server.observe.metrics import UNDERRUN_TOLERANCE, PlaybackClock


def underruns(*chunks: tuple[float, float]) -> int:
    clock = PlaybackClock()
    late = [clock.chunk_sent(at, seconds) for at, seconds in chunks]
    assert sum(late) == clock.underruns
    return clock.underruns


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([], 0),
        ([(100.0, 0.5)], 0),
        ([(0.0, 1.0), (0.5, 1.0), (2.0, 1.0)], 0),  # just in time
        ([(0.0, 1.0), (1.09, 1.0)], 0),  # dry, but within what is let pass
        ([(0.0, 1.0), (1.11, 1.0)], 1),
        ([(0.0, 1.0), (2.0, 1.0), (2.5, 1.0), (4.05, 1.0)], 1),  # playback moved on by the wait
        ([(0.0, 1.0), (2.0, 1.0), (4.0, 1.0)], 2),
        ([(0.0, 10.0), (0.1, 10.0), (20.2, 1.0)], 1),  # what came early is played first
    ],
)
def test_underruns(chunks: list[tuple[float, float]], expected: int) -> None:
    assert underruns(*chunks) == expected


@given(st.lists(st.floats(0.01, 2.0), min_size=1), st.floats(0, 1e6))
def test_chunks_at_the_pace_of_playing_never_run_dry(seconds: list[float], start: float) -> None:
    due, chunks = start, []
    for length in seconds:
        chunks.append((due, length))
        due += length
    assert underruns(*chunks) == 0


@given(st.lists(st.floats(0.01, 2.0), min_size=1, max_size=20))
def test_every_gap_beyond_the_tolerance_counts(seconds: list[float]) -> None:
    at, chunks = 0.0, []
    for length in seconds:
        chunks.append((at, length))
        at += length + UNDERRUN_TOLERANCE * 1.5
    assert underruns(*chunks) == len(seconds) - 1

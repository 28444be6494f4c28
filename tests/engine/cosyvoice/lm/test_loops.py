from __future__ import annotations

import random

import pytest

from cosyserve.engine.cosyvoice.lm.sampling import LONGEST_CYCLE, LoopDetector


def found_at(detector: LoopDetector, tokens: list[int]) -> int | None:
    """How many tokens it took."""
    for count, token in enumerate(tokens, 1):
        if detector.add(token):
            return count
    return None


@pytest.mark.parametrize("period", [1, 2, 3, 7, 25, LONGEST_CYCLE])
def test_a_cycle_is_found_when_it_fills_the_limit(period: int) -> None:
    cycle = [1000 + i for i in range(period)]
    tokens = list(range(30)) + cycle * 200
    assert found_at(LoopDetector(100), tokens) == 30 + max(100, 3 * period)


def test_a_cycle_that_stops_in_time_is_none() -> None:
    tokens = ([5] * 99 + [6]) * 3
    # 99 equal tokens and another one, again and again, are a cycle of 100: longer than any looked for.
    assert found_at(LoopDetector(100), tokens) is None


def test_speech_without_cycles_is_none() -> None:
    numbers = random.Random(1)
    assert found_at(LoopDetector(100), [numbers.randrange(40) for _ in range(5000)]) is None


def test_a_longer_cycle_is_none() -> None:
    assert found_at(LoopDetector(100), list(range(LONGEST_CYCLE + 1)) * 20) is None


def test_a_limit_of_zero_never_finds_one() -> None:
    assert found_at(LoopDetector(0), [1] * 5000) is None

from __future__ import annotations

import pytest

from cosyserve.engine.cosyvoice.lm.vllm.stream import ShareMeter


def test_shares_add_up_to_the_time_in_which_any_was_under_way() -> None:
    now = [10.0]
    meter = ShareMeter(lambda: now[0])
    first = meter.begin()
    now[0] += 1.0  # the first alone
    second = meter.begin()
    now[0] += 2.0  # both
    ended = meter.end(first)
    now[0] += 4.0  # the second alone
    other = meter.end(second)
    now[0] += 8.0  # nobody
    third = meter.begin()
    now[0] += 0.5
    assert ended == pytest.approx(2.0)
    assert other == pytest.approx(5.0)
    assert meter.end(third) == pytest.approx(0.5)
    assert meter.busy == pytest.approx(7.5)
    assert meter.running == 0

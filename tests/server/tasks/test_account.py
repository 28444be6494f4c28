from __future__ import annotations

import pytest

from cosyserve.engine.interface import Work
from cosyserve.server.tasks.account import TaskAccount
from cosyserve.server.tasks.synthesis import SpokenChunk

WORK = Work(queue=0.1, lm=0.2, flow=0.3, vocoder=0.4, tokens=25)


def chunk(seconds: float = 0.5, size: int = 100) -> SpokenChunk:
    return SpokenChunk(bytes(size), seconds, WORK, encode_time=0.01)


def test_costs_count_from_the_first_text_then_from_event_to_event() -> None:
    account = TaskAccount(debug=False)
    account.text(0, now=1.0)
    account.text(2, now=10.0)
    account.text(1, now=11.0)
    first = account.chunk(chunk(), now=12.0)
    second = account.chunk(chunk(), now=12.25)
    assert (first.server_cost_time, second.server_cost_time) == (2.0, 0.25)
    assert first.generate_time == pytest.approx(0.9)
    assert first.stages is None
    assert account.characters == 3
    totals = account.totals(now=99.0)
    assert totals.first_package_time == 2.0
    assert totals.speech_len == 1.0
    assert totals.rtf == pytest.approx(2.25)


def test_debug_adds_the_stages() -> None:
    account = TaskAccount(debug=True)
    account.text(1, now=0.0)
    stages = account.chunk(chunk(), now=1.0).stages
    assert stages is not None
    assert (stages.queue_time, stages.lm_time, stages.flow_time) == (0.1, 0.2, 0.3)
    assert (stages.vocoder_time, stages.encode_time, stages.tokens) == (0.4, 0.01, 25)


def test_silence_without_any_text_costs_nothing_before_it() -> None:
    account = TaskAccount(debug=False)
    assert account.chunk(chunk(0.02), now=5.0).server_cost_time == 0.0
    assert account.totals(now=6.0).first_package_time == 0.0


def test_a_task_without_speech_has_totals() -> None:
    account = TaskAccount(debug=False)
    account.text(7, now=0.0)
    assert account.totals(now=3.0).rtf == 0.0
    assert account.characters == 7

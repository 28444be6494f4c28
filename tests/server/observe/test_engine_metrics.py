"""The engines' statistics against their documentation; for CosyVoice 2 see tests/engine/cosyvoice."""

from __future__ import annotations

from cosyserve.engine.cosyvoice.statistics import STATISTICS
from cosyserve.engine.embedded.engine import EmbeddedEngine
from cosyserve.server.observe.metrics import ENGINE_HELP, ENGINE_METRICS


def test_a_metric_is_documented_once() -> None:
    assert len(ENGINE_HELP) == sum(map(len, ENGINE_METRICS.values()))


def test_the_embedded_engine_has_what_is_documented() -> None:
    documented = ENGINE_METRICS["Every engine"].keys() | ENGINE_METRICS["Embedded engine"].keys()
    assert EmbeddedEngine().stats().keys() == documented


def test_every_statistic_of_cosyvoice_is_documented() -> None:
    assert STATISTICS.keys() == ENGINE_HELP.keys() - ENGINE_METRICS["Embedded engine"].keys()

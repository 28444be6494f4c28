"""The engines' statistics against their documentation."""

from __future__ import annotations

from pathlib import Path

from cosyserve.engine.cosyvoice.lm.vllm.host import EngineHost
from cosyserve.engine.cosyvoice.lm.vllm.options import VllmOptions
from cosyserve.engine.embedded.engine import EmbeddedEngine
from cosyserve.server.observe.metrics import ENGINE_HELP, ENGINE_METRICS
from support.engines.cosyvoice import running
from support.engines.tiny_checkpoint import build

EVERY, EMBEDDED, COSYVOICE, TORCH, VLLM = ENGINE_METRICS.values()


def test_a_metric_is_documented_once() -> None:
    assert len(ENGINE_HELP) == sum(map(len, ENGINE_METRICS.values()))


def test_the_embedded_engine_has_what_is_documented() -> None:
    assert EmbeddedEngine().stats().keys() == EVERY.keys() | EMBEDDED.keys()


async def test_cosyvoice_has_what_is_documented(tmp_path: Path) -> None:
    async with running(build(tmp_path), lm_backend="torch") as engine:
        assert engine.stats().keys() == EVERY.keys() | COSYVOICE.keys() | TORCH.keys()


def test_what_the_host_of_vllm_counts_is_documented() -> None:
    assert EngineHost(VllmOptions()).stats().keys() <= VLLM.keys()

"""Every statistic has a help text, whichever backend counts it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import pytest

from cosyserve.engine.cosyvoice.config import LmConfig
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder
from cosyserve.engine.cosyvoice.lm.torch_backend import TorchSpeechLM
from cosyserve.engine.cosyvoice.lm.vllm.admission import KvBudget, KvCapacity
from cosyserve.engine.cosyvoice.lm.vllm.backend import VllmSpeechLM
from cosyserve.engine.cosyvoice.lm.vllm.host import EngineHost, _budget_stats
from cosyserve.engine.cosyvoice.lm.vllm.options import VllmOptions
from cosyserve.engine.cosyvoice.scheduling.device import DeviceThread
from cosyserve.engine.cosyvoice.statistics import STATISTICS


async def torch_names() -> Mapping[str, float]:
    def load() -> LmDecoder:
        raise AssertionError("nothing is started")

    thread = DeviceThread()
    try:
        return TorchSpeechLM(load, thread).stats()
    finally:
        await thread.close()


async def vllm_names() -> Mapping[str, float]:
    lm = VllmSpeechLM(EngineHost(VllmOptions()), LmConfig(), sessions=True)
    return {**lm.stats(), **_budget_stats(KvBudget(KvCapacity(1, 1, 1)))}


async def test_the_table_holds_all_that_the_backends_count() -> None:
    counted = {**await torch_names(), **await vllm_names()}
    unread = {name for name, statistic in STATISTICS.items() if statistic.read is None}
    assert set(counted) == unread


@pytest.mark.parametrize("name", STATISTICS)
def test_help_is_a_sentence(name: str) -> None:
    assert STATISTICS[name].help.endswith(".")


def test_the_table_needs_no_torch() -> None:
    code = (
        "import sys, cosyserve.engine.cosyvoice.statistics as s; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

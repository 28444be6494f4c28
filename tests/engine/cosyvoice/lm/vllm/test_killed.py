"""Real kills: of vLLM's engine core and of its worker while eight streams are in it."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cosyserve.engine.cosyvoice.lm import LmFailed, LmPrompt, SamplingOptions
from cosyserve.engine.cosyvoice.lm.vllm.backend import VllmSpeechLM
from cosyserve.engine.interface import EngineNotReady
from support.engines import vllm
from support.tools.process_tree import descendants

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

HOW = SamplingOptions(seed=1, loop_seconds=0, min_ratio=19, max_ratio=20)
TEXT = list(range(5, 12))
STARTED = 300.0
"""Seconds for an engine to start again on a busy machine, generously."""


def vllm_processes() -> dict[str, int]:
    """By name, the youngest of each: other tests may have an engine of their own."""
    found = descendants(os.getpid())
    return {name: pid for pid, name in sorted(found.items()) if name.startswith("VLLM::")}


async def speaking(lm: VllmSpeechLM, parks: bool, begun: asyncio.Event) -> None:
    stream = lm.open(LmPrompt(), HOW)
    await stream.feed(TEXT)
    if not parks:
        await stream.finish()
    async for _ in stream:
        begun.set()


async def until_ready(lm: VllmSpeechLM) -> None:
    async with asyncio.timeout(STARTED):
        while not lm.ready:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def kill_while_eight_speak(lm: VllmSpeechLM, victim: str) -> None:
    """Four of them wait for text; all fail within a second, and nothing of them is left."""
    begun = [asyncio.Event() for _ in range(8)]
    tasks = [asyncio.create_task(speaking(lm, i % 2 == 0, begun[i])) for i in range(8)]
    await asyncio.gather(*(event.wait() for event in begun))
    os.kill(vllm_processes()[victim], signal.SIGKILL)
    async with asyncio.timeout(1.0):
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, LmFailed) for end in ends), ends
    assert not lm.ready
    with pytest.raises(EngineNotReady, match="started again"):
        lm.open(LmPrompt(), HOW)
    await until_ready(lm)
    stats = lm.stats()
    assert stats["lm_streams"] == 0
    assert stats["lm_streams_inside"] == 0
    assert stats["lm_cache_blocks_free"] == stats["lm_cache_blocks"]
    stream = lm.open(LmPrompt(), HOW)
    await stream.feed(TEXT)
    await stream.finish()
    assert sum([len(tokens) async for tokens in stream]) >= 19 * len(TEXT)


@pytest.fixture
def no_tracebacks() -> Iterator[None]:
    """pytest keeps the records that it sees, with their tracebacks, and so a dead engine's sockets."""

    def bare(record: logging.LogRecord) -> bool:
        record.exc_info = None
        return True

    logger = logging.getLogger("vllm.v1.engine.async_llm")
    logger.addFilter(bare)
    yield
    logger.removeFilter(bare)


@pytest.mark.usefixtures("no_tracebacks")
async def test_core_and_worker_killed_while_eight_streams_speak(tmp_path: Path) -> None:
    before = descendants(os.getpid())
    async with vllm.running(vllm.golden_checkpoint(), tmp_path) as lm:
        await kill_while_eight_speak(lm, "VLLM::EngineCor")
        gc.collect()
        files = len(os.listdir("/proc/self/fd"))
        await kill_while_eight_speak(lm, "VLLM::Worker")
        stats = lm.stats()
        assert stats["lm_engine_deaths_total"] == stats["lm_engine_rebuilds_total"] == 2
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) <= files
    left = {
        pid: name
        for pid, name in descendants(os.getpid()).items()
        if pid not in before and name.startswith("VLLM::")
    }
    assert not left

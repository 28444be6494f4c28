"""A cache that is far too small for all: nobody stalls, and everybody says what they would have said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from cosyserve.engine.cosyvoice.lm import LmPrompt, SamplingOptions
from cosyserve.engine.cosyvoice.lm.vllm.backend import VllmSpeechLM
from cosyserve.engine.cosyvoice.lm.vllm.host import vllm_metrics
from support.engines import vllm

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

BLOCKS = 28
"""Of 32 ids, one of which vLLM keeps: room for three streams that may come to 256 ids.

Four parked streams would fill them, and none could go on: vLLM by itself stands still for ever then.
"""
TALKING = 120.0
"""Seconds in which all of them have to have spoken, on a busy machine."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[VllmSpeechLM]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # a process less, which starts sooner
        async with vllm.running(
            vllm.golden_checkpoint(),
            tmp_path_factory.mktemp("models"),
            max_model_len=256,
            args={"num_gpu_blocks_override": BLOCKS},
            park_seconds=0.2,
        ) as lm:
            yield lm


def how(seed: int) -> SamplingOptions:
    return SamplingOptions(seed=seed, loop_seconds=0, max_ratio=5)


def prompt(seed: int) -> LmPrompt:
    """Another one each time, so that no blocks are shared; with it a parked stream holds six."""
    return LmPrompt((seed, *range(39)), tuple(range(40, 160)))


async def say(lm: VllmSpeechLM, seed: int) -> list[int]:
    """The whole text at once."""
    stream = lm.open(prompt(seed), how(seed))
    await stream.feed(range(100, 112))
    await stream.finish()
    return [token async for tokens in stream for token in tokens]


async def idle(lm: VllmSpeechLM) -> dict[str, float]:
    """Its numbers, when the last streams have left: a stream's end is told before it has."""
    async with asyncio.timeout(TALKING):
        while lm.stats()["lm_streams"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return dict(lm.stats())


async def test_the_book_knows_vllms_cache(crowded: VllmSpeechLM) -> None:
    stats = crowded.stats()
    assert stats["lm_cache_blocks"] == stats["lm_cache_blocks_free"] == BLOCKS - 1


async def test_parked_streams_give_way_and_then_say_what_they_had_to_say(
    crowded: VllmSpeechLM,
) -> None:
    async with asyncio.timeout(TALKING):
        alone = {seed: await say(crowded, seed) for seed in range(9)}
        recalled = crowded.stats()["lm_streams_recalled_total"]
        parked = [crowded.open(prompt(seed), how(seed)) for seed in range(5)]
        for stream in parked:
            await stream.feed(range(100, 105))
        firsts = await asyncio.gather(*(anext(aiter(stream)) for stream in parked))
        assert crowded.stats()["lm_streams_recalled_total"] - recalled >= 2
        others = await asyncio.gather(*(say(crowded, seed) for seed in range(5, 9)))
        assert others == [alone[seed] for seed in range(5, 9)]
        for stream in parked:
            await stream.feed(range(105, 112))
            await stream.finish()
        for seed, stream in enumerate(parked):
            rest = [token async for tokens in stream for token in tokens]
            assert [*firsts[seed], *rest] == alone[seed]
    stats = await idle(crowded)
    assert stats["lm_cache_blocks_free"] == stats["lm_cache_blocks"]
    assert stats["lm_streams_inside"] == stats["lm_streams_waiting"] == 0


async def test_streams_that_are_cancelled_while_they_wait_hold_up_nobody(
    crowded: VllmSpeechLM,
) -> None:
    streams = [crowded.open(prompt(seed), how(seed)) for seed in range(8)]
    for stream in streams:
        await stream.feed(range(100, 105))
    await anext(aiter(streams[0]))
    async with asyncio.timeout(TALKING):
        await asyncio.gather(*(stream.cancel() for stream in streams))
        assert await say(crowded, 1)
    stats = await idle(crowded)
    assert stats["lm_cache_blocks_free"] == stats["lm_cache_blocks"]


async def test_vllm_never_had_to_preempt_and_its_counts_can_be_read(
    crowded: VllmSpeechLM,
) -> None:
    await say(crowded, 1)
    samples = {sample.name: sample.value for family in vllm_metrics() for sample in family.samples}
    assert samples["vllm:num_preemptions_total"] == 0
    assert samples["vllm:generation_tokens_total"] > 0

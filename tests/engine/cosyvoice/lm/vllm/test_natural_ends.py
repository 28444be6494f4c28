"""An engine in which fills and ends come by themselves, with real head sizes and little room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import pytest_asyncio
import torch

from cosyserve.engine.cosyvoice.checkpoint import Checkpoint, from_state_dicts, load_llm
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder
from cosyserve.engine.cosyvoice.lm.interface import LmNotFinite, LmPrompt, SamplingOptions
from cosyserve.engine.cosyvoice.lm.qwen2 import TEXT_EMBEDDING
from cosyserve.engine.cosyvoice.lm.torch_backend import TorchSpeechLM
from cosyserve.engine.cosyvoice.lm.vllm.backend import VllmSpeechLM
from support.engines import tiny_checkpoint, tiny_lm, vllm
from support.engines.tiny_lm import read, say, text

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

SIZES = replace(
    tiny_checkpoint.TINY,
    lm=replace(
        tiny_checkpoint.TINY.lm, hidden_size=256, num_attention_heads=4, num_key_value_heads=2
    ),
)
BROKEN = 7
"""A text id whose embedding is not a number."""
NO_PROMPT = LmPrompt()
PLACES = 4
PATIENCE = 0.05
SEEDED = SamplingOptions(seed=11, loop_seconds=0, max_ratio=8)
GREEDY = replace(SEEDED, greedy=True)


def checkpoint() -> Checkpoint:
    weights = tiny_checkpoint.weights("llm", 5, SIZES)
    weights["llm_decoder.bias"][-3:] = torch.tensor([1.0, -20.0, 4.5])
    weights[TEXT_EMBEDDING][BROKEN] = float("nan")
    return from_state_dicts(SIZES, llm=weights)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[VllmSpeechLM]:
    async with AsyncExitStack() as stack:
        with vllm.one_process():
            engine = vllm.running(
                checkpoint(),
                tmp_path_factory.mktemp("models"),
                max_num_seqs=PLACES,
                patience=PATIENCE,
                extra={"max_num_batched_tokens": 48},
            )
            running = await stack.enter_async_context(engine)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def torch_lm() -> AsyncIterator[TorchSpeechLM]:
    async with tiny_lm.running(LmDecoder(load_llm(checkpoint()))) as running:
        yield running


async def test_early_fills_and_ends_come_as_in_torch(
    small: VllmSpeechLM, torch_lm: TorchSpeechLM
) -> None:
    early = ended = 0
    for number in range(12):
        base = GREEDY if number % 3 == 0 else replace(SEEDED, seed=number)
        how = replace(base, bistream=number % 4 != 3)
        prompted = LmPrompt(tuple(range(50, 50 + number)), tuple(range(12 * number)))
        prompt = prompted if number % 2 else NO_PROMPT
        ids = text(17 + number, 100 + 10 * number)
        plan = torch_lm.compose(prompt, how)
        stream = torch_lm.open_composition(plan, how)
        await stream.feed(ids)
        await stream.finish()
        wanted = await read(stream)
        assert await say(small, ids, how, prompt) == wanted
        groups = "".join("|" if i == plan.ids.fill else "." for i in plan.decoded).split("|")
        if prompt is NO_PROMPT:  # else the prompt may leave fewer places
            early += sum(1 for group in groups[:-1] if len(group) < 15)
        ended += len(wanted) < len(ids) * how.max_ratio
    assert early > 5
    assert ended > 9


async def test_more_streams_than_places_that_all_wait_for_text(
    small: VllmSpeechLM, torch_lm: TorchSpeechLM
) -> None:
    """Those that wait give way; what they say stays the same."""
    cases = [(text(11, 100 + 9 * i), replace(SEEDED, seed=i), NO_PROMPT) for i in range(3 * PLACES)]
    wanted = [await say(torch_lm, *case) for case in cases]
    before = small.stats()
    streams = [small.open(prompt, how) for _, how, prompt in cases]
    for stream, (ids, *_) in zip(streams, cases, strict=True):
        await stream.feed(ids[:5])
    async with asyncio.timeout(60):
        while small.stats()["lm_chunks_total"] < before["lm_chunks_total"] + len(cases):  # noqa: ASYNC110
            await asyncio.sleep(PATIENCE)  # everybody has their turn, one after the other
    for stream, (ids, *_) in zip(streams, cases, strict=True):
        await stream.feed(ids[5:])
        await stream.finish()
    assert await asyncio.gather(*(read(stream) for stream in streams)) == wanted
    await asyncio.gather(*(stream.cancel() for stream in streams))
    after = small.stats()
    assert after["lm_requests_total"] > before["lm_requests_total"] + len(cases)
    assert after["lm_streams_recalled_total"] > before["lm_streams_recalled_total"]
    assert after["lm_cache_blocks_free"] == after["lm_cache_blocks"]


@pytest.mark.parametrize("how", [GREEDY, SEEDED], ids=["greedy", "seeded"])
async def test_numbers_that_overflow_fail_their_stream_only(
    small: VllmSpeechLM, torch_lm: TorchSpeechLM, how: SamplingOptions
) -> None:
    wanted = await say(torch_lm, text(9), how, NO_PROMPT)
    failing = asyncio.create_task(say(small, [*text(3), BROKEN, 8, 9], how, NO_PROMPT))
    beside = asyncio.create_task(say(small, text(9), how, NO_PROMPT))
    with pytest.raises(LmNotFinite):
        await failing
    assert await beside == wanted
    # Its place in the cache, which held NaNs, serves the next streams.
    await small.host.engine().reset_prefix_cache()
    again = await asyncio.gather(*(say(small, text(9), how, NO_PROMPT) for _ in range(PLACES)))
    assert again == [wanted] * PLACES

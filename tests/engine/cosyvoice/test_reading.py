"""A task's text on its way to speech tokens, with an LM that says what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cosyserve.engine.cosyvoice.families import COSYVOICE2, COSYVOICE3, Family
from cosyserve.engine.cosyvoice.lm import LmPrompt, SamplingOptions
from cosyserve.engine.cosyvoice.reading import Conditioning, TaskReader
from cosyserve.engine.cosyvoice.scheduling.chunker import HopPolicy, TokenChunker
from cosyserve.engine.cosyvoice.text import PlainNormalizer, TextFrontend
from support.engines.tiny_tokenizer import tiny_tokenizer

SAID = [[7, 1, 1], [1, 2, 2, 2, 2], [9], [28] * 6, [1]]
SPOKEN = [7, 1, 1, 1, 2, 2, 9, 28, 28, 28, 28, 28]


class ScriptedStream:
    seconds = 0.0

    async def feed(self, text_ids: Sequence[int]) -> None: ...

    async def finish(self) -> None: ...

    async def cancel(self) -> None: ...

    async def __aiter__(self) -> AsyncIterator[Sequence[int]]:
        for tokens in SAID:
            yield tokens


class ScriptedLm:
    ready = True

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def open(self, prompt: LmPrompt, options: SamplingOptions) -> ScriptedStream:
        return ScriptedStream()

    def stats(self) -> Mapping[str, float]:
        return {}


async def spoken(family: Family) -> list[list[int]]:
    """The tokens of each of two utterances."""
    chunkers: list[TokenChunker] = []

    def new_chunker() -> TokenChunker:
        policy = HopPolicy(longest_hop_tokens=1000)
        chunkers.append(TokenChunker(policy, chunk=1000, look_ahead=3, prompt_tokens=0))
        return chunkers[-1]

    tasks: list[asyncio.Task[None]] = []

    def start(work: Coroutine[Any, Any, None]) -> None:
        tasks.append(asyncio.create_task(work))

    conditioning = Conditioning(
        lm_prompt=LmPrompt,
        frontend=TextFrontend(tiny_tokenizer(), PlainNormalizer()),
        sampling=SamplingOptions(),
        speed=1.0,
        seed=1,
        silence=family.silence,
    )
    with ThreadPoolExecutor(1) as threads:
        reader = TaskReader(
            ScriptedLm(), conditioning, new_chunker, threads, 2, start, lambda: None
        )
        reader.feed("hello world and two.")
        reader.flush()
        reader.feed("hello world and two.")
        reader.finish()
        await reader.run()
        await asyncio.gather(*tasks)
    found = []
    for chunker in chunkers:
        hop = chunker.take(0.0)
        assert hop is not None
        found.append(list(hop.tokens))
    return found


async def test_long_silence_is_not_spoken() -> None:
    """Each utterance counts its own."""
    assert await spoken(COSYVOICE3) == [SPOKEN, SPOKEN]


async def test_cosyvoice_2_speaks_all() -> None:
    whole = [token for tokens in SAID for token in tokens]
    assert await spoken(COSYVOICE2) == [whole, whole]

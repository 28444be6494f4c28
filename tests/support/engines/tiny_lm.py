"""The golden vectors' tiny speech LM, ready to run. Its stop ids are all but impossible to draw."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import torch

from cosyserve.benchmarks.parity.reference.config import model_config
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder
from cosyserve.engine.cosyvoice.lm.interface import (
    LmPrompt,
    SamplingOptions,
    SpeechLM,
    SpeechTokenStream,
)
from cosyserve.engine.cosyvoice.lm.qwen2 import Qwen2Lm
from cosyserve.engine.cosyvoice.lm.torch_backend import TorchLmSettings, TorchSpeechLM
from cosyserve.engine.cosyvoice.scheduling.device import DeviceThread
from support.engines import goldens

PROMPT = LmPrompt(tuple(range(7)), tuple(range(40, 62)))
GREEDY = SamplingOptions(greedy=True, loop_seconds=0, max_ratio=5)
SEEDED = SamplingOptions(seed=11, loop_seconds=0, max_ratio=5)


def model(stop_bias: Sequence[float] | None = None) -> Qwen2Lm:
    """stop_bias: of the head's last three ids, in place of the golden -20."""
    with torch.device("meta"):
        built = Qwen2Lm(model_config(goldens.config()).lm)
    weights = goldens.weights("llm")
    if stop_bias is not None:
        weights["llm_decoder.bias"][-3:] = torch.tensor(stop_bias)
    built.load_state_dict(weights, strict=True, assign=True)
    return built


@asynccontextmanager
async def running(
    decoder: LmDecoder | None = None, settings: TorchLmSettings | None = None
) -> AsyncIterator[TorchSpeechLM]:
    thread = DeviceThread()
    lm = TorchSpeechLM(lambda: decoder or LmDecoder(model()), thread, settings)
    try:
        await lm.start()
        yield lm
    finally:
        await lm.stop()
        await thread.close()


async def read(stream: SpeechTokenStream, count: int | None = None) -> list[int]:
    """At least `count` tokens, or all of them."""
    tokens: list[int] = []
    async for some in stream:
        tokens.extend(some)
        if count is not None and len(tokens) >= count:
            break
    return tokens


def text(count: int, begin: int = 100) -> list[int]:
    return list(range(begin, begin + count))


async def spoken(stream: SpeechTokenStream, ids: Sequence[int]) -> list[int]:
    """All that a stream says to a whole text. It is not cancelled."""
    await stream.feed(ids)
    await stream.finish()
    return await read(stream)


async def say(
    lm: SpeechLM, ids: Sequence[int], how: SamplingOptions, prompt: LmPrompt = PROMPT
) -> list[int]:
    stream = lm.open(prompt, how)
    try:
        return await spoken(stream, ids)
    finally:
        await stream.cancel()


async def come_and_go(stream: SpeechTokenStream, number: int) -> list[int]:
    """One of many streams: of ten, one is cancelled at once, one while it speaks, eight speak on."""
    await stream.feed([number % 300])
    if number % 10 == 3:
        await stream.cancel()
    elif number % 10 == 5:
        await stream.finish()
        await read(stream, 1)
        await stream.cancel()
    else:
        await stream.finish()
    return await read(stream)

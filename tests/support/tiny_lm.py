"""The golden vectors' tiny speech LM, ready to run. Its stop ids are all but impossible to draw."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import torch

from cosyserve.engine.cosyvoice.config import ModelConfig
from cosyserve.engine.cosyvoice.device import DeviceThread
from cosyserve.engine.cosyvoice.lm.backend import TokenStream
from cosyserve.engine.cosyvoice.lm.decoder import Decoder
from cosyserve.engine.cosyvoice.lm.qwen2 import Qwen2Lm
from cosyserve.engine.cosyvoice.lm.torch_backend import TorchLmSettings, TorchSpeechLM
from support import goldens


def model(stop_bias: Sequence[float] | None = None) -> Qwen2Lm:
    """stop_bias: of the head's last three ids, in place of the golden -20."""
    with torch.device("meta"):
        built = Qwen2Lm(ModelConfig.from_reference(goldens.config()).lm)
    weights = goldens.weights("llm")
    if stop_bias is not None:
        weights["llm_decoder.bias"][-3:] = torch.tensor(stop_bias)
    built.load_state_dict(weights, strict=True, assign=True)
    return built


@asynccontextmanager
async def running(
    decoder: Decoder | None = None, settings: TorchLmSettings | None = None
) -> AsyncIterator[TorchSpeechLM]:
    thread = DeviceThread()
    lm = TorchSpeechLM(lambda: decoder or Decoder(model()), thread, settings)
    try:
        await lm.start()
        yield lm
    finally:
        await lm.stop()
        await thread.close()


async def read(stream: TokenStream, count: int | None = None) -> list[int]:
    """At least `count` tokens, or all of them."""
    tokens: list[int] = []
    async for some in stream:
        tokens.extend(some)
        if count is not None and len(tokens) >= count:
            break
    return tokens

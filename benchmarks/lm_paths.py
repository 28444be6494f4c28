"""The speech LM's tokens per second and latencies, by whoever runs it. Random weights, forced lengths."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import torch

from cosyserve.benchmarks.model.models import random_lm_weights
from cosyserve.engine.cosyvoice.checkpoint import from_state_dicts, load_llm
from cosyserve.engine.cosyvoice.config import LmConfig, ModelConfig
from cosyserve.engine.cosyvoice.scheduling.device import DeviceThread
from cosyserve.engine.cosyvoice.lm import LmPrompt, SamplingOptions, SpeechLM, TokenStream
from cosyserve.engine.cosyvoice.lm.decoder import Decoder
from cosyserve.engine.cosyvoice.lm.torch_backend import TorchLmSettings, TorchSpeechLM
from cosyserve.engine.cosyvoice.lm.vllm.backend import VllmSpeechLM
from cosyserve.engine.cosyvoice.lm.vllm.convert import converted
from cosyserve.engine.cosyvoice.lm.vllm.host import EngineHost
from cosyserve.engine.cosyvoice.lm.vllm.options import VllmOptions

TEXT_IDS: Final = 10
GROUP: Final = 5
GROUP_TOKENS: Final = 15
PROMPT: Final = LmPrompt(tuple(range(12)), tuple(range(75)))
"""A clip of three seconds with its text."""
_ROOM: Final = 4096


@dataclass(frozen=True, slots=True)
class Size:
    """model: its config. dtype: of the weights and the arithmetic."""

    model: ModelConfig
    device: torch.device
    dtype: torch.dtype

    @property
    def precision(self) -> str:
        return str(self.dtype).removeprefix("torch.")


@asynccontextmanager
async def torch_lm(size: Size, streams: int) -> AsyncIterator[SpeechLM]:
    """Our own backend."""
    thread = DeviceThread(size.device)
    weights = random_lm_weights(size.model, size.device)
    checkpoint = from_state_dicts(size.model, llm=weights)
    lm = TorchSpeechLM(
        lambda: Decoder(load_llm(checkpoint, size.device, size.dtype)),
        thread,
        TorchLmSettings(max_streams=streams),
    )
    try:
        await lm.start()
        yield lm
    finally:
        await lm.stop()
        await thread.close()


@asynccontextmanager
async def vllm_lm(
    size: Size, streams: int, folder: Path, eager: bool
) -> AsyncIterator[tuple[SpeechLM, EngineHost]]:
    weights = random_lm_weights(size.model, torch.device("cpu"))
    folder = await asyncio.to_thread(converted, from_state_dicts(size.model, llm=weights), folder)
    host = EngineHost(
        VllmOptions(
            folder,
            max_model_len=min(_ROOM, size.model.lm.max_position_embeddings),
            max_num_seqs=streams,
            dtype="bfloat16" if size.dtype == torch.bfloat16 else "float32",
            enforce_eager=eager,
        )
    )
    lm = VllmSpeechLM(host, size.model.lm)
    try:
        await lm.start()
        yield lm, host
    finally:
        await lm.stop()


@dataclass(frozen=True, slots=True)
class Throughput:
    """Seconds in which `streams` at once have drawn `tokens` in all; first: median seconds to the first
    token of a stream."""

    streams: int
    tokens: int
    seconds: float
    first: float

    @property
    def rate(self) -> float:
        return self.tokens / self.seconds


async def throughput(lm: SpeechLM, streams: int, tokens: int) -> Throughput:
    """`tokens`: of each stream, a multiple of TEXT_IDS."""
    ratio = tokens / TEXT_IDS
    how = SamplingOptions(
        seed=1, bistream=False, min_ratio=ratio, max_ratio=ratio, loop_seconds=0.0
    )
    began = time.perf_counter()
    spoken = await asyncio.gather(*(_speak(lm, how) for _ in range(streams)))
    seconds = time.perf_counter() - began
    firsts = sorted(first for _, first in spoken)
    return Throughput(streams, sum(count for count, _ in spoken), seconds, firsts[len(firsts) // 2])


async def _speak(lm: SpeechLM, how: SamplingOptions) -> tuple[int, float]:
    began = time.perf_counter()
    stream = lm.open(PROMPT, how)
    await stream.feed(range(TEXT_IDS))
    await stream.finish()
    first, count = 0.0, 0
    async for tokens in stream:
        first = first or time.perf_counter() - began
        count += len(tokens)
    return count, first


async def piece_latencies(lm: SpeechLM, streams: int, pieces: int, think: float) -> list[float]:
    """Seconds from each piece of five text ids to the first token that it brings, for streams that get
    their pieces `think` seconds after they have fallen silent."""
    found = await asyncio.gather(*(_piecewise(lm, pieces, think) for _ in range(streams)))
    return sorted(latency for each in found for latency in each)


async def _piecewise(lm: SpeechLM, pieces: int, think: float) -> list[float]:
    how = SamplingOptions(seed=1, loop_seconds=0.0)
    stream = lm.open(LmPrompt(), how)
    found = []
    try:
        for number in range(pieces + 1):
            await asyncio.sleep(think)
            began = time.perf_counter()
            await stream.feed(range(GROUP * number, GROUP * number + GROUP))
            latency = await _group(stream, began)
            if number:  # the first one opens the request
                found.append(latency)
    finally:
        await stream.cancel()
    return found


async def _group(stream: TokenStream, began: float) -> float:
    """Read a whole group; returns when its first token came. The weights never draw a fill token."""
    first, count = 0.0, 0
    async for tokens in stream:
        first = first or time.perf_counter() - began
        count += len(tokens)
        if count >= GROUP_TOKENS:
            break
    return first


@dataclass(frozen=True, slots=True)
class Feeding:
    """What a text in pieces costs. read: ids that the model computed, drawn tokens aside."""

    way: str
    pieces: int
    read: int
    seconds: float


async def feedings(host: EngineHost, config: LmConfig, pieces: int) -> list[Feeding]:
    """One running request that is fed, against a new request with the whole context for each piece."""
    text = config.head_size + 2
    groups = [[text + GROUP * n + i for i in range(GROUP)] for n in range(pieces)]
    groups[0] = [config.head_size, *groups[0]]
    began = time.perf_counter()
    read = await _fed(host, groups)
    fed = Feeding("fed", pieces, read, time.perf_counter() - began)
    before = _cached()
    began = time.perf_counter()
    read = await _resubmitted(host, groups)
    again = Feeding("resubmitted", pieces, read, time.perf_counter() - began)
    hits = _cached() - before
    return [fed, again, Feeding("resubmitted, prefix cache", pieces, read - hits, again.seconds)]


async def _fed(host: EngineHost, groups: Sequence[list[int]]) -> int:
    """Ids handed over, which are all that vLLM computes beside the tokens it draws."""
    streaming_input = import_module("vllm.engine.protocol").StreamingInput
    ended = asyncio.Event()
    read = 0
    last: list[int] = []

    async def inputs() -> AsyncIterator[Any]:
        nonlocal read
        for group in groups:
            ids = [*last, *group]
            read += len(ids)
            ended.clear()
            yield streaming_input(prompt={"prompt_token_ids": ids}, sampling_params=_group_params())
            await ended.wait()

    async for output in host.engine().generate(inputs(), _group_params(), "fed"):
        if output.outputs and output.outputs[0].finish_reason is not None:
            # vLLM leaves the last token of a chunk out of the context.
            last = [output.outputs[0].token_ids[-1]]
            ended.set()
    return read


async def _resubmitted(host: EngineHost, groups: Sequence[list[int]]) -> int:
    context: list[int] = []
    read = 0
    for number, group in enumerate(groups):
        context += group
        read += len(context)
        prompt = {"prompt_token_ids": list(context)}
        async for output in host.engine().generate(prompt, _group_params(), f"again-{number}"):
            context += output.outputs[0].token_ids
    return read


def _group_params() -> Any:
    vllm = import_module("vllm")
    delta = import_module("vllm.sampling_params").RequestOutputKind.DELTA
    return vllm.SamplingParams(
        max_tokens=GROUP_TOKENS,
        temperature=0.0,
        ignore_eos=True,
        detokenize=False,
        output_kind=delta,
    )


def _cached() -> int:
    """Ids that vLLM has found in its prefix cache so far."""
    registry = import_module("prometheus_client").REGISTRY
    found = 0.0
    for family in registry.collect():
        if family.name == "vllm:prefix_cache_hits":
            found += sum(s.value for s in family.samples if s.name.endswith("_total"))
    return int(found)


def transformers_loop(size: Size) -> Callable[[int, int], Throughput]:
    """The usual loop: transformers' Qwen2 with its cache, one stream at a time, one token a step."""
    transformers = import_module("transformers")
    lm = size.model.lm
    config = transformers.Qwen2Config(
        vocab_size=1,
        hidden_size=lm.hidden_size,
        intermediate_size=lm.intermediate_size,
        num_hidden_layers=lm.num_hidden_layers,
        num_attention_heads=lm.num_attention_heads,
        num_key_value_heads=lm.num_key_value_heads,
        max_position_embeddings=lm.max_position_embeddings,
        tie_word_embeddings=False,
    )
    model = transformers.Qwen2Model(config).to(size.device, size.dtype).eval()
    rows = lm.head_size + 2 + lm.vocab_size
    embed = torch.nn.Embedding(rows, lm.hidden_size, device=size.device, dtype=size.dtype)
    head = torch.nn.Linear(lm.hidden_size, lm.head_size, device=size.device, dtype=size.dtype)
    prompt = torch.arange(2 + len(PROMPT.text_ids) + TEXT_IDS + len(PROMPT.speech_ids))

    def one(tokens: int) -> float:
        """Seconds to the first token."""
        began = time.perf_counter()
        first, cache = 0.0, None
        ids = prompt.to(size.device).unsqueeze(0)
        for _ in range(tokens):
            out = model(inputs_embeds=embed(ids), past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            ids = head(out.last_hidden_state[:, -1]).argmax(-1, keepdim=True)
            int(ids)  # whoever streams needs every token as it comes
            first = first or time.perf_counter() - began
        return first

    def run(streams: int, tokens: int) -> Throughput:
        began = time.perf_counter()
        with torch.inference_mode():
            firsts = [time.perf_counter() - began + one(tokens) for _ in range(streams)]
        seconds = time.perf_counter() - began
        return Throughput(streams, streams * tokens, seconds, sorted(firsts)[streams // 2])

    return run

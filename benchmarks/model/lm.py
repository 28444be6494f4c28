"""The speech LM three ways: vLLM, our torch backend, and a transformers loop, one after the other.

    python -m cosyserve.benchmarks.model.lm --size 0.5b --streams 1,4,8 --tokens 20

Measures tokens per second of several streams at once (25 are a second of speech), seconds from a
piece of text to the first token that it brings, and the cost of feeding a running request against
submitting all of it again for each piece. Needs the extra `cosyvoice`, and vLLM and transformers
for their ways; no checkpoint: the weights are random, of the published size or tiny, and lengths are
forced.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch

from cosyserve.clients.cli.tables import print_table
from cosyserve.engine.cosyvoice.checkpoint import from_state_dicts, load_llm
from cosyserve.engine.cosyvoice.config import TOKEN_RATE, CosyVoice2Config, LmConfig
from cosyserve.engine.cosyvoice.lm import LmPrompt, SamplingOptions, SpeechLM, SpeechTokenStream
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder
from cosyserve.engine.cosyvoice.lm.torch_backend import TorchLmSettings, TorchSpeechLM
from cosyserve.engine.cosyvoice.lm.vllm.backend import VllmSpeechLM
from cosyserve.engine.cosyvoice.lm.vllm.convert import converted
from cosyserve.engine.cosyvoice.lm.vllm.host import EngineHost
from cosyserve.engine.cosyvoice.lm.vllm.options import VllmOptions
from cosyserve.engine.cosyvoice.scheduling.device import DeviceThread

from ..report import conditions, milliseconds, write_report
from ..stats import Summary, summarize
from .models import random_lm_weights, tiny_config

TEXT_IDS: Final = 10
"""Of the text that a stream of the throughput speaks."""
GROUP: Final = 5
GROUP_TOKENS: Final = 15
"""A piece is a group of text ids, and brings so many speech tokens: the LM's own interleaving."""
PROMPT: Final = LmPrompt(tuple(range(12)), tuple(range(75)))
"""A clip of three seconds with its text."""
_ROOM: Final = 4096
"""Of vLLM's context, in ids."""
_SIZES: Final = {"tiny": tiny_config, "0.5b": CosyVoice2Config}
_PATHS: Final = ("vllm", "torch", "transformers")
_NEEDS: Final = {"vllm": "vllm", "transformers": "transformers"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device")
    if options.tokens < TEXT_IDS or options.tokens % TEXT_IDS:
        parser.error(f"--tokens must be a multiple of {TEXT_IDS}")
    unknown = [path for path in options.paths if path not in _PATHS]
    if unknown:
        parser.error(f"--paths: {', '.join(_PATHS)}")
    lacking = [path for path in options.paths if not _installed(path)]
    if lacking:
        parser.error(f"not installed: {', '.join(lacking)}; leave them out of --paths")
    if options.threads:
        torch.set_num_threads(options.threads)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    size = Size(_SIZES[options.size](), device, dtype)
    around = conditions()
    try:
        content = asyncio.run(_run(options, size))
    except KeyboardInterrupt:
        return 130
    settings = {name: str(value) for name, value in vars(options).items()}
    how = {"settings": settings, "threads": torch.get_num_threads(), "precision": size.precision}
    print(f"wrote {write_report(options.out, f'lm-{options.size}', {**around, **how, **content})}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cosyserve.benchmarks.model.lm",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", choices=list(_SIZES), default="0.5b", help="default: 0.5b")
    parser.add_argument(
        "--paths",
        type=_words,
        default=[path for path in _PATHS if _installed(path)],
        help=f"of {','.join(_PATHS)} (default: those that are installed)",
    )
    parser.add_argument(
        "--streams",
        type=_numbers,
        default=[1, 4, 8, 16],
        help="at once, in turn (default: 1,4,8,16)",
    )
    parser.add_argument("--tokens", type=int, default=100, help="of each stream (default: 100)")
    parser.add_argument(
        "--rounds", type=int, default=1, help="of each level; the best counts (default: 1)"
    )
    parser.add_argument(
        "--pieces", type=int, default=20, help="of text, for the latency (default: 20)"
    )
    parser.add_argument(
        "--think", type=float, default=0.05, help="seconds between pieces (default: 0.05)"
    )
    parser.add_argument(
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="default: cuda if there is one",
    )
    parser.add_argument("--threads", type=int, help="of torch on the CPU")
    parser.add_argument("--eager", action="store_true", help="vLLM without CUDA graphs")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for the JSON")
    return parser


def _installed(path: str) -> bool:
    return path not in _NEEDS or find_spec(_NEEDS[path]) is not None


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _words(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


async def _run(options: argparse.Namespace, size: Size) -> dict[str, Any]:
    most = max(options.streams)
    found: dict[str, Any] = {}
    costs: list[Feeding] = []
    if "vllm" in options.paths:
        with tempfile.TemporaryDirectory() as folder:
            async with vllm_lm(size, most, Path(folder), options.eager) as (lm, host):
                found["vllm"] = await _measure(lm, options)
                costs = await feedings(host, size.model.lm, options.pieces)
    if "torch" in options.paths:
        async with torch_lm(size, most) as lm:
            found["torch"] = await _measure(lm, options)
    if "transformers" in options.paths:
        run = transformers_loop(size)
        run(1, 2)
        levels = [
            _best([run(n, options.tokens) for _ in range(options.rounds)]) for n in options.streams
        ]
        found["transformers"] = {"levels": levels, "pieces": {}}
    _print_rates(found)
    _print_latencies(found)
    if costs:
        _print_costs(costs)
    return {
        "paths": {name: _plain(each) for name, each in found.items()},
        "feeding": [asdict(cost) for cost in costs],
    }


async def _measure(lm: SpeechLM, options: argparse.Namespace) -> dict[str, Any]:
    await throughput(lm, 1, TEXT_IDS)  # warms up
    levels, pieces = [], {}
    for streams in options.streams:
        print(f"{streams} streams ...", file=sys.stderr, flush=True)
        rounds = [await throughput(lm, streams, options.tokens) for _ in range(options.rounds)]
        levels.append(_best(rounds))
        latencies = await piece_latencies(lm, streams, options.pieces, options.think)
        pieces[streams] = summarize(latencies)
    return {"levels": levels, "pieces": pieces}


def _best(rounds: Sequence[Throughput]) -> Throughput:
    return max(rounds, key=lambda one: one.rate)


@dataclass(frozen=True, slots=True)
class Size:
    """model: its config. dtype: of the weights and the arithmetic."""

    model: CosyVoice2Config
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
        lambda: LmDecoder(load_llm(checkpoint, size.device, size.dtype)),
        thread,
        TorchLmSettings(lm_streams=streams),
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
            lm_streams=streams,
            lm_precision="bfloat16" if size.dtype == torch.bfloat16 else "float32",
            enforce_eager=eager,
        )
    )
    lm = VllmSpeechLM(host, size.model.lm)
    try:
        await lm.start()
        yield lm, host
    finally:
        await lm.stop()


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


@dataclass(frozen=True, slots=True)
class Throughput:
    """tokens: of all streams together, in `seconds`. first: median seconds to a stream's first token."""

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
    """Seconds from each piece of text to the first token that it brings, in several streams at once.

    think: seconds from the last token of a piece to the next piece.
    """
    found = await asyncio.gather(*(_piecewise(lm, pieces, think) for _ in range(streams)))
    return [latency for each in found for latency in each]


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


async def _group(stream: SpeechTokenStream, began: float) -> float:
    """Read the tokens of a group; gives the seconds to the first. The weights never draw a fill token."""
    first, count = 0.0, 0
    async for tokens in stream:
        first = first or time.perf_counter() - began
        count += len(tokens)
        if count >= GROUP_TOKENS:
            break
    return first


@dataclass(frozen=True, slots=True)
class Feeding:
    """The cost of a text in pieces. read: ids that the model computed, without the drawn tokens."""

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
    """Feed one running request; gives the ids handed over: vLLM computes them and the drawn tokens."""
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
            # vLLM leaves the last token of an input out of the context.
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


def _print_rates(found: dict[str, Any]) -> None:
    """Tokens per second of all streams together."""
    head = ("path", "streams", "tokens/s", "times real time, each", "first token ms")
    rows = [
        (
            name,
            str(level.streams),
            f"{level.rate:.1f}",
            f"{level.rate / level.streams / TOKEN_RATE:.2f}",
            milliseconds(level.first),
        )
        for name, each in found.items()
        for level in each["levels"]
    ]
    print_table(head, rows)


def _print_latencies(found: dict[str, Any]) -> None:
    rows = []
    for name, each in found.items():
        for streams, latencies in each["pieces"].items():
            shown = (latencies.p50, latencies.p95, latencies.p99) if latencies else (None,) * 3
            rows.append((name, str(streams), *map(milliseconds, shown)))
    print()
    print_table(("path", "streams", "piece to token, p50 ms", "p95", "p99"), rows)


def _print_costs(costs: Sequence[Feeding]) -> None:
    rows = [(c.way, str(c.pieces), str(c.read), f"{c.seconds:.2f}") for c in costs]
    print()
    print_table(("a text in pieces", "pieces", "ids computed", "seconds"), rows)


def _plain(each: dict[str, Any]) -> dict[str, Any]:
    pieces: dict[int, Summary | None] = each["pieces"]
    return {
        "levels": [{**asdict(level), "rate": level.rate} for level in each["levels"]],
        "pieces": {
            str(streams): asdict(latencies) if latencies else None
            for streams, latencies in pieces.items()
        },
    }


if __name__ == "__main__":
    sys.exit(main())

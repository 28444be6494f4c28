"""The speech LM: vLLM, our torch backend and a transformers loop, one after the other in one run.

Tokens per second for several streams at once (25 are a second of speech), seconds from a piece of text
to the first token that it brings, and what it costs to feed a running request against submitting all of
it again for each piece. The weights are random, of the published size or tiny, and lengths are forced.
"""

# Absolute imports, because this file can also be run by its path.
from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch

from cosyserve.benchmarks.lm_paths import TEXT_IDS, Feeding, Size, Throughput, feedings, piece_latencies, throughput, torch_lm, transformers_loop, vllm_lm
from cosyserve.benchmarks.report import conditions, milliseconds, write_report
from cosyserve.benchmarks.stats import percentile
from cosyserve.benchmarks.model.models import tiny_config
from cosyserve.clients.table import format_table
from cosyserve.engine.cosyvoice.config import TOKEN_RATE, ModelConfig
from cosyserve.engine.cosyvoice.lm import SpeechLM

_SIZES: Final = {"tiny": tiny_config, "0.5b": ModelConfig}
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
    lacking = [path for path in options.paths if not _there(path)]
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
    parser = argparse.ArgumentParser(prog="lm.py", description=__doc__)
    parser.add_argument("--size", choices=list(_SIZES), default="0.5b")
    parser.add_argument("--paths", type=_words, default=[p for p in _PATHS if _there(p)])
    parser.add_argument("--streams", type=_numbers, default=[1, 4, 8, 16], help="at once, in turn")
    parser.add_argument("--tokens", type=int, default=100, help="of each stream")
    parser.add_argument("--rounds", type=int, default=1, help="of each level; the best one counts")
    parser.add_argument("--pieces", type=int, default=20, help="of text, for the latency")
    parser.add_argument("--think", type=float, default=0.05, help="seconds between pieces")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="of torch on the CPU")
    parser.add_argument("--eager", action="store_true", help="vLLM without CUDA graphs")
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    return parser


def _there(path: str) -> bool:
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
    print(_rates(found))
    print("\n" + _latencies(found))
    if costs:
        print("\n" + _costs(costs))
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
        pieces[streams] = await piece_latencies(lm, streams, options.pieces, options.think)
    return {"levels": levels, "pieces": pieces}


def _best(rounds: Sequence[Throughput]) -> Throughput:
    return max(rounds, key=lambda one: one.rate)


def _rates(found: dict[str, Any]) -> str:
    """Tokens per second of all streams together."""
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
    head = ("path", "streams", "tokens/s", "times real time, each", "first token ms")
    return format_table(head, rows)


def _latencies(found: dict[str, Any]) -> str:
    rows = [
        (name, str(streams), *(milliseconds(percentile(values, p)) for p in (50, 95, 99)))
        for name, each in found.items()
        for streams, values in each["pieces"].items()
    ]
    return format_table(("path", "streams", "piece to token, p50 ms", "p95", "p99"), rows)


def _costs(costs: Sequence[Feeding]) -> str:
    rows = [(c.way, str(c.pieces), str(c.read), f"{c.seconds:.2f}") for c in costs]
    return format_table(("a text in pieces", "pieces", "ids computed", "seconds"), rows)


def _plain(each: dict[str, Any]) -> dict[str, Any]:
    return {
        "levels": [{**asdict(level), "rate": level.rate} for level in each["levels"]],
        "pieces": {
            str(streams): {f"p{p}": percentile(values, p) for p in (50, 95, 99)}
            for streams, values in each["pieces"].items()
        },
    }


if __name__ == "__main__":
    sys.exit(main())

"""What a second of speech costs at the beginning of an utterance and late in it.

Flow and vocoder work per chunk of one second, for the incremental path of the engine (with all of its
context, and with a window of it) and for recomputing the prefix for every chunk, alternately in one run.
Recomputing is always in float32. The model is the published size (or --tiny) with random weights.
With --first-hops also the time to
the first sound, with --streams how many streams one device speaks in real time; both are on by
default on CUDA.
"""

# Absolute imports, because this file can also be run by its path.
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, get_args

import torch

from cosyserve.benchmarks.report import conditions, milliseconds, write_report
from cosyserve.benchmarks.streaming_live import FirstChunk, Level, Models, first_chunk, levels
from cosyserve.benchmarks.streaming_model import (
    random_decoder,
    random_flow,
    random_hift,
    tiny_config,
)
from cosyserve.benchmarks.streaming_paths import (
    HOP,
    Chunk,
    ClockKind,
    Incremental,
    Recomputed,
    Voice,
    random_voice,
    timed,
)
from cosyserve.benchmarks.streaming_table import (
    Show,
    chunk_table,
    first_table,
    level_table,
    outcome_of,
    outcome_text,
    side_by_side,
)
from cosyserve.engine.cosyvoice.config import ModelConfig
from cosyserve.engine.cosyvoice.flow import ContextPolicy, Flow
from cosyserve.engine.cosyvoice.vocoder import Hift

_DTYPES: Final = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.seconds < 3:
        parser.error("--seconds must be at least 3")
    positions = options.recompute_positions
    if positions is not None and not set(positions) & set(range(1, options.seconds + 1)):
        parser.error("--recompute-positions must name a chunk")
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device")
    if options.threads:
        torch.set_num_threads(options.threads)
    around = conditions()
    try:
        with torch.inference_mode():
            content = _run(options, device)
    except KeyboardInterrupt:
        return 130
    settings = {name: str(value) for name, value in vars(options).items()}
    how = {"settings": settings, "threads": torch.get_num_threads(), "device": _name(device)}
    print(f"wrote {write_report(options.out, 'streaming_cost', {**around, **how, **content})}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="streaming_cost.py", description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="of speech, a chunk each")
    parser.add_argument("--prompt-tokens", type=int, default=75, help="25 are a second")
    parser.add_argument(
        "--recompute-positions",
        type=_numbers,
        help="chunks at which recomputing is measured; the others are filled in by a fitted parabola",
    )
    parser.add_argument(
        "--window", type=float, default=5.0, help="seconds of context, as a third path; 0: none"
    )
    parser.add_argument("--tiny", action="store_true", help="a small model, to try the benchmark")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=list(_DTYPES), default="float32")
    parser.add_argument("--threads", type=int, help="of torch on the CPU")
    parser.add_argument(
        "--clock",
        choices=get_args(ClockKind),
        default="wall",
        help="cpu: processor time; with --threads 1 it is right on a busy machine too",
    )
    parser.add_argument("--first-hops", type=_numbers, help="tokens, for the first chunk's latency")
    parser.add_argument("--streams", type=_numbers, help="levels, in turn, until too slow")
    parser.add_argument("--position", type=int, default=10, help="seconds into it, for --streams")
    parser.add_argument("--repeats", type=int, default=5, help="of each first chunk")
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    return parser


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _run(options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    config = tiny_config() if options.tiny else ModelConfig()
    flow, hift = random_flow(config, device), random_hift(config, device)
    flow.use_precision(_DTYPES[options.dtype])
    tokens = (2 + max(options.seconds, options.position + 1)) * HOP
    voice = random_voice(config.flow, tokens, options.prompt_tokens, device)
    chunks = _compare((flow, hift), voice, options)
    hops, counts = options.first_hops, options.streams
    if device.type == "cuda":
        hops = [5, 8, 15, 25] if hops is None else hops
        counts = [1, 2, 4, 8, 16, 32, 64] if counts is None else counts
        print("CUDA graphs: the engine has none; all figures are without")
    firsts: list[FirstChunk] = []
    batches: list[Level] = []
    if hops or counts:
        models = Models(flow, hift, random_decoder(config, device, _DTYPES[options.dtype]))
        firsts = [first_chunk(models, voice, hop, options.repeats) for hop in hops or []]
        print("\n" + first_table(firsts) if firsts else "")
        batches = list(levels(models, voice, counts or [], options.position))
        print("\n" + level_table(batches) if batches else "")
    return {
        **chunks,
        "first_chunks": [asdict(first) for first in firsts],
        "levels": [asdict(level) for level in batches],
        "graphs": False,
    }


def _compare(
    models: tuple[Flow, Hift], voice: Voice, options: argparse.Namespace
) -> dict[str, Any]:
    """Both paths and the windowed one, chunk by chunk; prints their table."""
    flow, _ = models
    device = flow.noise.device
    kind: ClockKind = "wall" if device.type == "cuda" else options.clock
    flow.prepare_prompt(*voice.prompt)  # warms up
    prompt, prepared = timed(device, lambda: flow.prepare_prompt(*voice.prompt))
    Incremental(models, voice, prompt).chunk(1)
    exact, again = Incremental(models, voice, prompt), Recomputed(models, voice)
    window = ContextPolicy.seconds(options.window)
    bounded = Incremental(models, voice, prompt, window) if options.window else None
    chunks: list[Chunk] = []
    windowed: list[Chunk] = []
    recomputed: dict[int, Chunk] = {}
    mels: dict[str, float] = {"recomputed": 0.0, "window": 0.0}
    for number in range(1, options.seconds + 1):
        print(f"{number} s ...", file=sys.stderr, flush=True)
        chunks.append(exact.chunk(number))
        if bounded is not None:
            windowed.append(bounded.chunk(number))
            mels["window"] = max(mels["window"], _difference(chunks[-1], windowed[-1]))
        if options.recompute_positions is None or number in options.recompute_positions:
            recomputed[number] = again.chunk(number)
            mels["recomputed"] = max(
                mels["recomputed"], _difference(chunks[-1], recomputed[number])
            )
    lines = side_by_side(chunks, windowed, recomputed, kind)
    outcome = outcome_of(lines)
    show: Show = milliseconds if device.type == "cuda" else "{:.2f}".format
    print(f"{'milliseconds' if device.type == 'cuda' else 'seconds'} per chunk, {kind} time")
    print(chunk_table(lines, show))
    print(outcome_text(outcome, options.window, show))
    print(f"voice, once: {show(prepared.by(kind))}, {prompt.nbytes / 2**20:.0f} MiB")
    print("largest differences of mels from the exact one:", _listed(mels))
    return {
        "clock": kind,
        "chunks": [asdict(line) for line in lines],
        "outcome": asdict(outcome),
        "prompt": {"seconds": prepared.by(kind), "nbytes": prompt.nbytes},
        "mel_differences": mels,
    }


def _difference(one: Chunk, other: Chunk) -> float:
    return float((one.mel - other.mel).abs().max())


def _listed(differences: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.1e}" for name, value in differences.items())


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


if __name__ == "__main__":
    sys.exit(main())

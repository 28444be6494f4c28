"""The cost of a second of speech, early and late in an utterance.

    python -m cosyserve.benchmarks.model.cost --seconds 20 --threads 2

Measures flow and vocoder work for each chunk of one second, for the engine's incremental path (with
all of its context, and with a window of it) and for recomputing the prefix for every chunk,
alternately in one run. The engine's paths run several times, and each chunk counts as in the middle
one of its runs. Recomputing is always in float32. Needs the extra `cosyvoice` and no checkpoint:
the model is the published size (or --tiny) with random weights.

With --first-hops it also measures the time to the first sound, with --streams how many streams one
device speaks in real time; both are on by default on CUDA, where all is measured without CUDA graphs
and with them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, get_args

import torch

from cosyserve.engine.cosyvoice.config import (
    FRAMES_PER_TOKEN,
    TOKEN_RATE,
    CosyVoice2Config,
    CosyVoice3Config,
    ModelConfig,
)
from cosyserve.engine.cosyvoice.flow import ContextPolicy, FlowPrompt, graphs_for
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder

from ..report import conditions, milliseconds, write_report
from .live import FirstChunk, Level, LiveModels, first_chunk, levels
from .models import (
    HOP,
    ChunkCost,
    ClockKind,
    Incremental,
    RandomVoice,
    Recomputed,
    StreamModels,
    random_decoder,
    random_flow,
    random_hift,
    random_voice,
    timed,
    tiny_config,
    tiny_config3,
)
from .table import (
    Show,
    outcome_of,
    outcome_text,
    print_chunks,
    print_first_chunks,
    print_levels,
    side_by_side,
)

_DTYPES: Final = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.seconds < 3 or options.rounds < 1:
        parser.error("--seconds must be at least 3, --rounds at least 1")
    positions = options.recompute_positions
    if positions is not None and not set(positions) & set(range(1, options.seconds + 1)):
        parser.error("--recompute-positions must name a chunk")
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device")
    if device.type == "cuda":
        options.first_hops = options.first_hops or [5, 8, 15, 25]
        options.streams = options.streams or [1, 2, 4, 8, 16, 32, 64]
    if options.graphs is None:
        options.graphs = "both" if device.type == "cuda" else "off"
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
    parser = argparse.ArgumentParser(
        prog="python -m cosyserve.benchmarks.model.cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seconds", type=int, default=20, help="of speech, a chunk each (default: 20)"
    )
    parser.add_argument(
        "--prompt-tokens", type=int, default=75, help="of the voice; 25 are a second (default: 75)"
    )
    parser.add_argument(
        "--recompute-positions",
        type=_numbers,
        help="chunks at which recomputing is measured; the others are filled in by a fitted parabola",
    )
    parser.add_argument(
        "--window",
        type=float,
        default=5.0,
        help="seconds of context, as a third path (default: 5; 0: none)",
    )
    parser.add_argument(
        "--family", type=int, choices=[2, 3], default=2, help="of CosyVoice (default: 2)"
    )
    parser.add_argument("--tiny", action="store_true", help="a small model, to try the benchmark")
    parser.add_argument(
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="default: cuda if there is one",
    )
    parser.add_argument(
        "--dtype", choices=list(_DTYPES), default="float32", help="of the engine's paths"
    )
    parser.add_argument("--threads", type=int, help="of torch on the CPU")
    parser.add_argument(
        "--clock",
        choices=get_args(ClockKind),
        default="wall",
        help="cpu: processor time; with --threads 1 it is right on a busy machine too",
    )
    parser.add_argument("--first-hops", type=_numbers, help="tokens, for the first chunk's latency")
    parser.add_argument("--streams", type=_numbers, help="levels, in turn, until too slow")
    parser.add_argument(
        "--graphs",
        choices=["off", "on", "both"],
        help="whether the flow replays CUDA graphs; both: the tables without, then with",
    )
    parser.add_argument("--position", type=int, default=10, help="seconds into it, for --streams")
    parser.add_argument("--repeats", type=int, default=5, help="of each first chunk")
    parser.add_argument(
        "--rounds", type=int, default=3, help="of all chunks; each counts as in the middle one"
    )
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for the JSON")
    return parser


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _run(options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    config, dtype = _config(options), _DTYPES[options.dtype]
    flow, hift = random_flow(config, device), random_hift(config, device)
    flow.use_precision(dtype)
    tokens = (2 + max(options.seconds, options.position + 1)) * HOP
    voice = random_voice(config.flow, tokens, options.prompt_tokens, device)
    kind: ClockKind = "wall" if device.type == "cuda" else options.clock
    show: Show = milliseconds if device.type == "cuda" else "{:.2f}".format
    measure = _Measurement((flow, hift), voice, kind, show, options)
    if options.first_hops or options.streams:
        measure.decoder = random_decoder(config, device, dtype)
    if options.graphs == "off" or not flow.replays_graphs:
        return {"graphs": False, **measure.run()}
    content = {"graphs": False, **measure.run()} if options.graphs == "both" else {}
    graphs = graphs_for(device, "auto")
    if graphs is None:
        print("CUDA graphs: none here")
        return content or {"graphs": False, **measure.run()}
    flow.use_graphs(graphs)
    print(f"\nwith CUDA graphs of the flow, {graphs.nbytes / 2**20:.0f} MiB of fixed memory")
    graphed = {"graphs": not graphs.failed, **measure.run()}
    if graphs.failed:
        print("CUDA graphs: recording failed; the second figures are without, too")
    else:
        print(f"{len(graphs)} graphs served {graphs.passes} passes")
    return {**content, "with_graphs": graphed} if content else graphed


def _config(options: argparse.Namespace) -> ModelConfig:
    if options.family == 3:
        return tiny_config3() if options.tiny else CosyVoice3Config()
    return tiny_config() if options.tiny else CosyVoice2Config()


@dataclass
class _Measurement:
    """The tables of a run, which can be repeated with one model. again: prefixes recomputed so far."""

    models: StreamModels
    voice: RandomVoice
    kind: ClockKind
    show: Show
    options: argparse.Namespace
    decoder: LmDecoder | None = None
    again: dict[int, ChunkCost] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Print the tables; returns their content for the JSON."""
        options, content = self.options, self._compare()
        firsts: list[FirstChunk] = []
        batches: list[Level] = []
        if self.decoder is not None:
            models = LiveModels(*self.models, self.decoder)
            hops, counts = options.first_hops or [], options.streams or []
            firsts = [first_chunk(models, self.voice, hop, options.repeats) for hop in hops]
            if firsts:
                print()
                print_first_chunks(firsts)
            batches = list(levels(models, self.voice, counts, options.position))
            if batches:
                print()
                print_levels(batches)
        return {
            **content,
            "first_chunks": [asdict(first) for first in firsts],
            "levels": [asdict(level) for level in batches],
        }

    def _compare(self) -> dict[str, Any]:
        """Compare both paths and the windowed one, chunk by chunk."""
        flow, kind, show, window = self.models[0], self.kind, self.show, self.options.window
        flow.prepare_prompt(*self.voice.prompt)  # warms up
        prompt, prepared = timed(flow.noise.device, lambda: flow.prepare_prompt(*self.voice.prompt))
        self._warm_up(prompt)
        chunks, windowed, mels = self._chunks(prompt)
        lines = side_by_side(chunks, windowed, self.again, kind)
        per_second = TOKEN_RATE * flow.shapes.bytes_per_token(flow.cache_dtype)
        outcome = outcome_of(lines, per_second)
        unit = "milliseconds" if flow.noise.is_cuda else "seconds"
        print(f"{unit} per chunk, {kind} time")
        print_chunks(lines, show)
        print(outcome_text(outcome, window, show))
        print(f"voice, once: {show(prepared.by(kind))}, {prompt.nbytes / 2**20:.0f} MiB")
        print("largest differences of mels from the exact one:", _listed(mels))
        return {
            "clock": kind,
            "chunks": [asdict(line) for line in lines],
            "outcome": asdict(outcome),
            "prompt": {"seconds": prepared.by(kind), "nbytes": prompt.nbytes},
            "mel_differences": mels,
        }

    def _warm_up(self, prompt: FlowPrompt) -> None:
        # All of it: memory that this machine has never used before comes slowly the first time, and
        # a graph is recorded when its length of context comes for the first time.
        for policy in self._policies():
            path = Incremental(self.models, self.voice, prompt, policy)
            for number in range(1, self.options.seconds + 1):
                path.chunk(number)

    def _policies(self) -> list[ContextPolicy]:
        # As the server does it: an utterance gets room for the length that it is admitted for.
        exact = ContextPolicy(room=(self.options.seconds + 1) * HOP * FRAMES_PER_TOKEN)
        window = self.options.window
        return [exact, ContextPolicy.seconds(window)] if window else [exact]

    def _chunks(
        self, prompt: FlowPrompt
    ) -> tuple[list[ChunkCost], list[ChunkCost], dict[str, float]]:
        """Exact and windowed chunks, each as slow as in the middle one of the rounds, with prefixes
        recomputed in between in the first round unless that was done before."""
        mels = {"recomputed": 0.0, "window": 0.0}
        recompute, rounds = not self.again, []
        for number in range(1, self.options.rounds + 1):
            print(f"round {number} ...", file=sys.stderr, flush=True)
            rounds.append(self._round(prompt, mels, recompute=recompute and number == 1))
        exact, windowed = (
            [self._middle(same) for same in zip(*each, strict=True)]
            for each in zip(*rounds, strict=True)
        )
        return exact, windowed, mels

    def _round(
        self, prompt: FlowPrompt, mels: dict[str, float], *, recompute: bool
    ) -> tuple[list[ChunkCost], list[ChunkCost]]:
        """One utterance by each path, chunk by chunk in turn; widens the differences in `mels`."""
        paths = [Incremental(self.models, self.voice, prompt, each) for each in self._policies()]
        exact: list[ChunkCost] = []
        windowed: list[ChunkCost] = []
        recomputed, wanted = Recomputed(self.models, self.voice), self.options.recompute_positions
        for number in range(1, self.options.seconds + 1):
            for path, chunks in zip(paths, (exact, windowed), strict=False):
                chunks.append(path.chunk(number))
            if recompute and (wanted is None or number in wanted):
                self.again[number] = recomputed.chunk(number)
            others = {"window": windowed[-1:], "recomputed": []}
            if number in self.again:
                others["recomputed"] = [self.again[number]]
            for name, found in others.items():
                for other in found:
                    mels[name] = max(mels[name], _difference(exact[-1], other))
        return exact, windowed

    def _middle(self, chunks: Sequence[ChunkCost]) -> ChunkCost:
        ordered = sorted(chunks, key=lambda each: each.flow.by(self.kind))
        return ordered[len(ordered) // 2]


def _difference(one: ChunkCost, other: ChunkCost) -> float:
    return float((one.mel - other.mel).abs().max())


def _listed(differences: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.1e}" for name, value in differences.items())


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


if __name__ == "__main__":
    sys.exit(main())

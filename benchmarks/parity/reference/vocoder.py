"""The vocoder in the reference's layout: a whole mel at once, and the reference's chunk loop.

    inference           mel [1, 80, T] -> wave [1, 480 T], source [1, 1, 480 T]
    token2wav(hift, mel_of(flow, case), tokens, prompt_tokens, loop_named("hop25"))
    play(hift, mel_of(flow, case), calls)       # any schedule

What the loop does differently from the engine: eight mel frames and their source are put in front of each
chunk (the phase of the new source does not continue them), the overlap is faded with the halves of a Hamming
window, which add up to 1.08, and the last chunk is made with full attention.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from cosyserve.engine.cosyvoice.config import FRAMES_PER_TOKEN, MEL_HOP, SAMPLE_RATE
from cosyserve.engine.cosyvoice.flow import Flow
from cosyserve.engine.cosyvoice.vocoder import Hift
from cosyserve.engine.cosyvoice.vocoder.source import HarmonicSource, cycles_per_frame

from .flow import Case


class Phase(enum.Enum):
    """How the phase of the harmonics is summed.

    REFERENCE: the published code's arithmetic in fp32. Its phase is a growing number of radians, so its error
    grows with the length of the sound (about 0.01 of full scale after 1000 frames).
    EXACT: the engine's, in float64 cycles that wrap.
    """

    REFERENCE = "reference"
    EXACT = "exact"


@torch.inference_mode()
def inference(
    hift: Hift,
    mel: Tensor,
    cache_source: Tensor | None = None,
    noise: Tensor | None = None,
    phase: Phase = Phase.REFERENCE,
) -> tuple[Tensor, Tensor]:
    """A whole mel [1, 80, T] at once: (wave [1, 480 T], source [1, 1, 480 T]).

    cache_source [1, 1, n]: overwrites the source's first n samples; None or n = 0 for none.
    noise: as `source` takes it.
    """
    exact = phase is Phase.EXACT
    f0 = hift.f0_predictor.precise(mel) if exact else hift.f0_predictor(mel)
    made = source(hift, f0, noise, phase)
    if cache_source is not None and cache_source.shape[2]:
        made[:, :, : cache_source.shape[2]] = cache_source
    return hift.decode(mel, made), made


def source(
    hift: Hift, f0: Tensor, noise: Tensor | None = None, phase: Phase = Phase.REFERENCE
) -> Tensor:
    """Excitation of a whole sound: f0 [B, T] in Hz, noise [B, 480 T, 9] or none -> [B, 1, 480 T]."""
    return hift.m_source.merge(sines(hift.m_source, f0, phase), f0, noise)


def sines(harmonics: HarmonicSource, f0: Tensor, phase: Phase) -> Tensor:
    """[B, T * MEL_HOP, harmonics]: the sines alone, from phase zero, in voiced and unvoiced frames alike."""
    if phase is Phase.REFERENCE:
        radians = reference_phase(f0.float(), harmonics.harmonics)
        return harmonics.amplitude * radians.sin()
    steps = cycles_per_frame(f0, harmonics.harmonics)
    return harmonics.render(steps.cumsum(1), steps, at_start=torch.ones_like(steps[:, 0, 0]))


def reference_phase(f0: Tensor, harmonics: int) -> Tensor:
    """[B, T] -> [B, T * MEL_HOP, harmonics] radians, with the reference's fp32 roundings in its order."""
    order = torch.arange(1, harmonics + 1, device=f0.device, dtype=f0.dtype)
    per_sample = f0[..., None] * order / SAMPLE_RATE % 1
    phase = per_sample.cumsum(1) * 2 * math.pi
    stretched = F.interpolate(
        phase.transpose(1, 2) * MEL_HOP, scale_factor=float(MEL_HOP), mode="linear"
    )
    return stretched.transpose(1, 2)


MelFunction = Callable[[int, bool, bool], Tensor]
"""(tokens, streaming, finalize) -> mel [1, 80, T] of the first `tokens` speech tokens, without the prompt."""

CACHED_FRAMES: Final = 8
OVERLAP: Final = CACHED_FRAMES * MEL_HOP


@dataclass(frozen=True, slots=True)
class Loop:
    """How a case of the loop runs.

    stream: in chunks, else one call. hop: tokens per chunk; growth, longest: each chunk's hop times the
    last one's, up to that. final_streaming: keep the chunk mask in the last call. speed: offline only.
    """

    stream: bool = True
    hop: int = 25
    growth: int = 1
    longest: int = 100
    final_streaming: bool = False
    speed: float = 1.0


LOOPS: Final = {
    "offline": Loop(stream=False),
    "hop25": Loop(),
    "doubling": Loop(growth=2),
    "hop25_finalstream": Loop(final_streaming=True),
    "final_nonstream": Loop(),
    "final_stream": Loop(final_streaming=True),
}
"""The cases of the golden vectors by name; `loop_named` also knows those with a speed."""


def loop_named(name: str) -> Loop:
    """`hop25`, `doubling`, ... of LOOPS; `offline_speed1.3` with any speed.

    Raises ValueError for any other name.
    """
    known, _, speed = name.partition("_speed")
    if known not in LOOPS or (speed and LOOPS[known].stream):
        raise ValueError(f"{name}: no such loop; there are {', '.join(LOOPS)}, offline_speed1.3")
    return replace(LOOPS[known], speed=float(speed)) if speed else LOOPS[known]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the reference's loop.

    tokens: those known by then. offset: those whose mel was used before; of this call's mel what follows
    them is. streaming, finalize: as MelFunction takes them.
    """

    tokens: int
    offset: int
    streaming: bool
    finalize: bool


def calls_of(loop: Loop, tokens: int, prompt_tokens: int, look_ahead: int = 3) -> list[Call]:
    """The calls for `tokens` speech tokens after a prompt of `prompt_tokens`; the last one is final."""
    ends = list(chunk_ends(tokens, prompt_tokens, loop, look_ahead)) if loop.stream else []
    offsets = [0, *ends]
    calls = [
        Call(end + look_ahead, offset, True, False)
        for end, offset in zip(ends, offsets, strict=False)
    ]
    return [*calls, Call(tokens, offsets[-1], loop.final_streaming, True)]


def token2wav(
    hift: Hift, mel: MelFunction, tokens: int, prompt_tokens: int, loop: Loop, look_ahead: int = 3
) -> list[Tensor]:
    """The chunks [1, n] of an utterance of `tokens` speech tokens, without noise.

    mel: of `mel_of`, or any other. look_ahead: the flow's, in tokens.
    """
    return play(hift, mel, calls_of(loop, tokens, prompt_tokens, look_ahead), loop.speed)


@torch.inference_mode()
def play(hift: Hift, mel: MelFunction, calls: Sequence[Call], speed: float = 1.0) -> list[Tensor]:
    """The chunks [1, n] of these calls, without noise. speed: of a single call only, as in the reference.

    Raises ValueError for another speed than 1 with more calls.
    """
    if speed != 1.0 and len(calls) > 1:
        raise ValueError("only an utterance in one call has a speed")
    chain = ReferenceChain(hift)
    chunks = []
    for call in calls:
        whole = mel(call.tokens, call.streaming, call.finalize)
        new = whole[:, :, call.offset * FRAMES_PER_TOKEN :]
        if speed != 1.0:
            new = F.interpolate(new, size=int(new.shape[2] / speed), mode="linear")
        chunks.append(chain.feed(new, final=call.finalize))
    return chunks


def mel_of(flow: Flow, case: Case) -> MelFunction:
    """The mel of this flow speaking this case, as token2wav takes it; each prefix is computed once."""

    @cache
    def mel(tokens: int, streaming: bool, finalize: bool) -> Tensor:
        return case.prefix(flow, tokens, streaming=streaming, finalize=finalize)

    return mel


def chunk_ends(tokens: int, prompt_tokens: int, loop: Loop, look_ahead: int) -> Iterator[int]:
    """Tokens at which the chunks before the last one end; the first is padded to the prompt's grid."""
    hop = loop.hop
    end = hop + -prompt_tokens % hop
    while end + look_ahead <= tokens:
        yield end
        hop = min(hop * loop.growth, loop.longest)
        end += hop


class ReferenceChain:
    """Mel chunks [1, 80, n] in, wave [1, m] out, joined as the reference joins them."""

    def __init__(self, hift: Hift) -> None:
        self._hift = hift
        self._mel: Tensor | None = None
        self._source: Tensor | None = None
        self._speech: Tensor | None = None

    def feed(self, mel: Tensor, *, final: bool) -> Tensor:
        """All but the last OVERLAP samples, or everything if final."""
        if self._mel is not None:
            mel = torch.cat([self._mel, mel], dim=2)
        wave, source = inference(self._hift, mel, self._source)
        if self._speech is not None:
            window = torch.hamming_window(
                2 * OVERLAP, periodic=False, dtype=torch.float64, device=wave.device
            )
            faded = wave[:, :OVERLAP] * window[:OVERLAP] + self._speech * window[OVERLAP:]
            wave = torch.cat([faded.to(wave.dtype), wave[:, OVERLAP:]], dim=1)
        if final:
            return wave
        self._mel = mel[:, :, -CACHED_FRAMES:]
        self._source = source[:, :, -OVERLAP:]
        self._speech = wave[:, -OVERLAP:]
        return wave[:, :-OVERLAP]

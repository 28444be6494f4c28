"""The reference's own chunk loop over flow and vocoder, for comparison with it; not used in production.

What it does differently from streaming.py: eight mel frames and their source are put in front of each chunk
(the phase of the new source does not continue them), the overlap is faded with the halves of a Hamming
window, which add up to 1.08, and the last chunk is made with full attention.

    token2wav(hift, mel_of(flow, case), tokens, prompt_tokens, loop_named("hop25"))
    play(hift, mel_of(flow, case), calls)       # any schedule
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from cosyserve.engine.cosyvoice.config import FRAMES_PER_TOKEN, MEL_HOP
from cosyserve.engine.cosyvoice.flow import Flow
from cosyserve.engine.cosyvoice.flow.parity import Case
from cosyserve.engine.cosyvoice.vocoder.hift import Hift

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
        wave, source = self._hift.inference(mel, self._source)
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

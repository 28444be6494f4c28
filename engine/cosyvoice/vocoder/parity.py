"""The reference's own chunk loop over flow and vocoder, for comparison with it; not used in production.

What it does differently from streaming.py: eight mel frames and their source are put in front of each chunk
(the phase of the new source does not continue them), the overlap is faded with the halves of a Hamming
window, which add up to 1.08, and the last chunk is made with full attention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from ..config import FRAMES_PER_TOKEN, MEL_HOP
from .hift import Hift

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
    "offline_speed1.3": Loop(stream=False, speed=1.3),
    "final_nonstream": Loop(),
    "final_stream": Loop(final_streaming=True),
}
"""The cases of the golden vectors by name."""


@torch.inference_mode()
def token2wav(
    hift: Hift, mel: MelFunction, tokens: int, prompt_tokens: int, loop: Loop, look_ahead: int = 3
) -> list[Tensor]:
    """The chunks [1, n] of an utterance of `tokens` speech tokens, without noise.

    look_ahead: the flow's, in tokens.
    """
    if not loop.stream:
        whole = mel(tokens, loop.final_streaming, True)
        if loop.speed != 1.0:
            frames = int(whole.shape[2] / loop.speed)
            whole = F.interpolate(whole, size=frames, mode="linear")
        return [hift.inference(whole)[0]]
    chain = ReferenceChain(hift)
    chunks = []
    offset = 0
    for end in chunk_ends(tokens, prompt_tokens, loop, look_ahead):
        new = mel(end + look_ahead, True, False)[:, :, offset * FRAMES_PER_TOKEN :]
        chunks.append(chain.feed(new, final=False))
        offset = end
    rest = mel(tokens, loop.final_streaming, True)[:, :, offset * FRAMES_PER_TOKEN :]
    chunks.append(chain.feed(rest, final=True))
    return chunks


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

"""Speech rate by resampling mel along time, incrementally.

Linear interpolation: output frame j of an utterance at speed v sits at (j + 1/2) v - 1/2 of the input, held
at both ends; T frames become floor(T / v). What comes out does not depend on how the input was cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

SLOWEST: Final = 0.5
FASTEST: Final = 2.0


@dataclass(frozen=True, slots=True)
class TimeScale:
    """Where a session stands. Frames count from the utterance's start.

    speed: in force since output was at input border `anchor` (a border lies before its frame), `made` frames
    ago. known: input frames so far. kept: [mel, k] the last of them that may still be needed.
    """

    kept: Tensor
    speed: float = 1.0
    anchor: float = 0.0
    made: int = 0
    known: int = 0

    def feed(self, mel: Tensor, speed: float, final: bool) -> tuple[TimeScale, Tensor]:
        """New input [mel, n] -> the state after it and the output [mel, m] that it completes.

        Raises: ValueError if the speed is out of range.
        """
        if not SLOWEST <= speed <= FASTEST:
            raise ValueError(f"speed must be within {SLOWEST} ... {FASTEST}, not {speed}")
        if speed == self.speed == 1.0 and self.anchor == 0.0 and self.made == self.known:
            known = self.known + mel.shape[1]
            kept = mel[:, -1:].clone() if mel.shape[1] else self.kept
            return replace(self, kept=kept, made=known, known=known), mel
        now = self if speed == self.speed else self._at(speed)
        frames = torch.cat([now.kept, mel], dim=1)
        known = now.known + mel.shape[1]
        begin = known - frames.shape[1]
        made = now._complete(known, final)
        places = [now.anchor + (j + 0.5) * speed - 0.5 for j in range(now.made, made)]
        output = _interpolate(frames, [place - begin for place in places])
        # The next frame lies nearest to the border if the speed is about to become the slowest.
        first = math.floor(now.anchor + made * speed + 0.5 * SLOWEST - 0.5)
        keep = min(max(known - max(first, 0), 1), frames.shape[1])
        kept = frames[:, frames.shape[1] - keep :].clone()
        return replace(now, kept=kept, made=made, known=known), output

    def _at(self, speed: float) -> TimeScale:
        anchor = self.anchor + self.made * self.speed
        return replace(self, speed=speed, anchor=anchor, made=0)

    def _complete(self, known: int, final: bool) -> int:
        """How many output frames, of this speed, the known input settles."""
        span = known - self.anchor
        if final:
            return max(int(span / self.speed), self.made)
        # The last one must lie at or before the last known frame, and must not be the end's to hold.
        inside = math.floor((span - 0.5) / self.speed - 0.5) + 1
        return max(min(inside, int(span / self.speed)), self.made)


def _interpolate(frames: Tensor, places: list[float]) -> Tensor:
    """Columns at fractional places, held at both ends."""
    last = frames.shape[1] - 1
    if not places or last < 0:
        return frames[:, :0]
    held = [min(max(place, 0.0), float(last)) for place in places]
    low = [min(int(place), last) for place in held]
    index = torch.tensor(low, device=frames.device)
    weight = torch.tensor(
        [place - base for place, base in zip(held, low, strict=True)], device=frames.device
    ).to(frames.dtype)
    upper = frames[:, (index + 1).clamp(max=last)]
    lower = frames[:, index]
    return lower + (upper - lower) * weight

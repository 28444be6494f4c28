"""WORLD (pyworld): pitch contours, and other voices with the same words and timing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cosyserve.engine.cosyvoice.config import MEL_HOP, SAMPLE_RATE

from .teachers import Wave

_PERIOD: Final = 1000 * MEL_HOP / SAMPLE_RATE / 2
"""Milliseconds: half a mel frame, so that every other value lies at a frame's centre."""
_LOWEST: Final = 60.0
_HIGHEST: Final = 500.0


@dataclass(frozen=True, slots=True)
class Shift:
    """Factors. pitch: of the F0. tract: of the spectral envelope's frequencies; above 1 is a shorter one."""

    pitch: float
    tract: float

    @property
    def name(self) -> str:
        return f"{self.pitch:g}x{self.tract:g}"


SHIFTS: Final = (
    Shift(0.6, 0.86),
    Shift(0.72, 0.92),
    Shift(0.85, 0.9),
    Shift(0.85, 1.05),
    Shift(1.12, 0.95),
    Shift(1.18, 1.08),
    Shift(1.35, 1.1),
    Shift(1.5, 1.16),
)


def pitch(wave: Wave) -> NDArray[np.float32]:
    """F0 in Hz at the centre of every mel frame, 0 where there is no voice; len(wave) // 480 values."""
    import pyworld

    contour, _ = _contour(pyworld, wave)
    frames = len(wave) // MEL_HOP
    centres = contour[1::2][:frames]
    return np.pad(centres, (0, frames - len(centres))).astype(np.float32)


def shifted(wave: Wave, shift: Shift) -> Wave:
    """The same words by another voice; as long as `wave`."""
    import pyworld

    f0, times = _contour(pyworld, wave)
    sound = wave.astype(np.float64)
    envelope = pyworld.cheaptrick(sound, f0, times, SAMPLE_RATE)
    noise = pyworld.d4c(sound, f0, times, SAMPLE_RATE)
    bins = np.arange(envelope.shape[1])
    places = np.clip(bins / shift.tract, 0, bins[-1])
    logs = np.log(envelope)
    low = places.astype(int)
    high, part = np.minimum(low + 1, bins[-1]), places - low
    warped = np.exp(logs[:, low] * (1 - part) + logs[:, high] * part)
    made = pyworld.synthesize(
        f0 * shift.pitch, np.ascontiguousarray(warped), noise, SAMPLE_RATE, _PERIOD
    )
    return np.pad(made, (0, max(0, len(wave) - len(made))))[: len(wave)].astype(np.float32)


def _contour(pyworld: object, wave: Wave) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sound = wave.astype(np.float64)
    rough, times = pyworld.dio(  # type: ignore[attr-defined]
        sound, SAMPLE_RATE, f0_floor=_LOWEST, f0_ceil=_HIGHEST, frame_period=_PERIOD
    )
    fine = pyworld.stonemask(sound, rough, times, SAMPLE_RATE)  # type: ignore[attr-defined]
    return fine, times

"""Another intonation or pace for a sound whose F0 is known.

The pitch is moved by pitch-synchronous overlap-add (E. Moulines, F. Charpentier 1990, Speech
Communication 9): the sound is taken apart into grains of two periods, which are laid down again at the
wanted distance. That keeps the formants, and the length unless another is asked for. Another F0 for the
model's own vocoder would not do: a part of its sound has the F0 in its phases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ..frames import SAMPLE_RATE

if TYPE_CHECKING:
    from ...interface import Samples

_VOICELESS: Final = 100.0
"""Grains a second where there is no voice; they stay where they are."""
_BATCH: Final = 256
"""Grains laid down at once: 12 MB."""
_WINDOW: Final = 1200
"""Samples of sound that a whisper takes at once."""
_SMOOTH: Final = 15
"""Bins of 20 Hz over which a whisper's spectrum is levelled: the harmonics go, the formants stay."""
_BREATH_TILT: Final = 0.35
_BREATH_FULL: Final = 150
"""A whisper lacks the lowest sounds: amplitudes grow by this power of the bin, up to this bin."""
_WHISPER_LEVEL: Final = 0.4
"""RMS of a whisper over that of the voice."""


def repitched(
    sound: Samples, f0: Samples, wanted: Samples, *, formants: float = 1.0, stretch: float = 1.0
) -> Samples:
    """The sound with the F0 `wanted` in place of `f0`, equally loud.

    f0, wanted: Hz at equal distances over the sound, 0 where there is no voice. formants: a factor
    on the frequencies of the formants. stretch: a factor on the length.
    """
    marks = _marks(_per_sample(f0, len(sound)))
    length = round(len(sound) * stretch)
    places = _marks(_per_sample(wanted, length))
    if len(marks) < 2 or not len(places):
        return sound
    nearest = _nearest(marks, places / stretch)
    period = np.diff(marks, append=2 * marks[-1] - marks[-2])
    half = np.minimum(period[nearest] / formants, SAMPLE_RATE / 40)
    reach = int(half.max()) + 1
    offsets = np.arange(-reach, reach + 1)
    found = np.zeros(length + 2 * reach)
    for batch in (slice(at, at + _BATCH) for at in range(0, len(places), _BATCH)):
        weights = 0.5 + 0.5 * np.cos(np.pi * np.minimum(np.abs(offsets) / half[batch, None], 1.0))
        source = marks[nearest[batch]][:, None] + offsets * formants
        grains = weights * np.interp(source, np.arange(len(sound)), sound, left=0.0, right=0.0)
        targets = places[batch, None] + (offsets + reach)
        first = int(targets[0, 0])
        laid = np.bincount((targets - first).ravel(), grains.ravel())
        found[first : first + len(laid)] += laid
    found = found[reach : reach + length]
    return np.asarray(found * (sound.std() / max(float(found.std()), 1e-9)), np.float32)


def whispered(sound: Samples, noise: np.random.Generator) -> Samples:
    """The sound as a whisper: its spectrum, levelled, on noise."""
    hop = _WINDOW // 4
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    padded = np.pad(sound, (_WINDOW, _WINDOW + hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::hop] * window
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    sums = np.cumsum(
        np.pad(power, ((0, 0), (_SMOOTH // 2 + 1, _SMOOTH // 2)), mode="reflect"), axis=1
    )
    level = np.sqrt((sums[:, _SMOOTH:] - sums[:, :-_SMOOTH]).clip(0) / _SMOOTH)
    tilt = np.minimum(np.arange(level.shape[1]) / _BREATH_FULL, 1.0) ** _BREATH_TILT
    random = noise.standard_normal((*level.shape, 2), np.float32).view(np.complex64)[..., 0]
    parts = np.fft.irfft((level * tilt).astype(np.float32) * random, _WINDOW, axis=1) * window
    found = np.zeros(len(padded))
    for at, part in enumerate(parts):
        found[at * hop : at * hop + _WINDOW] += part
    found = found[_WINDOW : _WINDOW + len(sound)]
    level_now = max(float(found.std()), 1e-9)
    return np.asarray(found * (_WHISPER_LEVEL * sound.std() / level_now), np.float32)


def _per_sample(f0: Samples, length: int) -> Samples:
    """F0 for every sample; _VOICELESS where there is no voice."""
    size = length / len(f0)
    centres = (np.arange(len(f0)) + 0.5) * size
    track = np.where(f0 > 0, f0, _VOICELESS)
    return np.asarray(np.interp(np.arange(length), centres, track))


def _marks(f0: Samples) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The samples at which a new period begins."""
    turns = np.floor(np.cumsum(f0, dtype=np.float64) / SAMPLE_RATE)
    return np.flatnonzero(np.diff(turns)) + 1


def _nearest(
    marks: np.ndarray[tuple[int], np.dtype[np.int64]],
    places: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """For each place the index of the mark nearest to it."""
    after = np.searchsorted(marks, places).clip(1, len(marks) - 1)
    before = after - 1
    return np.where(places - marks[before] <= marks[after] - places, before, after)

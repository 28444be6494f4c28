"""The median fundamental frequency of a clip, by autocorrelation."""

from __future__ import annotations

import numpy as np

from ..base import Samples

_LOWEST, _HIGHEST = 60.0, 420.0
_FRAME = 0.046
_HOP = 0.012
_VOICED = 0.5
"""Least height of the autocorrelation's peak, as a share of the power, in a voiced frame."""
_SMALLER_LAG = 0.9
"""A shorter lag that reaches this share of the highest peak wins: else octaves below are taken."""
_QUIET = 0.1
"""Frames weaker than this share of the clip's loud part are passed over."""
_FEWEST_FRAMES = 8


def median_f0(samples: Samples, sample_rate: int) -> float | None:
    """Median F0 in Hz of the voiced parts, None if there are none. Takes about 1 ms per second of sound.

    The autocorrelation is that of the windowed frame over that of the window: P. Boersma (1993),
    "Accurate short-term analysis of the fundamental frequency...", IFA Proceedings 17.
    """
    size, hop = round(_FRAME * sample_rate), round(_HOP * sample_rate)
    if len(samples) < size:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop].astype(np.float64)
    power = frames.std(axis=1)
    loud = np.percentile(power, 95)
    if loud <= 1e-4:
        return None
    frames = frames[power > _QUIET * loud]
    peaks = [_frame_f0(r, sample_rate) for r in _autocorrelation(frames)]
    voiced = [f0 for f0 in peaks if f0 is not None]
    return float(np.median(voiced)) if len(voiced) >= _FEWEST_FRAMES else None


def _autocorrelation(frames: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Samples:
    """Rows of normalised autocorrelation, lag by lag."""
    size = frames.shape[1]
    window = np.hanning(size)
    length = 1 << (2 * size - 1).bit_length()
    centred = (frames - frames.mean(axis=1, keepdims=True)) * window
    spectra = np.fft.rfft(centred, length)
    rows = np.fft.irfft(np.abs(spectra) ** 2, length)[:, : size // 2]
    of_window = np.fft.irfft(np.abs(np.fft.rfft(window, length)) ** 2, length)[: size // 2]
    rows = rows / of_window
    return np.asarray(rows / np.maximum(rows[:, :1], 1e-12), dtype=np.float32)


def _frame_f0(row: Samples, sample_rate: int) -> float | None:
    shortest = max(1, int(sample_rate / _HIGHEST))
    longest = min(len(row) - 1, int(sample_rate / _LOWEST) + 1)
    part = row[shortest - 1 : longest + 1]
    inner = part[1:-1]
    is_peak = (inner > part[:-2]) & (inner >= part[2:])
    if not is_peak.any():
        return None
    highest = float(inner[is_peak].max())
    if highest < _VOICED:
        return None
    first = int(np.flatnonzero(is_peak & (inner >= _SMALLER_LAG * highest))[0])
    before, at, after = (float(x) for x in part[first : first + 3])
    curve = before - 2 * at + after
    shift = 0.5 * (before - after) / curve if curve < 0 else 0.0
    return sample_rate / (shortest + first + shift)

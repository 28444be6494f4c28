"""The median fundamental frequency of a clip, by autocorrelation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..interface import Samples

_RATE = 16000
"""Hz. A clip is analysed at the lowest integer fraction of its sample rate that is not below this."""
_ZERO_CROSSINGS = 6
"""Zero crossings of the low-pass filter before decimation, on each side."""
_BATCH = 256
"""Rows computed at once: frames, or windows of the filter."""
_LOWEST, _HIGHEST = 60.0, 420.0
"""Hz: the range of F0 that is looked for."""
_FRAME_SECONDS = 0.046
_HOP_SECONDS = 0.012
_VOICED = 0.5
"""Least height of the autocorrelation's peak, as a share of the power, in a voiced frame."""
_SMALLER_LAG = 0.9
"""The shortest lag that reaches this share of the highest peak wins, lest an octave below is found."""
_QUIET = 0.1
"""Frames weaker than this share of the clip's loud part are ignored."""
_FEWEST_FRAMES = 8


def median_f0(samples: Samples, sample_rate: int) -> float | None:
    """Median F0 in Hz of the voiced parts, None if there are none.

    Takes 2 to 8 ms per second of sound and, batch by batch, about 20 MB, whatever the sample rate.
    The autocorrelation is that of the windowed frame over that of the window: P. Boersma (1993),
    "Accurate short-term analysis of the fundamental frequency...", IFA Proceedings 17.
    """
    factor = max(1, sample_rate // _RATE)
    narrow, rate = _decimated(samples, factor), sample_rate / factor
    size, hop = round(_FRAME_SECONDS * rate), round(_HOP_SECONDS * rate)
    if len(narrow) < size:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(narrow, size)[::hop]
    power = np.concatenate(
        [frames[part].std(axis=1, dtype=np.float64) for part in _batches(len(frames))]
    )
    loud = np.percentile(power, 95)
    if loud <= 1e-4:
        return None
    (chosen,) = np.nonzero(power > _QUIET * loud)
    peaks = [
        _frame_f0(row, rate)
        for part in _batches(len(chosen))
        for row in _autocorrelation(frames[chosen[part]].astype(np.float64))
    ]
    voiced = [f0 for f0 in peaks if f0 is not None]
    return float(np.median(voiced)) if len(voiced) >= _FEWEST_FRAMES else None


def _decimated(samples: Samples, factor: int) -> Samples:
    """Every `factor`-th sample, low-passed by a sinc under a Hann window."""
    if factor == 1:
        return samples
    reach = _ZERO_CROSSINGS * factor
    taps = np.sinc(np.arange(-reach, reach + 1) / factor) * np.hanning(2 * reach + 3)[1:-1]
    taps = (taps / taps.sum()).astype(np.float32)
    if len(samples) < len(taps):
        return samples[:0]
    windows = np.lib.stride_tricks.sliding_window_view(samples, len(taps))[::factor]
    return np.concatenate([windows[part] @ taps for part in _batches(len(windows))])


def _batches(rows: int) -> Iterator[slice]:
    for begin in range(0, rows, _BATCH):
        yield slice(begin, begin + _BATCH)


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


def _frame_f0(row: Samples, sample_rate: float) -> float | None:
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

"""From the model's spectra to sound, by the formula that hibari documents for ports of it:

    S = exp(lh) e^{i π tanh(theta)} STFT(pulses(f0)) + exp(ln) Z + exp(lr) e^{i phi}

hibari's own `dsp.synth` takes nearly twice as long: it draws the noise Z anew for each sentence, works on
the interleaved halves of complex numbers, and on the silence at the ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from hibari import dsp

if TYPE_CHECKING:
    from ...interface import Samples

_BINS: Final = dsp.N_FFT // 2 + 1
_NOISE_FRAMES: Final = 1024
"""Frames of noise that are kept, 13 s; longer sounds repeat it."""
_QUIET: Final = 0.005
"""Magnitude of a frame but for its harmonics, RMS over the bins, below which it is silent."""
_SAMPLED: Final = 8
"""Every so many bins tell whether a frame is silent."""
_MARGIN: Final = 8
"""Frames left at each end beyond what is heard: 0.1 s. Two shape the first frame's sound."""


class Spectra(NamedTuple):
    """The outputs of the model: 601 bins by frames, and F0 by frames."""

    lh: Samples
    theta: Samples
    ln: Samples
    lr: Samples
    phi: Samples
    f0: Samples


class Vocoder:
    """Makes sound of spectra. The same spectra and seed give the same samples."""

    def __init__(self) -> None:
        # Real and imaginary part.
        self._noise = np.random.default_rng(0).standard_normal(
            (2, _BINS, _NOISE_FRAMES), dtype=np.float32
        )

    def sound(self, spectra: Spectra, seed: int) -> tuple[Samples, int]:
        """The sound but for the silence at its ends, and the frame at which it begins."""
        begin, end = _heard(spectra)
        lh, theta, ln, lr, phi = (part[:, begin:end] for part in spectra[:5])
        source = dsp.stft(dsp.pulses(spectra.f0), spectra.f0.size)[:, begin:end]
        frames = np.arange(seed, seed + end - begin) % _NOISE_FRAMES
        real, imaginary = self._noise.take(frames, axis=2) * _exp(ln)
        size, angle = _exp(lh), np.pi * np.tanh(theta)
        cosine, sine = size * np.cos(angle), size * np.sin(angle)
        real += cosine * source.real - sine * source.imag
        imaginary += cosine * source.imag + sine * source.real
        size = _exp(lr)
        real += size * np.cos(phi)
        imaginary += size * np.sin(phi)
        whole = np.empty(real.shape, np.complex64)
        whole.real, whole.imag = real, imaginary
        return dsp.ola(whole), begin


def _exp(part: Samples) -> Samples:
    return np.asarray(np.exp(np.minimum(part, 7.0)))


def _heard(spectra: Spectra) -> tuple[int, int]:
    """The frames from which to which something is heard, with a margin; all if nothing is."""
    ln, lr = (part[::_SAMPLED] for part in (spectra.ln, spectra.lr))
    power = (np.exp(2 * ln) + np.exp(2 * lr)).mean(axis=0)
    (found,) = np.nonzero(power > _QUIET**2)
    if not found.size:
        return 0, spectra.f0.size
    return max(0, int(found[0]) - _MARGIN), min(spectra.f0.size, int(found[-1]) + 1 + _MARGIN)

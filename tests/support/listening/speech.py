"""Does a piece of sound say a sentence? For tests; nothing here needs to be told what to expect
beyond the sentences to choose from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pocketsphinx import Decoder

Floats = npt.NDArray[np.float64]

_RECOGNISER_RATE = 16000
_NOISE = 5e-4
_MARGIN = 0.25
"""Seconds."""
DECOYS: tuple[str, ...] = (
    "yes",
    "no",
    "hello",
    "music",
    "never",
    "the committee will meet again on thursday afternoon",
    "seven purple elephants danced under the bridge",
    "please turn off the kitchen lights before you leave",
    "a cold wind blew across the empty harbor",
    "his brother works for a small company in the north",
)
"""What a recogniser may also hear, so that it is not forced to hear the right thing."""


def recognise(samples: npt.ArrayLike, rate: int, sentences: Sequence[str]) -> str:
    """The one of `sentences` that the English speech says, or "" if it sounds more like a decoy.

    samples: mono, full scale at +-1. sentences: of words that an English dictionary has, no digits.
    """
    choices = {_plain(sentence): sentence for sentence in sentences}
    grammar = " | ".join([*choices, *(decoy for decoy in DECOYS if decoy not in choices)])
    decoder = Decoder(lm=None, samprate=float(_RECOGNISER_RATE), loglevel="FATAL")
    decoder.add_jsgf_string("choices", f"#JSGF V1.0; grammar choices; public <choice> = {grammar};")
    decoder.activate_search("choices")
    _listen(decoder, samples, rate)
    heard = decoder.hyp()
    return choices.get(heard.hypstr, "") if heard else ""


def word_begins(samples: npt.ArrayLike, rate: int, sentence: str) -> list[float]:
    """Where a recogniser hears each word of an English sentence begin, in seconds, to about 30 ms."""
    decoder = Decoder(lm=None, samprate=float(_RECOGNISER_RATE), loglevel="FATAL")
    decoder.set_align_text(_plain(sentence))
    _listen(decoder, samples, rate)
    heard = [part for part in decoder.seg() or () if part.word[0].isalpha()]
    return [part.start_frame / 100 - _MARGIN for part in heard]


def _listen(decoder: Decoder, samples: npt.ArrayLike, rate: int) -> None:
    """Play a sound to a recogniser, with silence of _MARGIN around it."""
    sound = resample(np.asarray(samples, dtype=np.float64), rate, _RECOGNISER_RATE)
    silence = np.zeros(round(_RECOGNISER_RATE * _MARGIN))
    sound = np.concatenate([silence, 0.5 * sound / max(1e-9, np.abs(sound).max()), silence])
    # Digital silence has no logarithm: without a room's noise the recogniser loses its sense of level.
    sound += _NOISE * np.random.default_rng(0).standard_normal(len(sound))
    decoder.start_utt()
    decoder.process_raw((sound * 32767).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()


def rank_by_dtw(
    samples: npt.ArrayLike, candidates: Sequence[npt.ArrayLike], rate: int = 24000
) -> int:
    """Index of the candidate that sounds most like `samples`, whatever its pace. All at `rate` Hz."""
    features = mfcc(np.asarray(samples, dtype=np.float64), rate)
    distances = [
        dtw_distance(features, mfcc(np.asarray(candidate, dtype=np.float64), rate))
        for candidate in candidates
    ]
    return int(np.argmin(distances))


def resample(samples: Floats, rate: int, to: int) -> Floats:
    """Band-limited resampling of a whole clip, by its spectrum."""
    if rate == to or len(samples) == 0:
        return samples
    length = round(len(samples) * to / rate)
    spectrum = np.fft.rfft(samples)
    fitted = np.zeros(length // 2 + 1, dtype=complex)
    kept = min(len(spectrum), len(fitted))
    fitted[:kept] = spectrum[:kept]
    return np.fft.irfft(fitted, length) * (length / len(samples))


def mfcc(samples: Floats, rate: int, coefficients: int = 13) -> Floats:
    """Mel-frequency cepstral coefficients 1 to `coefficients` - 1, a row per 16 ms, each of mean 0
    and variance 1 over the clip."""
    size, hop, filters = round(0.032 * rate), round(0.016 * rate), 26
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames)) ** 2
    mels = np.linspace(_mel(80.0), _mel(min(7000.0, rate / 2)), filters + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    bins = np.fft.rfftfreq(size, 1 / rate)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    bank = np.clip(np.minimum(rising, falling), 0, None)
    floor = 1e-4 * power.max() + 1e-12
    energies = np.log(power @ bank.T + floor)
    orders = np.arange(1, coefficients)[:, None]
    cosines = np.cos(np.pi * orders * (np.arange(filters) + 0.5) / filters)
    cepstra = energies @ cosines.T
    return (cepstra - cepstra.mean(axis=0)) / (cepstra.std(axis=0) + 1e-9)


def dtw_distance(one: Floats, other: Floats) -> float:
    """Mean distance along the best alignment of two rows of features (dynamic time warping)."""
    costs = np.linalg.norm(one[:, None] - other[None], axis=2)
    rows, columns = costs.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    # By anti-diagonals: all cells of one depend on the two before it alone.
    for diagonal in range(2, rows + columns + 1):
        i = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
        j = diagonal - i
        best = np.minimum(np.minimum(total[i - 1, j], total[i, j - 1]), total[i - 1, j - 1])
        total[i, j] = costs[i - 1, j - 1] + best
    return float(total[rows, columns]) / (rows + columns)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def _plain(sentence: str) -> str:
    return " ".join(re.findall(r"[a-z']+", sentence.lower()))

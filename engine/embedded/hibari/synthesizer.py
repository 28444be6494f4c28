"""The natural voice as a worker uses it: a job's text in, its sound and marks out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from ..frames import SAMPLE_RATE, NaturalProsody, ToldSounds
from ..sound import WordMark
from .installation import MEDIAN_F0
from .intonation import repitched, whispered
from .model import HibariModel, Voiced
from .reading import Phonemes, read

if TYPE_CHECKING:
    from ...interface import Samples

_LOWEST, _HIGHEST = 45.0, 600.0
"""Hz: the range of F0 it speaks in."""
_MOST_SYMBOLS: Final = 240
"""Phonemes spoken at once at speed 1 or faster: 14 seconds, which take 60 MB. A text of more symbols is
spelled out or slow; it is spoken in parts."""
_LEVEL: Final = 1.6
"""A factor on the sound that makes it as loud as the voices of espeak-ng."""
_KNEE: Final = 0.7
"""Samples above this are bent, so that none is cut off."""
_QUIET: Final = 0.002
"""RMS below which the ends of a sound are silence, at a level of 1."""
_QUIET_SIZE: Final = SAMPLE_RATE // 200
_LEAD, _TAIL = round(0.01 * SAMPLE_RATE), round(0.02 * SAMPLE_RATE)
"""Samples left of the silence at both ends: the pauses are the session's."""
_FADE: Final = round(0.005 * SAMPLE_RATE)


class HibariSynthesizer:
    """Speaks English. The same arguments give the same samples. Not thread-safe."""

    def __init__(self) -> None:
        self._model = HibariModel()

    def speak(
        self,
        text: str,
        prosody: NaturalProsody,
        seed: int,
        go_on: Callable[[], bool],
        sounds: Sequence[ToldSounds] = (),
    ) -> tuple[bytes, list[WordMark]] | None:
        """16-bit PCM at SAMPLE_RATE and the marks of words and punctuation; None if stopped.

        go_on: asked now and then. sounds: of words whose pronunciation is told.
        Raises Unreadable if a part of the text would not be heard.
        """
        reading = read(text, self._model.g2p, self._model.alphabet, sounds)
        found: list[Samples] = []
        marks: list[WordMark] = []
        length = 0
        for row in _rows(reading, round(_MOST_SYMBOLS * min(1.0, prosody.speed))):
            if not go_on():
                return None
            spoken = self._model.speak("".join(each.symbols for each in row), prosody.speed, seed)
            sound = _intoned(spoken, prosody)
            if prosody.whisper:
                sound = whispered(sound, np.random.default_rng(seed))
            begin, end = _audible(sound)
            at = 0
            for each in row:
                sample = min(max(round(spoken.begins[at] * spoken.stretch) - begin, 0), end - begin)
                marks.append(WordMark(length + sample, each.position))
                at += len(each.symbols)
            found.append(_faded(sound[begin:end]))
            length += end - begin
        return _pcm(np.concatenate(found) * (_LEVEL * prosody.volume)), marks


def _rows(reading: list[Phonemes], most: int) -> Iterator[list[Phonemes]]:
    """Divide a reading into rows of at most so many symbols, which are spoken at once."""
    row: list[Phonemes] = []
    count = 0
    for each in reading:
        for begin in range(0, len(each.symbols), most):
            part = each._replace(symbols=each.symbols[begin : begin + most])
            if row and count + len(part.symbols) > most:
                yield row
                row, count = [], 0
            row.append(part)
            count += len(part.symbols)
    yield row


def _intoned(spoken: Voiced, prosody: NaturalProsody) -> Samples:
    """The sound at the pitch and the pace that are asked for."""
    sound, f0 = spoken.sound, spoken.f0
    if prosody.pitch == prosody.pitch_range == prosody.formants == spoken.stretch == 1.0:
        return sound
    voiced = f0 > 0
    around = np.where(voiced, f0, MEDIAN_F0) / MEDIAN_F0
    hertz = MEDIAN_F0 * prosody.pitch * around**prosody.pitch_range
    wanted = np.where(voiced, hertz.clip(_LOWEST, _HIGHEST), 0).astype(np.float32)
    return repitched(sound, f0, wanted, formants=prosody.formants, stretch=spoken.stretch)


def _audible(sound: Samples) -> tuple[int, int]:
    """Where the sound begins and ends but for its silent ends; the whole of it if it is silent."""
    blocks = len(sound) // _QUIET_SIZE
    rows = sound[: blocks * _QUIET_SIZE].reshape(blocks, _QUIET_SIZE)
    (loud,) = np.nonzero(np.sqrt(np.mean(rows * rows, axis=1)) > _QUIET)
    if not len(loud):
        return 0, len(sound)
    begin, end = int(loud[0]) * _QUIET_SIZE, (int(loud[-1]) + 1) * _QUIET_SIZE
    return max(0, begin - _LEAD), min(len(sound), end + _TAIL)


def _faded(sound: Samples) -> Samples:
    """The sound with its ends at zero, lest they click."""
    size = min(_FADE, len(sound) // 2)
    slope = np.linspace(0, 1, size, dtype=np.float32)
    faded = sound.copy()
    faded[:size] *= slope
    faded[len(faded) - size :] *= slope[::-1]
    return faded


def _pcm(sound: Samples) -> bytes:
    size = np.abs(sound)
    bent = _KNEE + (1 - _KNEE) * np.tanh((size - _KNEE) / (1 - _KNEE))
    whole = np.where(size > _KNEE, np.copysign(bent, sound), sound)
    return np.asarray(np.rint(whole * 32767), "<i2").tobytes()

from __future__ import annotations

import numpy as np
import pytest

from cosyserve.engine.embedded.frames import SAMPLE_RATE
from cosyserve.engine.embedded.hibari.intonation import repitched, whispered
from cosyserve.engine.embedded.pitch import median_f0
from cosyserve.engine.interface import Samples

F0 = 180.0


def vowel(seconds: float = 1.0) -> tuple[Samples, Samples]:
    """A steady vowel with a formant at 800 Hz, and its F0 eighty times a second."""
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sound = sum(
        np.exp(-(((F0 * n - 800) / 300) ** 2)) * np.cos(2 * np.pi * F0 * n * times)
        for n in range(1, 20)
    )
    return np.asarray(0.1 * sound, np.float32), np.full(round(80 * seconds), F0, np.float32)


def centre(sound: Samples) -> float:
    """Hz: the middle of the spectrum's power."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    return float((np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE) * power).sum() / power.sum())


def power_at(sound: Samples, hertz: Samples) -> float:
    """The power within 20 Hz of these frequencies, on average."""
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    places = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    return float(np.mean([power[np.abs(places - each) < 20].mean() for each in hertz]))


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.25, 1.8])
def test_the_pitch_moves_and_nothing_else(factor: float) -> None:
    sound, f0 = vowel()
    moved = repitched(sound, f0, f0 * np.float32(factor))
    assert len(moved) == len(sound)
    assert median_f0(moved, SAMPLE_RATE) == pytest.approx(F0 * factor, rel=0.01)
    assert centre(moved) == pytest.approx(centre(sound), rel=0.06)
    assert moved.std() == pytest.approx(sound.std(), rel=1e-3)


@pytest.mark.parametrize("factor", [0.85, 1.2])
def test_the_formants_move_and_the_pitch_stays(factor: float) -> None:
    sound, f0 = vowel()
    moved = repitched(sound, f0, f0, formants=factor)
    assert centre(moved) == pytest.approx(centre(sound) * factor, rel=0.06)
    assert median_f0(moved, SAMPLE_RATE) == pytest.approx(F0, rel=0.01)


@pytest.mark.parametrize("stretch", [0.8, 1.1])
def test_the_length_changes_and_the_pitch_stays(stretch: float) -> None:
    sound, f0 = vowel()
    longer = repitched(sound, f0, f0, stretch=stretch)
    assert len(longer) == round(len(sound) * stretch)
    assert median_f0(longer, SAMPLE_RATE) == pytest.approx(F0, rel=0.01)


def test_sound_without_voice_stays_as_it_is() -> None:
    noise = np.random.default_rng(1).standard_normal(SAMPLE_RATE).astype(np.float32) / 10
    silent = np.zeros(80, np.float32)
    middle = slice(1000, -1000)
    assert np.allclose(repitched(noise, silent, silent)[middle], noise[middle], atol=0.02)


def test_a_sound_of_no_length_is_given_back() -> None:
    sound = np.zeros(300, np.float32)
    assert repitched(sound, sound[:1], sound[:1]) is sound


def test_a_whisper_has_the_formants_and_no_pitch() -> None:
    sound, _ = vowel()
    whisper = whispered(sound, np.random.default_rng(1))
    assert len(whisper) == len(sound)
    harmonics = F0 * np.arange(2, 8)
    assert power_at(sound, harmonics) > 100 * power_at(sound, harmonics + F0 / 2)
    assert power_at(whisper, harmonics) < 2 * power_at(whisper, harmonics + F0 / 2)
    assert centre(whisper) == pytest.approx(centre(sound), rel=0.15)
    assert 0.2 * sound.std() < whisper.std() < 0.6 * sound.std()

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hibari import dsp

from cosyserve.engine.embedded import alphabets
from cosyserve.engine.embedded.frames import SAMPLE_RATE, NaturalProsody, ToldSounds
from cosyserve.engine.embedded.hibari.installation import MEDIAN_F0
from cosyserve.engine.embedded.hibari.model import HibariModel
from cosyserve.engine.embedded.hibari.synthesizer import HibariSynthesizer
from cosyserve.engine.embedded.hibari.vocoder import Spectra, Vocoder
from cosyserve.engine.embedded.pitch import median_f0
from cosyserve.engine.embedded.sound import WordMark
from cosyserve.engine.interface import Samples
from support.listening.speech import recognise, word_begins

SENTENCES = (
    "The birch canoe slid on the smooth planks.",
    "It is easy to tell the depth of a well.",
    "Rice is often served in round bowls.",
    "Four hours of steady work faced us.",
)
PLAIN = NaturalProsody(1.0, 1.0, 1.0, 1.0, 1.0, False)


@pytest.fixture(scope="module")
def natural() -> HibariSynthesizer:
    return HibariSynthesizer()


def spoken(
    natural: HibariSynthesizer, text: str, prosody: NaturalProsody = PLAIN, seed: int = 1
) -> tuple[Samples, list[WordMark]]:
    found = natural.speak(text, prosody, seed, lambda: True)
    assert found is not None
    return np.frombuffer(found[0], "<i2").astype(np.float32) / 32768, found[1]


def test_the_durations_are_those_of_the_sound() -> None:
    model = HibariModel()
    voiced = model.speak("həlˈO ðˈɛɹ.", 1.0, 1)
    assert len(voiced.begins) == len("həlˈO ðˈɛɹ.")
    assert voiced.begins == sorted(voiced.begins)
    assert len(voiced.sound) == 300 * len(voiced.f0)
    assert voiced.begins[-2] < len(voiced.sound)


@pytest.mark.parametrize(
    "prosody",
    [
        PLAIN,
        PLAIN._replace(pitch=0.56, formants=0.86),
        PLAIN._replace(pitch=1.4),
        PLAIN._replace(pitch_range=0.0),
        PLAIN._replace(speed=0.6),
        PLAIN._replace(speed=1.4),
        PLAIN._replace(whisper=True),
    ],
)
def test_every_way_to_speak_is_understood(
    natural: HibariSynthesizer, prosody: NaturalProsody
) -> None:
    for sentence in SENTENCES:
        assert recognise(spoken(natural, sentence, prosody)[0], SAMPLE_RATE, SENTENCES) == sentence


@pytest.mark.parametrize("factor", [0.5, 0.75, 1.0, 1.3])
def test_the_pitch_is_what_was_asked_for(natural: HibariSynthesizer, factor: float) -> None:
    sound, _ = spoken(natural, " ".join(SENTENCES), PLAIN._replace(pitch=factor))
    assert median_f0(sound, SAMPLE_RATE) == pytest.approx(MEDIAN_F0 * factor, rel=0.04)


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 1.5, 2.0])
def test_the_length_is_what_was_asked_for(natural: HibariSynthesizer, speed: float) -> None:
    text = "Glue the sheet to the dark blue background of the old house near the river."
    whole = len(spoken(natural, text)[0])
    assert len(spoken(natural, text, PLAIN._replace(speed=speed))[0]) * speed == pytest.approx(
        whole, rel=0.05
    )


@pytest.mark.parametrize("speed", [0.7, 1.0, 1.5])
def test_words_are_heard_at_their_marks(natural: HibariSynthesizer, speed: float) -> None:
    misses = []
    for sentence in SENTENCES:
        sound, marks = spoken(natural, sentence, PLAIN._replace(speed=speed))
        told = [mark.sample / SAMPLE_RATE for mark in marks if sentence[mark.position].isalpha()]
        heard = word_begins(sound, SAMPLE_RATE, sentence)
        assert len(told) == len(heard) == len(sentence.split())
        misses += [abs(one - other) for one, other in zip(told, heard, strict=True)]
    assert np.mean(misses) < 0.03
    assert max(misses) < 0.12


def test_it_repeats_to_the_sample_with_the_seed(natural: HibariSynthesizer) -> None:
    first, _ = spoken(natural, SENTENCES[0])
    spoken(natural, SENTENCES[1], seed=5)
    assert (spoken(natural, SENTENCES[0])[0] == first).all()
    assert (spoken(natural, SENTENCES[0], seed=2)[0] != first).any()


def test_it_begins_and_ends_at_zero_and_soon(natural: HibariSynthesizer) -> None:
    sound, marks = spoken(natural, SENTENCES[2])
    assert abs(sound[0]) < 1e-3
    assert abs(sound[-1]) < 1e-3
    loud = np.flatnonzero(np.abs(sound) > 0.02) / SAMPLE_RATE
    assert loud[0] < 0.1
    assert len(sound) / SAMPLE_RATE - loud[-1] < 0.2
    assert marks[0].sample >= 0
    assert marks[-1].sample <= len(sound)


def test_no_volume_clips(natural: HibariSynthesizer) -> None:
    quiet, _ = spoken(natural, SENTENCES[0], PLAIN._replace(volume=0.5))
    plain, _ = spoken(natural, SENTENCES[0])
    loud, _ = spoken(natural, SENTENCES[0], PLAIN._replace(volume=2.0))
    assert quiet.std() == pytest.approx(plain.std() / 2, rel=0.05)
    assert loud.std() > 1.5 * plain.std()
    assert np.abs(loud).max() < 1


def test_a_text_of_many_sounds_is_spoken_in_parts(natural: HibariSynthesizer) -> None:
    text = "XKWQ " * 15  # spelled out: four sounds a letter
    sound, marks = spoken(natural, text)
    assert len(sound) > 12 * SAMPLE_RATE
    assert [mark.position for mark in marks] == list(range(0, 75, 5))
    assert all(one.sample < other.sample for one, other in pairwise(marks))


def test_it_stops_before_it_begins_if_nobody_waits(natural: HibariSynthesizer) -> None:
    assert natural.speak(SENTENCES[0], PLAIN, 1, lambda: False) is None


@pytest.mark.parametrize("sound", sorted(alphabets._NAMES))
def test_it_has_every_sound_that_espeak_ng_has(natural: HibariSynthesizer, sound: str) -> None:
    spelling = alphabets.ALPHABETS["ipa"].spell(f"b{sound}b", possessive=False)
    assert set(spelling.natural) <= set(natural._model.alphabet)


def test_a_word_is_spoken_as_it_is_told_to_be(natural: HibariSynthesizer) -> None:
    text = "Rice is often qqqqqq in Qq bowls."
    ipa = alphabets.ALPHABETS["ipa"]
    served, round_ = (ipa.spell(each, possessive=False) for each in ("sɝvd", "ɹaʊnd"))
    sounds = (ToldSounds(14, 20, *served), ToldSounds(24, 26, *round_))
    found = natural.speak(text, PLAIN, 1, lambda: True, sounds)
    assert found is not None
    sound = np.frombuffer(found[0], "<i2") / 32768
    assert recognise(sound, SAMPLE_RATE, SENTENCES) == SENTENCES[2]
    assert [mark.position for mark in found[1]] == [0, 5, 8, 14, 21, 24, 27, 32]


def test_the_vocoder_is_that_of_the_package() -> None:
    rng = np.random.default_rng(1)
    frames = 120
    loud = np.full((601, frames), 1.0, np.float32)
    loud[:, :30] = loud[:, 90:] = -20.0
    phase = rng.uniform(-1, 1, (601, frames)).astype(np.float32)
    f0 = np.where(np.arange(frames) < 60, 0, 200).astype(np.float32)
    spectra = Spectra(loud, phase, loud - 20, loud, phase, f0)  # without noise: that is another one
    sound, first = Vocoder().sound(spectra, 1)
    whole = dsp.synth(*spectra, rng)[first * dsp.HOP :][: len(sound)]
    assert 0 < first < 30
    assert len(sound) < 80 * dsp.HOP
    middle = slice(4 * dsp.HOP, -4 * dsp.HOP)
    assert np.allclose(sound[middle], whole[middle], atol=1e-3)
    assert np.abs(whole).max() > 0.1

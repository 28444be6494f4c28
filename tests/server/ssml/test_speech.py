"""SSML on the real embedded engine: what is asked for is heard."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from cosyserve.engine.embedded.engine import EmbeddedEngine
from cosyserve.engine.embedded.pitch import median_f0
from cosyserve.engine.interface import SynthesisOptions
from support.engines.embedded import RATE, running, silences, speak
from support.listening.speech import rank_by_dtw, recognise
from support.listening.spoken import Spoken
from support.listening.ssml import SpokenSsml, speak_ssml

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = "Rice is often served in round bowls."


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=[True, False], ids=["hibari", "espeak-ng"]
)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[EmbeddedEngine]:
    async with running(natural_voice=request.param) as engine:
        yield engine


async def plainly(engine: EmbeddedEngine, text: str) -> Spoken:
    """The text without SSML, by the engine's first voice, which speaks SSML here, too."""
    return await speak(engine, text, engine.capabilities.voices[0].id)


async def said(engine: EmbeddedEngine, attributes: str) -> SpokenSsml:
    return await speak_ssml(engine, f"<speak><prosody {attributes}>{TEXT}</prosody></speak>")


async def test_a_document_without_markup_is_the_plain_speech(engine: EmbeddedEngine) -> None:
    plain = await plainly(engine, TEXT)
    document = await speak_ssml(engine, f"<speak>{TEXT}</speak>")
    text = await speak_ssml(engine, TEXT)
    assert (document.samples == plain.samples).all()
    assert (text.samples == plain.samples).all()
    assert document.words == text.words == plain.words
    assert document.sentences == plain.sentences


@pytest.mark.parametrize("rate", [0.5, 0.8, 1.5, 2.0])
async def test_rate_by_duration(engine: EmbeddedEngine, rate: float) -> None:
    plain = await plainly(engine, TEXT)
    spoken = await said(engine, f"rate='{rate:.0%}'")
    assert spoken.seconds * rate == pytest.approx(plain.seconds, rel=0.06)
    assert recognise(spoken.samples, RATE, [TEXT]) == TEXT


@pytest.mark.parametrize("semitones", [-6, -2, 3, 7])
async def test_pitch_by_f0(engine: EmbeddedEngine, semitones: int) -> None:
    plain = await plainly(engine, TEXT)
    spoken = await said(engine, f"pitch='{semitones:+d}st'")
    f0 = [median_f0(samples, RATE) for samples in (plain.samples, spoken.samples)]
    assert f0[1] == pytest.approx((f0[0] or 0) * 2 ** (semitones / 12), rel=0.03)
    assert spoken.seconds == pytest.approx(plain.seconds, rel=0.02)


@pytest.mark.parametrize("decibels", [-20, -6, 4])
async def test_volume_by_rms(engine: EmbeddedEngine, decibels: int) -> None:
    plain = await plainly(engine, TEXT)
    spoken = await said(engine, f"volume='{decibels:+d}dB'")
    gain = 20 * np.log10(spoken.samples.std() / plain.samples.std())
    assert gain == pytest.approx(decibels, abs=0.3)
    assert np.abs(spoken.samples).max() < 1
    silent = await said(engine, "volume='silent'")
    assert not silent.samples.any()
    assert silent.seconds == pytest.approx(plain.seconds)


@pytest.mark.parametrize("speed", [1.0, 2.0])
async def test_a_break_by_its_silence(engine: EmbeddedEngine, speed: float) -> None:
    text = "<speak>One two three<break time='700ms'/>four five.</speak>"
    spoken = await speak_ssml(engine, text, SynthesisOptions(speed=speed))
    [(begin, length)] = silences(spoken.samples, 0.3)
    assert length == pytest.approx(0.7, abs=0.03)
    four = next(word for word in spoken.words if spoken.plain[word.text_begin :].startswith("four"))
    assert four.begin == pytest.approx(begin + length, abs=0.03)


async def test_runs_keep_the_pauses_of_their_text(engine: EmbeddedEngine) -> None:
    plain = await plainly(engine, "One. Two, three four.")
    spoken = await speak_ssml(
        engine, "<speak>One. <prosody volume='99%'>Two,</prosody> three four.</speak>"
    )
    one, other = (silences(samples, 0.12) for samples in (plain.samples, spoken.samples))
    assert [length for _, length in other][:2] == pytest.approx([0.29, 0.15], abs=0.05)
    assert one[0][1] == pytest.approx(other[0][1], abs=0.03)


async def test_marks_lie_at_their_words(engine: EmbeddedEngine) -> None:
    spoken = await speak_ssml(
        engine, "<speak><mark name='a'/>One <mark name='b'/>two <emphasis>three</emphasis>"
        "<mark name='c'/></speak>"
    )  # fmt: skip
    begins = [word.begin for word in spoken.words]
    marks = {mark.name: mark.at for mark in spoken.marks}
    assert marks == pytest.approx({"a": 0.0, "b": begins[1], "c": spoken.seconds}, abs=0.001)


async def test_pinyin_is_heard(engine: EmbeddedEngine) -> None:
    text = "<speak><phoneme alphabet='py' ph='{}'>长</phoneme></speak>"
    long, grow = [
        (await speak_ssml(engine, text.format(sounds))).samples for sounds in ("cháng", "zhang3")
    ]
    likely = [(await plainly(engine, han)).samples for han in ("常", "掌")]
    assert rank_by_dtw(long, likely) == 0
    assert rank_by_dtw(grow, likely) == 1


async def test_ipa_is_heard(engine: EmbeddedEngine) -> None:
    text = "<speak>Rice is often <phoneme ph='{}'>x y z</phoneme> in round bowls.</speak>"
    spoken = await speak_ssml(engine, text.format("ˈsɜːvd"))
    assert recognise(spoken.samples, RATE, [TEXT]) == TEXT
    assert spoken.notices == ()
    words = [spoken.plain[word.text_begin : word.text_end] for word in spoken.words]
    assert words == ["Rice", "is", "often", "x y z", "in", "round", "bowls"]


async def test_a_sentence_with_phonemes_is_spoken_as_one(engine: EmbeddedEngine) -> None:
    text = "<speak>Rice is often {} in round bowls.</speak>"
    told = await speak_ssml(
        engine, text.format("<phoneme alphabet='cmu-arpabet' ph='S ER1 V D'>x</phoneme>")
    )
    read = await speak_ssml(engine, text.format("served"))
    assert told.samples.tobytes() == read.samples.tobytes()
    assert len(told.sentences) == 1


async def test_sounds_that_no_voice_has_are_said_not_to_be_heard(engine: EmbeddedEngine) -> None:
    spoken = await speak_ssml(engine, "<speak><phoneme ph='ʁyø'>tomato</phoneme></speak>")
    assert (spoken.samples == (await plainly(engine, "tomato")).samples).all()
    [notice] = spoken.notices
    assert "'ʁyø' in ipa" in notice


async def test_a_substitution_is_heard(engine: EmbeddedEngine) -> None:
    spoken = await speak_ssml(
        engine, "<speak>Rice is often served in <sub alias='round'>square</sub> bowls.</speak>"
    )
    assert recognise(spoken.samples, RATE, [TEXT]) == TEXT


async def test_no_gap_lies_between_runs_of_a_sentence(engine: EmbeddedEngine) -> None:
    words = TEXT.rstrip(".").split()
    runs = " ".join(f"<prosody volume='{99 - n}%'>{word}</prosody>" for n, word in enumerate(words))
    spoken = await speak_ssml(engine, f"<speak>{runs}</speak>")
    assert silences(spoken.samples, 0.12) == []
    assert len(spoken.sentences) == 1

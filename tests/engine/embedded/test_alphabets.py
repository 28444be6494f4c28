"""Sounds that are told: IPA and pinyin."""

from __future__ import annotations

import pytest

from cosyserve.engine.embedded.alphabets import ALPHABETS, phoneme_names
from cosyserve.engine.embedded.engine import EmbeddedEngine
from cosyserve.engine.interface import PhoneticEngine, SynthesisOptions, UnsupportedRequest
from support.engines.embedded import RATE, speak, voice_of
from support.listening.spoken import Spoken


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("təˈmɑːtoʊ", "t@'mA:toU"),
        ("/t͡ʃɜːɹt͡ʃ/", "tS3:tS"),
        ("ˈbɛ.ɹi", "'bEri"),
        ("ˈnɪɹ", "'ni@3"),
        ("stˈɑːɹt", "st'A@t"),
        ("həˈloʊ ˈwɜːld", "h@'loU||'w3:ld"),
        ("ˈbʌʔn̩", "'bV?n-"),
        ("gɡ", "gg"),
        ("ʁ", None),
        ("y", None),
        ("]]", None),
        ("", None),
        ("a]]<b", None),
    ],
)
def test_ipa_to_names(text: str, names: str | None) -> None:
    assert phoneme_names(text) == names


@pytest.mark.parametrize("text", ["x]]", "[[", "<a>", "\0", "ni3 hao6", "1", "你", "ñ3"])
def test_what_is_no_alphabet_is_not_written(text: str) -> None:
    assert ALPHABETS["py"].written(text) is None
    assert ALPHABETS["ipa"].written(text) is None


def test_syllables_that_espeak_would_spell_are_written_otherwise() -> None:
    assert ALPHABETS["py"].written("xióng māo qiong2 lv4") == "xong2 mao1 qong2 lv4"


async def say(engine: EmbeddedEngine, alphabet: str, text: str) -> Spoken:
    session = engine.open_phonetic(voice_of(engine, "alba"), SynthesisOptions(), alphabet)
    async with session:
        await session.feed(text)
        await session.finish()
        return Spoken(tuple([chunk async for chunk in session]), RATE)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("word", "sounds"),
    [
        ("tomato", "təmˈeɪɾoʊ"),
        ("father", "fˈɑːðɚ"),
        ("judge", "dʒˈʌdʒ"),
        ("square", "skwˈɛɹ"),
        ("choice", "tʃˈɔɪs"),
        ("thing", "θˈɪŋ"),
    ],
)
async def test_sounds_are_those_of_the_word(engine: EmbeddedEngine, word: str, sounds: str) -> None:
    told, read = await say(engine, "ipa", sounds), await speak(engine, word)
    assert told.seconds == pytest.approx(read.seconds, rel=0.02)
    assert [(w.text_begin, w.text_end) for w in told.words] == [(0, len(sounds))]


@pytest.mark.asyncio(loop_scope="module")
async def test_pinyin_is_the_same_with_signs_and_numbers(engine: EmbeddedEngine) -> None:
    signs, numbers = [await say(engine, "py", text) for text in ("nǐ hǎo", "ni3 hao3")]
    assert (signs.samples == numbers.samples).all()


@pytest.mark.asyncio(loop_scope="module")
async def test_what_it_reads(engine: EmbeddedEngine) -> None:
    assert isinstance(engine, PhoneticEngine)
    assert engine.reads("py", "nǐ hǎo")
    assert engine.reads("ipa", "həˈloʊ")
    assert not engine.reads("ipa", "ʁ")
    assert not engine.reads("cmu", "HH AH")
    with pytest.raises(UnsupportedRequest, match="alphabet: one of py, ipa"):
        engine.open_phonetic(voice_of(engine, "alba"), SynthesisOptions(), "cmu")

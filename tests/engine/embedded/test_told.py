"""Words whose pronunciation is told, within their sentences."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from cosyserve.engine.embedded.engine import EmbeddedEngine
from cosyserve.engine.interface import PhoneticEngine, Sounds, SynthesisOptions
from support.engines.embedded import RATE, check_words, speak, voice_of
from support.listening.speech import recognise
from support.listening.spoken import Spoken

pytestmark = pytest.mark.asyncio(loop_scope="module")

Piece = str | tuple[str, str, str]
"""Text, or a word with an alphabet and its sounds in it."""

SENTENCES = (
    "rice is often served in round bowls",
    "the juice of lemons makes fine punch",
    "four hours of steady work faced us",
)


async def say(engine: EmbeddedEngine, pieces: Iterable[Piece], voice: str = "alba") -> Spoken:
    async with engine.open_session(voice_of(engine, voice), SynthesisOptions()) as session:
        for piece in pieces:
            if isinstance(piece, str):
                await session.feed(piece)
            else:
                await session.say(piece[0], Sounds(*piece[1:]))
        await session.finish()
        return Spoken(tuple([chunk async for chunk in session]), RATE)


def text_of(pieces: Iterable[Piece]) -> str:
    return "".join(piece if isinstance(piece, str) else piece[0] for piece in pieces)


async def test_its_alphabets(engine: EmbeddedEngine) -> None:
    assert isinstance(engine, PhoneticEngine)
    assert engine.alphabets == ("py", "ipa", "cmu-arpabet")
    assert engine.unspeakable(Sounds("py", "nǐ hǎo")) is None
    assert engine.unspeakable(Sounds("ipa", "həˈloʊ")) is None
    assert "'ʁ'" in (engine.unspeakable(Sounds("ipa", "ʁa")) or "")
    assert "py, ipa, cmu-arpabet" in (engine.unspeakable(Sounds("x-sampa", "a")) or "")
    assert "allowed: up to 256" in (engine.unspeakable(Sounds("ipa", "a" * 257)) or "")


@pytest.mark.parametrize("voice", ["hanna", "alba"])
async def test_the_sentence_is_spoken_as_one(engine: EmbeddedEngine, voice: str) -> None:
    pieces: list[Piece] = [
        "Rice is often ",
        ("xyz", "ipa", "ˈsɝvd"),
        " in ",
        ("Rd", "ipa", "ɹaʊnd"),
    ]
    told = await say(engine, [*pieces, " bowls."], voice)
    assert recognise(told.samples, RATE, SENTENCES) == SENTENCES[0]
    read = await speak(engine, "Rice is often served in round bowls.", voice)
    assert told.seconds == pytest.approx(read.seconds, rel=0.03)
    assert len(told.sentences) == 1
    assert [text_of([*pieces, " bowls."])[w.text_begin : w.text_end] for w in told.words] == (
        ["Rice", "is", "often", "xyz", "in", "Rd", "bowls"]
    )


async def test_it_sounds_as_if_it_were_written_so(engine: EmbeddedEngine) -> None:
    told = await say(engine, ["He met ", ("Nguyen", "ipa", "ˈwɪn"), " in Paris today."])
    read = await speak(engine, "He met Winn in Paris today.")
    assert told.samples.tobytes() == read.samples.tobytes()


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
    told, read = await say(engine, [("w", "ipa", sounds)]), await speak(engine, word)
    assert told.seconds == pytest.approx(read.seconds, rel=0.02)


async def test_pinyin_in_a_sentence(engine: EmbeddedEngine) -> None:
    told = await say(engine, ["我去", ("银行", "py", "yin2 hang2"), "取钱。"])
    read = await speak(engine, "我去银行取钱。")
    assert told.seconds == pytest.approx(read.seconds, rel=0.05)
    assert [(w.text_begin, w.text_end) for w in told.words] == [
        (0, 1),
        (1, 2),
        (2, 4),
        (4, 5),
        (5, 6),
    ]
    marked = await say(engine, ["我去", ("银行", "py", "yín háng"), "取钱。"])
    assert (marked.samples == told.samples).all()
    other = await say(engine, ["我去", ("银行", "py", "yin2 xing2"), "取钱。"])
    assert other.samples.tobytes() != told.samples.tobytes()


async def test_a_word_of_another_language_has_its_own_voice(engine: EmbeddedEngine) -> None:
    pieces: list[Piece] = ["We flew to ", ("Chongqing", "py", "chong2 qing4"), " at noon."]
    told = await say(engine, pieces)
    words = [text_of(pieces)[w.text_begin : w.text_end] for w in told.words]
    assert words == ["We", "flew", "to", "Chongqing", "at", "noon"]
    check_words(told.words, len(text_of(pieces)), told.seconds)


@pytest.mark.parametrize("voice", ["hanna", "alba"])
@pytest.mark.parametrize(
    "pieces",
    [
        [("Nguyen", "ipa", "wɪn")],
        ["(", ("Bob", "ipa", "bɒb"), ") said [[yes]] ", ("x", "ipa", "ɛks"), "."],
        [
            "tom",
            ("ato", "ipa", "ˈeɪtoʊ"),
            "es, and ",
            ("St. Louis", "ipa", "seɪntˈluːɪs"),
            "’s arch.",
        ],
        [("a", "ipa", "eɪ"), ("b", "ipa", "biː"), ("c", "cmu-arpabet", "S IY1")],
        [
            "See **",
            ("it", "ipa", "ɪt"),
            "**, 5 ",
            ("km", "ipa", "klɪks"),
            " off. ",
            ("B", "ipa", "bi"),
        ],
        [("w" * 60, "ipa", "wˈɪn"), " ", ("字" * 60, "py", "zi4"), "。"],
    ],
)
async def test_wherever_it_stands(engine: EmbeddedEngine, voice: str, pieces: list[Piece]) -> None:
    told = await say(engine, pieces, voice)
    check_words(told.words, len(text_of(pieces)), told.seconds)
    at = 0
    for piece in pieces:
        size = len(piece if isinstance(piece, str) else piece[0])
        if not isinstance(piece, str):
            heard = [w for w in told.words if w.text_begin < at + size and w.text_end > at]
            assert len(heard) == 1, piece
        at += size
    again = await say(engine, pieces, voice)
    assert again.samples.tobytes() == told.samples.tobytes()


async def test_a_possessive_is_part_of_the_word(engine: EmbeddedEngine) -> None:
    told = await say(engine, ["That is ", ("Nguyen", "ipa", "ˈwɪn"), "'s hat."])
    read = await speak(engine, "That is Winn's hat.")
    assert told.samples.tobytes() == read.samples.tobytes()


async def test_long_sounds_are_spoken_in_parts(engine: EmbeddedEngine) -> None:
    sounds = "bəˈnɑːnə " * 20
    pieces: list[Piece] = [(each, "ipa", sounds) for each in ("a", "b", "c")]
    told = await say(engine, [pieces[0], " ", pieces[1], " ", pieces[2]])
    assert [(w.text_begin, w.text_end) for w in told.words] == [(0, 1), (2, 3), (4, 5)]
    alone = await say(engine, pieces[:1])
    assert told.seconds == pytest.approx(3 * alone.seconds, rel=0.05)


async def test_cuts_of_the_text_around_it_change_nothing(engine: EmbeddedEngine) -> None:
    word: Piece = ("Nguyen", "ipa", "wɪn")
    whole = await say(engine, ["Dr. No met ", word, ", at 5 p.m. He left."])
    cut = await say(engine, [*"Dr. No met ", word, *", at 5 p.m. He left."])
    assert np.array_equal(whole.samples, cut.samples)
    assert whole.words == cut.words

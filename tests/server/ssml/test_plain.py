"""Plain text with breaks in it, on an engine that tests hold in their hand."""

from __future__ import annotations

import numpy as np
import pytest

from cosyserve.engine.interface import Prompt, SynthesisOptions
from cosyserve.protocol.errors import InvalidParameter
from cosyserve.server.ssml import SsmlSession, open_ssml
from cosyserve.server.ssml.parse import MOST_BREAKS
from support.engines.fake_engine import RATE, WORD_SECONDS, FakeEngine
from support.listening.ssml import SpokenSsml, speak_ssml


async def opened(engine: FakeEngine, *, markup: bool = True) -> SsmlSession:
    await engine.start()
    return open_ssml(engine, Prompt("v"), SynthesisOptions(), markup=markup)


async def speak(text: str | list[str], engine: FakeEngine | None = None) -> SpokenSsml:
    engine = engine or FakeEngine(word_times=True)
    await engine.start()
    return await speak_ssml(engine, text)


async def test_breaks_are_silences_and_the_rest_is_plain() -> None:
    engine = FakeEngine(word_times=True)
    text = "One & two <break time='600ms'/> three <b>.<break strength='weak'></break><break/>4 < 5"
    spoken = await speak(text, engine)
    lengths = [len(chunk.samples) / RATE for chunk in spoken.chunks]
    word = WORD_SECONDS
    assert lengths == pytest.approx([word] * 3 + [0.6] + [word] * 2 + [0.2, 0.4] + [word] * 3)
    assert [each.text for each in engine.sessions] == ["One & two ", " three <b>.", "4 < 5"]
    assert spoken.plain == "One & two  three <b>.4 < 5"
    assert spoken.sentence_texts == ["One & two", "three <b>.", "4 < 5"]
    words = [spoken.plain[each.text_begin : each.text_end] for each in spoken.words]
    assert words == ["One", "&", "two", "three", "<b>.", "4", "<", "5"]
    assert spoken.words[3].begin == pytest.approx(3 * word + 0.6)
    assert [each.number for each in spoken.sentences] == [0, 1, 2]
    assert not engine.open


@pytest.mark.parametrize("size", [1, 3, 7])
async def test_a_tag_may_be_cut_anywhere(size: int) -> None:
    text = "<break time='50ms'/>One two. <break strength='strong'/> three<break"
    whole = await speak(text)
    engine = FakeEngine(word_times=True)
    async with await opened(engine) as session:
        for begin in range(0, len(text), size):
            await session.feed(text[begin : begin + size])
        await session.finish()
        chunks = [chunk async for chunk in session]
    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), whole.samples)
    assert [word for chunk in chunks for word in chunk.words] == whole.words
    assert session.text(0, 99) == whole.plain == "One two.  three<break"


async def test_text_behind_a_break_is_spoken_as_it_comes() -> None:
    async with await opened(FakeEngine()) as session:
        await session.feed("one<break time='1500ms'/>two ")
        lengths = [len((await anext(session)).samples) / RATE for _ in range(4)]
        assert lengths == pytest.approx([WORD_SECONDS, 1.0, 0.5, WORD_SECONDS])
        await session.feed("three <bre")
        assert len((await anext(session)).samples)
        await session.feed("ak time='1s'/>")
        await session.flush()
        assert len((await anext(session)).samples) == RATE
        await session.finish()
        assert [chunk async for chunk in session] == []


async def test_flushes_reach_the_stretch_that_is_open() -> None:
    engine = FakeEngine()
    async with await opened(engine) as session:
        await session.feed("one <break/> two")
        for _ in range(3):
            await session.flush()
        await session.feed(" three")
        await session.finish()
        assert len([chunk async for chunk in session]) == 4
    assert [each.flushes for each in engine.sessions] == [[], [4]]


async def test_few_sessions_are_open_at_once() -> None:
    engine = FakeEngine()
    async with await opened(engine) as session:
        await session.feed("word<break time='10ms'/>" * 50)
        await session.finish()
        most = 0
        async for _ in session:
            most = max(most, len(engine.open))
    assert len(engine.sessions) == 50
    assert most <= 3
    assert not engine.open


async def test_a_text_that_is_no_document_whatever_it_begins_with() -> None:
    engine = FakeEngine()
    async with await opened(engine, markup=False) as session:
        await session.feed("<speak>one</speak><break time='1s'/>")
        await session.finish()
        assert [len(chunk.samples) async for chunk in session] == [round(WORD_SECONDS * RATE), RATE]
    assert engine.sessions[0].text == "<speak>one</speak>"


async def test_breaks_in_plain_text_after_a_document() -> None:
    spoken = await speak(["<speak>One</speak>", "two <break time='1s'/> three"])
    assert spoken.plain == "One two three"
    assert spoken.seconds == pytest.approx(3 * WORD_SECONDS + 0.28 + 1.0)


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("<break time='soon'/>", "time is 'soon'; allowed: from 0s to 10s"),
        ("<break time='-1s'/>", "time is '-1s'"),
        ("<break time='11s'/>", "time is '11s'"),
        ("<break time='1e1s'/>", "time is"),
        ("<break strength='mighty'/>", "strength is 'mighty'; allowed: one of none"),
        ("<break length='1s'/>", "unknown attribute 'length'; allowed: time, strength"),
        ("<break time=1s/>", "is not well-formed; allowed: attributes in quotes"),
        ("<break time='1s' time='1s'/>", "is not well-formed"),
    ],
)
async def test_a_break_that_makes_no_sense(tag: str, said: str) -> None:
    async with await opened(FakeEngine()) as session:
        await session.feed(f"One\ntwo {tag} three")
        await session.feed("ignored")
        await session.flush()
        await session.finish()
        with pytest.raises(InvalidParameter) as error:
            await anext(session)
    assert error.value.message.startswith("SSML, line 2, column 5: <break>")
    assert said in error.value.message


async def test_a_wrong_break_ends_what_is_being_spoken() -> None:
    async with await opened(FakeEngine()) as session:
        await session.feed("one two")
        assert len((await anext(session)).samples)
        await session.feed(" three <break time='x'/>")
        assert len([await anext(session) for _ in range(2)]) == 2
        with pytest.raises(InvalidParameter):
            await anext(session)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<break time='10s'/>" * 361, "come to 3610 s"),
        ("<break time='0s'/>" * (MOST_BREAKS + 1), f"over {MOST_BREAKS} breaks"),
    ],
)
async def test_breaks_are_limited(text: str, said: str) -> None:
    async with await opened(FakeEngine()) as session:
        await session.feed(text)
        await session.finish()
        with pytest.raises(InvalidParameter, match=said):
            await anext(session)

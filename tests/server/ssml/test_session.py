"""Whole tasks of SSML, on an engine that tests hold in their hand."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosyserve.engine.interface import (
    EngineBusy,
    EngineDied,
    EngineNotReady,
    Mark,
    Prompt,
    SynthesisOptions,
)
from cosyserve.protocol.errors import InvalidParameter
from cosyserve.server.ssml import SsmlSession, open_ssml
from cosyserve.server.ssml.parse import LONGEST_DOCUMENT
from support.engines.fake_engine import RATE, WORD_SECONDS, FakeEngine, FakeSession
from support.listening.audio import median_pitch
from support.listening.ssml import SpokenSsml, speak_ssml


async def started(**abilities: bool) -> FakeEngine:
    engine = FakeEngine(**abilities)
    await engine.start()
    return engine


async def speak(text: str | list[str], **abilities: bool) -> SpokenSsml:
    return await speak_ssml(await started(**abilities), text)


async def test_plain_text_is_spoken_as_it_is_and_comes() -> None:
    engine = await started()
    async with open_ssml(engine, Prompt("v"), SynthesisOptions()) as session:
        await session.feed("  ")
        await session.feed("<3 you & ")
        chunk = await anext(session)
        assert len(chunk.samples)
        await session.feed("all <speak>")
        await session.flush()
        await session.finish()
        await session.feed("ignored")
        rest = [chunk async for chunk in session]
    assert len(rest) == 4
    [spoken] = engine.sessions
    assert spoken.text == "  <3 you & all <speak>"
    assert session.text(2, 4) == "<3"
    assert spoken.flushes == [22]
    assert not engine.open


@pytest.mark.parametrize(
    "text", ["", " \n", "<speak/>", "<speak> <p/> </speak>", "<speak>...</speak>"]
)
async def test_nothing_to_say_is_no_sound_and_no_error(text: str) -> None:
    assert (await speak(text)).chunks == ()


async def test_a_document_in_any_pieces_is_one_speech() -> None:
    document = "<?xml version='1.0'?><speak>One <break time='1s'/><emphasis>two</emphasis></speak>"
    whole = await speak(document, word_times=True)
    engine = await started(word_times=True)
    async with open_ssml(engine, Prompt("v"), SynthesisOptions()) as session:
        for char in document:
            await session.feed(char)
        await session.finish()
        chunks = [chunk async for chunk in session]
    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), whole.samples)
    assert [word for chunk in chunks for word in chunk.words] == whole.words


async def test_runs_are_sessions_of_their_prosody() -> None:
    engine = await started(pitch=True)
    text = (
        "<speak>One. <prosody rate='1.5' pitch='+10%'>Two.</prosody>"
        " <prosody volume='50'>Three</prosody></speak>"
    )
    options = SynthesisOptions(speed=1.2, pitch=0.8, seed=5)
    spoken = await speak_ssml(engine, text, options)
    assert [session.text for session in engine.sessions] == ["One. ", "Two. ", "Three"]
    made = [session.options for session in engine.sessions]
    assert [each.speed for each in made] == pytest.approx([1.2, 1.8, 1.2])
    assert [each.pitch for each in made] == pytest.approx([0.8, 0.88, 0.8])
    assert {each.seed for each in made} == {5}
    levels = [np.abs(chunk.samples).max() for chunk in spoken.chunks]
    assert levels == pytest.approx([1 / 3, 0, 1 / 3, 0, 1 / 6], abs=0.01)
    pauses = [len(chunk.samples) / RATE for chunk in spoken.chunks][1::2]
    assert pauses == pytest.approx([0.28 / 1.2 / 1.5, 0.28 / 1.2], abs=0.001)
    assert not engine.open
    assert all(session.finished for session in engine.sessions)


async def test_what_the_engine_lacks_is_done_to_the_sound() -> None:
    text = "<speak><prosody rate='2' pitch='1.5'>" + "word " * 40 + "</prosody></speak>"
    engine = await started(speed=False, word_times=True)
    spoken = await speak_ssml(engine, text, SynthesisOptions(speed=1.5, pitch=2.0))
    # The task's own speed and pitch are the encoder's.
    assert spoken.seconds == pytest.approx(40 * WORD_SECONDS / 2, abs=0.001)
    assert median_pitch(spoken.samples, RATE) == pytest.approx(330, rel=0.03)
    assert [(s.options.speed, s.options.pitch) for s in engine.sessions[1:]] == [(1.5, 2.0)] or (
        engine.sessions[0].options.speed == 1.5
    )
    assert [word.begin for word in spoken.words] == pytest.approx(
        [n * WORD_SECONDS / 2 for n in range(40)]
    )
    assert len(spoken.words) == 40
    assert spoken.notices == ()


async def test_a_break_is_as_long_as_it_says_at_any_speed() -> None:
    text = "<speak>One<break time='2500ms'/>two</speak>"
    spoken = await speak_ssml(await started(), text, SynthesisOptions(speed=2.0))
    lengths = [len(chunk.samples) / RATE for chunk in spoken.chunks]
    assert lengths == pytest.approx([WORD_SECONDS, 1.0, 1.0, 0.5, WORD_SECONDS])


async def test_words_sentences_and_marks_are_of_the_whole_task() -> None:
    text = (
        "<speak>One <mark name='a'/>two. <break time='1s'/><sub alias='three four'>3 4</sub>"
        " <mark name='b'/><emphasis>five</emphasis> six.<mark name='c'/></speak>"
    )
    spoken = await speak(text, word_times=True)
    assert spoken.plain == "One two. 3 4 five six."
    shown = [spoken.plain[word.text_begin : word.text_end] for word in spoken.words]
    assert shown == ["One", "two.", "3 4", "3 4", "five", "six."]
    begins = [0, 1, 22, 23, 24, 25]
    assert [word.begin / WORD_SECONDS for word in spoken.words] == pytest.approx(begins, abs=0.01)
    assert spoken.sentence_texts == ["One two.", "3 4 five six."]
    assert [sentence.number for sentence in spoken.sentences] == [0, 1]
    marks = {mark.name: mark.at / WORD_SECONDS for mark in spoken.marks}
    assert marks == pytest.approx({"a": 1, "b": 24, "c": 26}, abs=0.01)


async def test_marks_go_with_the_chunk_they_lie_in() -> None:
    text = "<speak><mark name='a'/>" + "".join(f"word <mark name='{n}'/>" for n in range(9))
    spoken = await speak(text + "<break time='1s'/></speak>", word_times=True)
    end = 0.0
    for chunk in spoken.chunks:
        begin, end = end, end + len(chunk.samples) / RATE
        assert all(begin - 0.001 <= mark.at <= end for mark in chunk.marks)
    assert [mark.name for mark in spoken.marks] == ["a", *map(str, range(9))]
    assert spoken.notices == ()


async def test_marks_are_estimates_where_no_word_times_are() -> None:
    text = "<speak>" + "word " * 20 + "<mark name='a'/>" + "word " * 20 + "<mark name='b'/></speak>"
    spoken = await speak(text)
    [inside, end] = spoken.marks
    assert 0 < inside.at < spoken.seconds
    assert end.at == pytest.approx(40 * WORD_SECONDS)
    [notice] = spoken.notices
    assert "estimates" in notice


async def test_a_mark_alone_comes_with_a_little_silence() -> None:
    spoken = await speak("<speak><mark name='a'/></speak>")
    assert spoken.marks == [Mark("a", 0.0)]
    assert spoken.seconds == pytest.approx(0.01)


async def test_a_fragment_after_a_flush_is_another_document() -> None:
    spoken = await speak(["<speak>One</speak>", "<speak>two</speak>", "& three"], word_times=True)
    assert spoken.plain == "One two & three"
    assert spoken.sentence_texts == ["One", "two", "& three"]
    assert [sentence.number for sentence in spoken.sentences] == [0, 1, 2]
    assert [word.begin for word in spoken.words] == pytest.approx([0, 0.33, 0.66, 0.71])


async def test_a_flushed_document_is_spoken_before_the_next_comes() -> None:
    engine = await started()
    async with open_ssml(engine, Prompt("v"), SynthesisOptions()) as session:
        await session.feed("<speak>One</speak>")
        waiting = asyncio.ensure_future(anext(session))
        await session.flush()
        assert len((await waiting).samples)
        await session.finish()
        assert [chunk async for chunk in session] == []


async def test_a_wrong_document_is_told_after_what_came_before() -> None:
    engine = await started()
    async with open_ssml(engine, Prompt("v"), SynthesisOptions()) as session:
        await session.feed("<speak>One</speak>")
        await session.flush()
        await session.feed("<speak>Two")
        await session.flush()
        await session.feed("ignored")
        await session.finish()
        assert len((await anext(session)).samples)
        with pytest.raises(InvalidParameter, match="ends inside <speak>"):
            await anext(session)
    assert not engine.open


async def test_too_long_a_document_is_refused_before_it_is_whole() -> None:
    async with open_ssml(await started(), Prompt("v"), SynthesisOptions()) as session:
        await session.feed("<speak>")
        for _ in range(LONGEST_DOCUMENT // 10_000):
            await session.feed("a " * 5_000)
        with pytest.raises(InvalidParameter, match="longer than"):
            await anext(session)
    assert not session._buffer


async def test_the_breaks_of_a_task_are_limited() -> None:
    hour = "<speak>" + "<break time='10s'/>" * 360 + "</speak>"
    async with open_ssml(await started(), Prompt("v"), SynthesisOptions()) as session:
        await session.feed(hour)
        await session.flush()
        await session.feed("<speak><break time='10ms'/></speak>")
        await session.flush()
        for _ in range(3600):
            assert len((await anext(session)).samples) == RATE
        with pytest.raises(InvalidParameter, match="up to 3600 s"):
            await anext(session)


async def test_nested_volumes_are_limited_and_said() -> None:
    loud = "<prosody volume='+20dB'>" * 30 + "a" + "</prosody>" * 30
    spoken = await speak(f"<speak>{loud}</speak>")
    assert 0 < np.abs(spoken.samples).max() <= 1
    [notice] = spoken.notices
    assert "limited to 10 times" in notice


async def test_what_is_beyond_the_limits_is_limited_and_said() -> None:
    engine = await started(pitch=True)
    spoken = await speak_ssml(
        engine, "<speak><prosody rate='4' pitch='0.1'>a</prosody></speak>", SynthesisOptions()
    )
    options = engine.sessions[-1].options
    assert (options.speed, options.pitch) == (2.0, 0.5)
    [notice] = spoken.notices
    assert "from 0.5 to 2" in notice


async def test_the_next_run_is_made_while_one_is_read() -> None:
    engine = await started()
    async with open_ssml(engine, Prompt("v"), SynthesisOptions()) as session:
        await session.feed("<speak>One <emphasis>two</emphasis> three</speak>")
        await session.finish()
        await anext(session)
        await asyncio.sleep(0)
        assert [each.text for each in engine.sessions] == ["One ", "two "]
        assert engine.sessions[1].finished
        assert not engine.sessions[1].produced


async def test_no_room_ahead_is_tried_again_when_it_is_needed() -> None:
    engine = await started()
    real, refused = engine.open_session, []

    def open_session(prompt: Prompt, options: SynthesisOptions) -> FakeSession:
        if len(engine.sessions) == 1 and not refused:
            refused.append(True)
            raise EngineBusy("full")
        return real(prompt, options)

    engine.open_session = open_session  # type: ignore[method-assign]
    spoken = await speak_ssml(engine, "<speak>One <emphasis>two</emphasis></speak>")
    assert refused
    assert spoken.seconds == pytest.approx(2 * WORD_SECONDS)


async def test_errors_of_the_engine_come_through() -> None:
    with pytest.raises(EngineNotReady):
        open_ssml(FakeEngine(), Prompt("v"), SynthesisOptions())
    engine = await started()
    async with open_ssml(engine, Prompt("v"), SynthesisOptions()) as session:
        await session.feed("<speak>One <emphasis>two</emphasis></speak>")
        await session.finish()
        await anext(session)
        engine.error = EngineDied("gone")
        with pytest.raises(EngineDied):
            await anext(session)
    assert all(each.cancelled for each in engine.sessions)


async def test_an_engine_that_stops_between_runs() -> None:
    engine = await started()
    async with open_ssml(engine, Prompt("v"), SynthesisOptions()) as session:
        await session.feed("<speak>One</speak>")
        await session.flush()
        await anext(session)
        engine.ready = False
        await session.feed("<speak>Two</speak>")
        await session.finish()
        with pytest.raises(EngineNotReady):
            [chunk async for chunk in session]


async def test_cancel_wakes_the_reader_and_frees_all() -> None:
    for text in ("<speak>One <emphasis>two</emphasis> three</speak>", "One two ", "<speak>", ""):
        engine = await started()
        engine.gate.clear()
        session: SsmlSession = open_ssml(engine, Prompt("v"), SynthesisOptions())
        await session.feed(text)
        await session.flush() if text.endswith("</speak>") else None
        reader = asyncio.ensure_future(anext(session, None))
        await asyncio.sleep(0)
        await session.cancel()
        engine.gate.set()
        await session.cancel()
        assert await reader is None
        await session.feed("more")
        await session.flush()
        await session.finish()
        assert [chunk async for chunk in session] == []
        assert all(each.cancelled for each in engine.sessions)


async def test_a_reader_that_gives_up_waiting_for_a_document_loses_nothing() -> None:
    engine = await started()
    async with open_ssml(engine, Prompt("v"), SynthesisOptions()) as session:
        reader = asyncio.ensure_future(anext(session))
        await asyncio.sleep(0)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        await session.feed("<speak>One two</speak>")
        await session.finish()
        assert len([chunk async for chunk in session]) == 2


INNER = st.lists(
    st.sampled_from(
        (
            *("One ", "two. ", "你好。", "<break time='150ms'/>", "<mark name='m'/>"),
            *("<p>three</p>", "<s>six</s>", "<emphasis>four</emphasis>"),
            "<prosody volume='+3dB'>five</prosody> ",
        )
    ),
    max_size=8,
).map("".join)


@settings(max_examples=60)
@given(st.lists(INNER, max_size=3), st.booleans(), st.booleans())
def test_any_speech_is_consistent(documents: list[str], word_times: bool, speed: bool) -> None:
    whole = [f"<speak>{inner}</speak>" for inner in documents]
    spoken = asyncio.run(speak(whole, word_times=word_times, speed=speed))
    assert all(len(chunk.samples) for chunk in spoken.chunks)
    assert [mark.name for mark in spoken.marks] == ["m"] * "".join(documents).count("<mark")
    for marks in (spoken.marks, spoken.words):
        times = [each.at if isinstance(each, Mark) else each.begin for each in marks]
        assert times == sorted(times)
        assert all(0 <= time <= spoken.seconds + 0.001 for time in times)
    assert [sentence.number for sentence in spoken.sentences] == list(range(len(spoken.sentences)))
    for one, other in pairwise(spoken.sentences):
        assert one.text_begin < one.text_end <= other.text_begin
    for word in spoken.words:
        assert spoken.plain[word.text_begin : word.text_end].strip()

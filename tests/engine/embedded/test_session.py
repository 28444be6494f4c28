import asyncio

import numpy as np
import pytest

from cosyserve.engine.embedded.engine import EmbeddedEngine
from cosyserve.engine.interface import (
    EngineNotReady,
    Samples,
    SpokenSegment,
    SynthesisOptions,
    WordTime,
)
from support.engines.embedded import RATE, check_words, running, silences, speak, voice_of
from support.listening.spoken import Spoken

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = (
    "Rice is often served in round bowls, is it not? The boy was there when the sun rose. He left."
)


async def test_speech_starts_before_the_text_ends(engine: EmbeddedEngine) -> None:
    async with engine.open_session(voice_of(engine, "alba"), SynthesisOptions()) as session:
        await session.feed("The first sentence is here. The sec")
        chunk = await anext(session)
        assert 0 < len(chunk.samples) < 0.1 * RATE
        assert chunk.work.vocoder > 0
        assert chunk.work.generate == chunk.work.vocoder


async def test_one_text_in_any_pieces_is_one_speech(engine: EmbeddedEngine) -> None:
    whole = await speak(engine, TEXT)
    for size in (1, 2, 7, 40):
        pieces = [TEXT[at : at + size] for at in range(0, len(TEXT), size)]
        speech = await speak(engine, pieces)
        assert (speech.samples == whole.samples).all()
        assert speech.words == whole.words


async def test_the_same_seed_gives_the_same_speech(engine: EmbeddedEngine) -> None:
    first = await speak(engine, TEXT, "clara", SynthesisOptions(seed=5))
    await speak(engine, "Something else, 你好.", "bruno", SynthesisOptions(seed=6))
    again = await speak(engine, TEXT, "clara", SynthesisOptions(seed=5))
    other = await speak(engine, TEXT, "clara", SynthesisOptions(seed=6))
    assert (again.samples == first.samples).all()
    assert abs(other.seconds - first.seconds) < 0.02


@pytest.mark.parametrize("text", ["", " \n ", "...", "?! — …", "\0\x01", "，。"])
async def test_nothing_to_say_is_no_chunk(engine: EmbeddedEngine, text: str) -> None:
    assert (await speak(engine, text)).chunks == ()


async def test_pauses_lie_between_sentences_only(engine: EmbeddedEngine) -> None:
    for speed in (1.0, 2.0):
        speech = await speak(engine, "One. Two. Three.", options=SynthesisOptions(speed=speed))
        pauses = silences(speech.samples, 0.2 / speed)
        assert [round(length * speed, 1) for _, length in pauses] == [0.3, 0.3]
        begin, length = pauses[-1]
        assert begin + length < speech.seconds - 0.1
        assert loudest(speech.samples[-int(0.1 * RATE) :]) > 0.003


@pytest.mark.parametrize(
    "text",
    ["See Fig. 7 at Mt. Fuji", "He met Gen. Smith of the U.S. Navy", "1. First we go", "1.苹果"],
)
async def test_no_pause_after_abbreviations_and_markers(engine: EmbeddedEngine, text: str) -> None:
    assert silences((await speak(engine, text)).samples, 0.1) == []


@pytest.mark.parametrize(
    ("text", "pauses"),
    [
        ("Roses are red\nViolets are blue\nSugar is sweet", 2),
        ("We walked along the river and then\nwent home by bus", 0),
        ("1. open 2. close 3. leave", 2),
        ("苹果\n香蕉\n橘子", 2),
    ],
)
async def test_line_ends_and_items_pause_where_sentences_end(
    engine: EmbeddedEngine, text: str, pauses: int
) -> None:
    assert len(silences((await speak(engine, text)).samples, 0.2)) == pauses


async def test_clauses_one_by_one_last_as_long_as_the_whole_sentence(
    engine: EmbeddedEngine,
) -> None:
    text = (
        "The old man who lived in the forest all alone{} was tired of the long "
        "and rainy winter{} and slept."
    )
    with_pauses = await speak(engine, text.format(",", ","))
    without = await speak(engine, text.format("", ""))
    assert 0.2 < with_pauses.seconds - without.seconds < 0.7
    assert all(length < 0.25 for _, length in silences(with_pauses.samples, 0.05))


async def test_word_times(engine: EmbeddedEngine) -> None:
    text = "Hello there, 3.14 friends; 你好 世界! Ça va 😀? Done."
    speech = await speak(engine, text)
    words = speech.words
    assert [text[word.text_begin : word.text_end] for word in words[:2]] == ["Hello", "there"]
    assert text[words[-1].text_begin : words[-1].text_end].rstrip(".") == "Done"
    assert {"3.14", "friends", "世", "界"} <= {text[w.text_begin : w.text_end] for w in words}
    check_words(words, len(text), speech.seconds)
    begin = 0.0
    for chunk in speech.chunks:
        end = begin + len(chunk.samples) / RATE
        assert all(begin <= word.begin < end for word in chunk.words)
        begin = end
    assert loudest(speech.samples[int(words[-1].begin * RATE) :][:4000]) > 0.05


async def test_cancel_ends_the_iteration_and_frees_the_worker(engine: EmbeddedEngine) -> None:
    session = engine.open_session(voice_of(engine, "alba"), SynthesisOptions())
    await session.feed(TEXT * 20)
    await anext(session)
    await session.cancel()
    await session.cancel()
    assert [chunk async for chunk in session] == []
    await session.feed("more")
    await session.finish()
    assert [chunk async for chunk in session] == []
    assert engine.stats()["sessions"] == 0
    assert engine.stats()["queue_depth"] == 0
    assert (await speak(engine, "Next.")).chunks


async def test_cancel_wakes_a_waiting_reader(engine: EmbeddedEngine) -> None:
    session = engine.open_session(voice_of(engine, "alba"), SynthesisOptions())
    reader = asyncio.ensure_future(anext(session, None))
    await asyncio.sleep(0)
    await session.cancel()
    assert await reader is None


async def test_leaving_the_context_cancels(engine: EmbeddedEngine) -> None:
    async with engine.open_session(voice_of(engine, "alba"), SynthesisOptions()) as session:
        await session.feed(TEXT)
    assert [chunk async for chunk in session] == []


async def test_a_reader_that_is_cancelled_loses_no_speech(engine: EmbeddedEngine) -> None:
    whole = await speak(engine, TEXT)
    async with engine.open_session(voice_of(engine, "alba"), SynthesisOptions()) as session:
        reader = asyncio.ensure_future(anext(session))
        await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        await session.feed(TEXT)
        await session.finish()
        await session.finish()
        assert sum([len(chunk.samples) async for chunk in session]) == len(whole.samples)
        assert [chunk async for chunk in session] == []


async def test_an_unread_session_holds_little_and_slows_nobody(engine: EmbeddedEngine) -> None:
    async with engine.open_session(voice_of(engine, "alba"), SynthesisOptions()) as slow:
        await slow.feed(TEXT * 1000)
        held = []
        for _ in range(3):
            assert (await speak(engine, TEXT)).seconds > 3
            held.append(slow.unread)
        assert 0 < held[-1] == held[-2] < 1 + 30
        before = slow.unread
        chunk = await anext(slow)
        assert slow.unread == pytest.approx(before - len(chunk.samples) / RATE)


async def test_sessions_side_by_side_do_not_mix(engine: EmbeddedEngine) -> None:
    texts = [f"Number {word} says hello to all of you." for word in ("one", "two", "three")] * 5
    alone = {text: (await speak(engine, text)).samples for text in set(texts)}
    together = await asyncio.gather(*(speak(engine, text) for text in texts))
    for text, speech in zip(texts, together, strict=True):
        assert (speech.samples == alone[text]).all()


async def test_stopping_the_engine_fails_its_sessions() -> None:
    async with running() as engine:
        session = engine.open_session(voice_of(engine, "alba"), SynthesisOptions())
        await session.feed("Hello there, this is a rather long story. " * 20)
    with pytest.raises(EngineNotReady):
        [chunk async for chunk in session]


async def test_flushed_text_is_spoken_before_more_comes(engine: EmbeddedEngine) -> None:
    async with engine.open_session(voice_of(engine, "alba"), SynthesisOptions()) as session:
        await session.feed("There is no full stop here")
        await session.flush()
        await session.flush()
        words: list[WordTime] = []
        while len(words) < 6:
            words += (await anext(session)).words
        await session.feed("and more")
        await session.finish()
        await session.flush()
        rest = [word async for chunk in session for word in chunk.words]
    text = "There is no full stop hereand more"
    assert [text[word.text_begin : word.text_end] for word in rest] == ["and", "more"]


async def test_a_flush_makes_a_sentence_pause(engine: EmbeddedEngine) -> None:
    for pieces in (["One", "Two"], ["In the beginning,", "two"], ["In the beginning, ", " two"]):
        async with engine.open_session(voice_of(engine, "alba"), SynthesisOptions()) as session:
            for piece in pieces:
                await session.feed(piece)
                await session.flush()
            await session.finish()
            speech = Spoken(tuple([chunk async for chunk in session]), RATE)
        [pause] = silences(speech.samples, 0.2)
        assert pause[1] == pytest.approx(0.3, abs=0.05)
        assert [sentence.number for sentence in speech.sentences] == [0, 1]


async def test_sentences_are_told_with_their_first_sound(engine: EmbeddedEngine) -> None:
    text = "... In the beginning, there was one.  Then two! 你好。我们去公园吧 "
    speech = await speak(engine, text)
    assert [text[s.text_begin : s.text_end] for s in speech.sentences] == [
        "... In the beginning, there was one.",
        "Then two!",
        "你好。",
        "我们去公园吧",
    ]
    assert [sentence.number for sentence in speech.sentences] == [0, 1, 2, 3]
    for chunk in speech.chunks:
        for sentence in chunk.segments:
            assert any(
                sentence.text_begin <= word.text_begin < sentence.text_end for word in chunk.words
            )


async def test_a_sentence_is_told_as_far_as_it_is_known(engine: EmbeddedEngine) -> None:
    async with engine.open_session(voice_of(engine, "alba"), SynthesisOptions()) as session:
        await session.feed(" In the beginning, there was")
        chunk = await anext(session)
        assert chunk.segments == (SpokenSegment(0, 1, 18),)
        await session.feed(" light. And")
        await session.finish()
        [after] = [sentence async for chunk in session for sentence in chunk.segments]
        assert after == SpokenSegment(1, 36, 39)


async def test_flush_after_cancel_is_nothing(engine: EmbeddedEngine) -> None:
    async with engine.open_session(voice_of(engine, "alba"), SynthesisOptions()) as session:
        await session.feed("Hello")
        await session.cancel()
        await session.flush()
        assert [chunk async for chunk in session] == []


def loudest(samples: Samples) -> float:
    return float(np.abs(samples).max(initial=0.0))

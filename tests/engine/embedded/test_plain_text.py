"""What text reaches espeak-ng, and where its words lie in the text that came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cosyserve.engine.embedded.engine import EmbeddedEngine
from cosyserve.engine.embedded.jobs import Job
from cosyserve.engine.interface import SynthesisOptions
from support.engines.embedded import check_words, running, speak, voice_of
from support.listening.spoken import Spoken
from support.listening.ssml import speak_ssml

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANSWER = (
    "## Quick **start**\n"
    "- Use `pip`, see [the *docs*](https://x.y/z) 😀\n"
    "- It costs ５０％ &amp; more.\n\n"
    "这是**重点**，选②。"
)


@contextmanager
def jobs_of(engine: EmbeddedEngine) -> Iterator[list[str]]:
    """The texts of the jobs that the engine gives its workers."""
    texts: list[str] = []
    submit = engine._pool.submit

    def note(job: Job) -> None:
        texts.append(" ".join(job.frame.text.split()))
        submit(job)

    engine._pool.submit = note  # type: ignore[method-assign]
    try:
        yield texts
    finally:
        engine._pool.submit = submit  # type: ignore[method-assign]


async def jobs(engine: EmbeddedEngine, text: str | list[str]) -> list[str]:
    with jobs_of(engine) as texts:
        await speak(engine, text)
    return texts


def told(text: str, speech: Spoken) -> list[str]:
    return [text[word.text_begin : word.text_end] for word in speech.words]


async def test_no_marks_reach_the_voice(engine: EmbeddedEngine) -> None:
    found = await jobs(engine, ANSWER)
    assert " ".join(found) == (
        "Quick start Use pip, see the docs It costs fifty percent & more. 这是重点，选二。"
    )
    assert await jobs(engine, list(ANSWER)) == found


async def test_list_items_are_sentences(engine: EmbeddedEngine) -> None:
    text = "- milk\n- two eggs\n\n| a | b |\n|---|---|\n| c | d |"
    speech = await speak(engine, text)
    assert [text[s.text_begin : s.text_end] for s in speech.sentences] == [
        "milk",
        "two eggs",
        "a | b",
        "c | d",
    ]


async def test_words_and_sentences_count_the_text_that_came(engine: EmbeddedEngine) -> None:
    text = "The **first** sentence, <i>here</i>. A [second](https://x.y) ７ one."
    speech = await speak(engine, text)
    check_words(speech.words, len(text), speech.seconds)
    words = [word.rstrip(",.") for word in told(text, speech)]
    assert words == ["The", "first", "sentence", "here", "A", "second", "７", "one"]
    assert [text[s.text_begin : s.text_end] for s in speech.sentences] == [
        "The **first** sentence, <i>here</i>.",
        "A [second](https://x.y) ７ one.",
    ]


async def test_a_character_that_is_several_words_is_told_once(engine: EmbeddedEngine) -> None:
    text = "Add ½ cup"
    assert told(text, await speak(engine, text)) == ["Add", "½", "cup"]


@pytest.mark.parametrize("text", ["😀🎉", "**", "---", "```\n```", "<br>", "[breath]", "🇩🇪"])
async def test_marks_and_pictures_alone_say_nothing(engine: EmbeddedEngine, text: str) -> None:
    assert await jobs(engine, text) == []


async def test_cues_are_dropped(engine: EmbeddedEngine) -> None:
    text = "Well [breath] <strong>yes</strong> <laughter>ha</laughter>."
    assert " ".join(await jobs(engine, text)) == "Well yes ha."


async def test_a_flush_speaks_what_was_held_back(engine: EmbeddedEngine) -> None:
    with jobs_of(engine) as texts:
        async with engine.open_session(voice_of(engine, "alba"), SynthesisOptions()) as session:
            await session.feed("See [the docs")
            await session.flush()
            await anext(session)
            assert texts == ["See [the docs"]


async def test_markup_can_be_read() -> None:
    async with running(strip_markup=False) as engine:
        assert await jobs(engine, "**ＡＢ** 😀") == ["**AB**"]


async def test_ssml_counts_its_own_plain_text(engine: EmbeddedEngine) -> None:
    spoken = await speak_ssml(
        engine,
        "<speak>Say **one** <emphasis>and *two*</emphasis> more, ５ &amp;amp; six. Then end.</speak>",
    )
    words = [spoken.plain[word.text_begin : word.text_end] for word in spoken.words]
    assert [word.rstrip(",.") for word in words] == [
        *("Say", "one", "and", "two", "more", "５", "&amp;", "six", "Then", "end"),
    ]
    assert spoken.sentence_texts == [
        "Say **one** and *two* more, ５ &amp; six.",
        "Then end.",
    ]

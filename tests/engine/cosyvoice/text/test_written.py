"""Written forms on their way to utterances: the words of engine.written, however the text is cut."""

from __future__ import annotations

import pytest

from cosyserve.engine.cosyvoice.text import (
    PlainNormalizer,
    TextFrontend,
    Utterance,
    UtteranceCollector,
)
from support.engines.tiny_tokenizer import tiny_tokenizer
from support.writing.written_forms import IN_TEXT, LONE

TOKENIZER = tiny_tokenizer()


def utterances(*pieces: str) -> list[Utterance]:
    frontend = TextFrontend(TOKENIZER, PlainNormalizer())
    found = [delta for piece in pieces for delta in frontend.feed(piece)]
    return UtteranceCollector().feed([*found, *frontend.finish()])


def letters(text: str) -> str:
    """What is left of a text without the marks, which utterances set by rules of their own."""
    return "".join(char for char in text.lower() if char.isalnum())


@pytest.mark.parametrize(("text", "chinese"), [(text, chinese) for text, _, chinese in LONE])
def test_a_lone_form_is_read_in_chinese(text: str, chinese: str) -> None:
    assert letters("".join(found.text for found in utterances(text))) == letters(chinese)


@pytest.mark.parametrize(("text", "english"), [(text, english) for text, english, _ in LONE])
def test_a_form_after_an_english_sentence_is_read_in_english(text: str, english: str) -> None:
    found = utterances(f"Here it comes then:\n\n{text}")
    assert letters("".join(one.text for one in found)).removeprefix("hereitcomesthen") == letters(
        english
    )


@pytest.mark.parametrize(("text", "words"), IN_TEXT)
def test_letters_around_tell_the_language(text: str, words: str) -> None:
    assert letters("".join(found.text for found in utterances(text))) == letters(words)


@pytest.mark.parametrize("text", [form[0] for form in (*LONE, *IN_TEXT)])
def test_cuts_do_not_matter(text: str) -> None:
    around = f"We say {text} 我们说{text}吧。"
    whole = utterances(around)
    assert utterances(*around) == whole
    for cut in range(1, len(around)):
        assert utterances(around[:cut], around[cut:]) == whole


def test_the_places_of_pieces_are_those_of_what_they_say() -> None:
    frontend = TextFrontend(TOKENIZER, PlainNormalizer())
    deltas = [*frontend.feed("costs $2,375.40 now"), *frontend.finish()]
    assert (deltas[0].begin, deltas[-1].end) == (0, 19)
    assert all(delta.begin <= delta.end for delta in deltas)

"""What text reaches the speech model, and where it lies in the text that came."""

from __future__ import annotations

import pytest

from cosyserve.engine.cosyvoice.text import (
    PlainNormalizer,
    TextProcessor,
    Utterance,
    UtteranceCollector,
)
from support.engines.tiny_tokenizer import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
PROCESSOR = TextProcessor(TOKENIZER, PlainNormalizer())


def utterances(text: str, size: int = 0, processor: TextProcessor = PROCESSOR) -> list[Utterance]:
    frontend, collector = processor.open(), UtteranceCollector()
    found = []
    for at in range(0, len(text), size or len(text)):
        found += collector.feed(frontend.feed(text[at : at + (size or len(text))]))
    return found + collector.feed(frontend.finish())


def ids(text: str) -> list[int]:
    return [number for utterance in utterances(text) for number in utterance.ids]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("this is **bold** and `a_b` text.", "this is bold and a_b text."),
        ("see [the docs](https://x.y) for it.", "see the docs for it."),
        ("这是**重点**吗？选②，ＵＳＢ😀接口。", "这是重点吗？选二，USB接口。"),
        ("C# and 3 * 4 stay, AT&amp;T too.", "C sharp and three times four stay, AT&T too."),
    ],
)
def test_the_model_reads_words_and_no_marks(text: str, read: str) -> None:
    assert "".join(utterance.text for utterance in utterances(text)) == read
    assert ids(text) == TOKENIZER.encode(read)
    assert utterances(text, 1) == utterances(text)


def test_list_items_are_sentences() -> None:
    found = utterances("# the title\n- one\n- two", 1)
    assert " ".join(utterance.text for utterance in found) == "the title. one. two."


def test_cues_reach_the_model() -> None:
    found = ids("hello [breath] **the** <strong>world</strong>.")
    for cue in ("[breath]", "<strong>", "</strong>"):
        assert TOKENIZER.special[cue] in found
    assert TOKENIZER.encode("*")[0] not in found


def test_places_count_the_text_that_came() -> None:
    text = "**hello** the [world](https://x.y), ５０ and so on and on.\n\n## _hello_ world and all of that"
    first, second = utterances(text)
    assert text[first.begin : first.end] == text[2 : text.index("\n")]
    assert text[second.begin : second.end] == "hello_ world and all of that"


@pytest.mark.parametrize("text", ["😀🎉", "**", "---\n***", "```\n```", "<br>", "&nbsp;", "[^1]"])
def test_marks_alone_say_nothing(text: str) -> None:
    assert utterances(text) == []


def test_transcripts_and_instructions_are_read_so_too() -> None:
    assert PROCESSOR.prompt("**hello** ｗorld 😀") == PROCESSOR.prompt("hello world")
    assert PROCESSOR.instruction("*hello*") == PROCESSOR.instruction("hello")


def test_markup_can_be_read() -> None:
    kept = TextProcessor(TOKENIZER, PlainNormalizer(), markup=False)
    [found] = utterances("hello **the** ｗorld", processor=kept)
    assert found.text == "hello **the** world."

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cosyserve.engine.cosyvoice.text import (
    PlainNormalizer,
    TextDelta,
    TextFrontend,
    TextProcessor,
    Utterance,
    UtteranceCollector,
    UtterancePolicy,
    load_normalizer,
)
from support.engines.tiny_tokenizer import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
NORMALIZER = load_normalizer()
SHORT = UtterancePolicy(min_tokens=3, soft_tokens=12, max_tokens=20)
PIECES = (
    *(
        "hello",
        "the two",
        "world",
        "May",
        "Mr",
        "it's",
        "don't",
        "3",
        "2024",
        "$1,000",
        "5%",
        "a.b",
    ),
    *("今天天气", "你好", "一百二十", "公园", "カタ", "안녕", "é", "e\u0301", "字" * 30, "x" * 70),
    *(
        " ",
        " ",
        "\n",
        "\n\n",
        ".",
        ",",
        "!",
        "。",
        "，",
        "：",
        "？",
        "“",
        "”",
        "—",
        "（",
        "- ",
        "*",
    ),
    *("[breath]", "[brea", "<strong>", "</strong>", "<|im_start|>", "<|endofprompt|>", "[", "<"),
    *("😀", "\u200d", "\ud800", "\x00", "\u0301"),
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


def deltas(text: str, cuts: list[int], policy: UtterancePolicy = SHORT) -> list[TextDelta]:
    frontend = TextFrontend(TOKENIZER, NORMALIZER, policy)
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    found = [delta for a, b in pairwise(places) for delta in frontend.feed(text[a:b])]
    return found + frontend.finish()


def utterances(
    text: str, cuts: list[int] | None = None, policy: UtterancePolicy = SHORT
) -> list[Utterance]:
    return UtteranceCollector().feed(deltas(text, cuts or [], policy))


@settings(max_examples=150)
@given(TEXTS, st.lists(st.integers(0, 200), max_size=6))
@example("it'really 's", [3, 4, 5])
@example("今天天气", [1, 2, 3])
def test_cuts_do_not_matter(text: str, cuts: list[int]) -> None:
    whole = utterances(text)
    assert utterances(text, cuts) == whole
    assert utterances(text, list(range(len(text)))) == whole


def flushed(text: str, places: list[int], cuts: list[int]) -> list[Utterance]:
    """The utterances of a text that is flushed at `places` and otherwise cut at `cuts`."""
    frontend, collector = TextFrontend(TOKENIZER, NORMALIZER, SHORT), UtteranceCollector()
    found: list[Utterance] = []
    for begin, end in pairwise(sorted({0, len(text), *places, *cuts})):
        found += collector.feed(frontend.feed(text[begin:end]))
        if end in places:
            deltas = frontend.flush()
            assert not deltas or deltas[-1].done
            found += collector.feed(deltas)
            assert frontend.flush() == []
    return found + collector.feed(frontend.finish())


@settings(max_examples=100)
@given(
    TEXTS,
    st.lists(st.integers(0, 200), max_size=3),
    st.lists(st.integers(0, 200), max_size=6),
)
def test_a_flush_ends_an_utterance_wherever_the_text_is_cut(
    text: str, places: list[int], cuts: list[int]
) -> None:
    places, cuts = ([min(place, len(text)) for place in given] for given in (places, cuts))
    found = flushed(text, places, cuts)
    assert found == flushed(text, places, list(range(len(text))))
    for utterance in found:
        assert not any(utterance.begin < place < utterance.end for place in places)


def test_a_flush_ends_even_a_short_utterance() -> None:
    frontend, collector = TextFrontend(TOKENIZER, NORMALIZER), UtteranceCollector()
    assert collector.feed(frontend.feed("hello")) == []
    [first] = collector.feed(frontend.flush())
    assert (first.text, first.begin, first.end) == ("hello.", 0, 5)
    assert collector.feed(frontend.feed(" world")) == []
    [second] = collector.feed(frontend.finish())
    assert (second.text, second.begin, second.end) == ("world.", 6, 11)
    assert frontend.flush() == []


@settings(max_examples=150)
@given(TEXTS)
def test_tokens_are_those_of_the_text_at_once(text: str) -> None:
    """Without markup, which is no text to the tokenizer."""
    for name in TOKENIZER.special:
        text = text.replace(name, "")
    for utterance in utterances(text, list(range(len(text)))):
        assert list(utterance.ids) == [
            number
            for spelling, _ in TOKENIZER.words(utterance.text)
            for number, _ in TOKENIZER.merge(spelling)
        ]


@settings(max_examples=100)
@given(TEXTS)
def test_utterances_have_bounds_and_come_in_order(text: str) -> None:
    found = deltas(text, list(range(len(text))))
    assert not found or found[-1].done
    number = end = 0
    for delta in found:
        assert delta.utterance == number
        assert 0 <= delta.begin <= delta.end <= len(text)
        assert delta.end >= end
        end = delta.end
        number += delta.done


@pytest.mark.parametrize(
    "text", ["", " ", "...", "。！？", "——", "“”", "😀", "[breath]", "**", "\n"]
)
def test_nothing_to_say_gives_nothing(text: str) -> None:
    assert deltas(text, []) == []


def test_words_flow_before_the_sentence_ends() -> None:
    frontend = TextFrontend(TOKENIZER, NORMALIZER)
    found = [delta for char in "hello the world and" for delta in frontend.feed(char)]
    # " world" begins no longer token, so nothing that may follow changes it.
    assert [number for delta in found for number in delta.ids] == TOKENIZER.encode(
        "hello the world"
    )


def test_chinese_flows_within_a_clause() -> None:
    frontend = TextFrontend(TOKENIZER, NORMALIZER)
    found = [delta for char in "今天天气你好公园" for delta in frontend.feed(char)]
    assert [number for delta in found for number in delta.ids] == TOKENIZER.encode("今天天气你好")


def test_a_token_waits_for_what_could_change_it() -> None:
    frontend = TextFrontend(TOKENIZER, NORMALIZER)
    assert frontend.feed("今天天") == []
    assert frontend.feed("气你")[0].ids == tuple(TOKENIZER.encode("今天天气"))


def test_users_write_markup_but_no_control_tokens() -> None:
    [found] = utterances(
        "hello [laughter]world <|im_start|> <|endofprompt|>", policy=UtterancePolicy()
    )
    assert TOKENIZER.special["[laughter]"] in found.ids
    for name in ("<|im_start|>", "<|endofprompt|>", "<|endoftext|>"):
        assert TOKENIZER.special[name] not in found.ids


@settings(max_examples=60)
@given(TEXTS)
def test_no_text_gives_a_control_token(text: str) -> None:
    control = {number for name, number in TOKENIZER.special.items() if name.startswith("<|")}
    assert not control & {number for delta in deltas(text, []) for number in delta.ids}


def test_short_sentences_are_joined_and_long_ones_split() -> None:
    policy = UtterancePolicy(min_tokens=10, soft_tokens=50, max_tokens=80)
    assert len(utterances("你好。你好。", policy=policy)) == 1
    found = utterances("hello the world " * 100, policy=policy)
    assert all(len(utterance.ids) <= 80 for utterance in found)
    assert (
        " ".join(utterance.text for utterance in found)
        == "hello the world " * 99 + "hello the world."
    )
    clauses = utterances("hello the world, " * 100, policy=policy)
    assert all(utterance.text.endswith((",", ".")) for utterance in clauses)


def test_an_end_is_marked_where_none_is() -> None:
    assert utterances("hello world\n\nhello", policy=SHORT)[0].text == "hello world."
    assert utterances("你好你好")[0].text == "你好你好。"


def test_lines_without_a_mark_get_one() -> None:
    policy = UtterancePolicy(min_tokens=1)
    texts = {
        "Roses are red\nViolets are blue": ["Roses are red.", "Violets are blue."],
        "Hello (world)\nHello": ["Hello (world).", "Hello."],
        "你好\n公园": ["你好。", "公园。"],
        "今天我们去公园和\n你好": ["今天我们去公园和你好。"],
        "1. hello\n2. world": ["one hello.", "two world."],
        "1.你好2.公园": ["一、你好。", "二、公园。"],
    }
    for text, expected in texts.items():
        found = utterances(text, list(range(len(text))), policy)
        assert [utterance.text for utterance in found] == expected


def test_normalisation_sees_the_whole_number() -> None:
    [found] = utterances("我有123元", [3, 4], UtterancePolicy())
    assert found.text == "我有一百二十三元。"
    assert (found.begin, found.end) == (0, 6)


def test_prompts() -> None:
    processor = TextProcessor(TOKENIZER, NORMALIZER)
    assert processor.prompt("hello world.") == tuple(TOKENIZER.encode("hello world."))
    assert processor.prompt("...") == ()
    assert len(UtteranceCollector().feed([])) == 0
    assert processor.prompt("hello the world. " * 50).count(TOKENIZER.encode(".")[0]) == 50
    end = TOKENIZER.special["<|endofprompt|>"]
    assert processor.instruction("hello") == (*TOKENIZER.encode("hello."), end)


def test_no_text_after_the_end() -> None:
    frontend = TextProcessor(TOKENIZER, PlainNormalizer()).open()
    frontend.finish()
    assert frontend.finish() == []
    with pytest.raises(ValueError, match="ended"):
        frontend.feed("hello")


@pytest.mark.parametrize("sizes", [(0, 1, 1), (5, 4, 9), (1, 9, 8)])
def test_policies_must_make_sense(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="must hold"):
        UtterancePolicy(*sizes)

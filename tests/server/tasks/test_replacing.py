"""Phrases that are replaced, however the text comes."""

from __future__ import annotations

import random

import pytest

from cosyserve.protocol.errors import InvalidParameter, TextTooLong
from cosyserve.server.tasks import replacing
from cosyserve.server.tasks.replacing import Replacer


def spoken(replacements: dict[str, str], *pieces: str) -> str:
    replacer = Replacer(replacements)
    return "".join([replacer.feed(piece) for piece in pieces]) + replacer.feed("", whole=True)


@pytest.mark.parametrize(
    ("replacements", "text", "expected"),
    [
        (
            {"AI": "artificial intelligence"},
            "AI is not A.I.",
            "artificial intelligence is not A.I.",
        ),
        ({"今天": "金天"}, "今天天气", "金天天气"),
        ({"a": "1", "ab": "2", "abc": "3"}, "a ab abc abd", "1 2 3 2d"),
        ({"ab": "b", "bb": "x"}, "abb", "bb"),  # what was replaced is not read again
        ({"aab": "x"}, "aaab", "ax"),
        ({"abcd": "x", "bc": "y"}, "abce", "aye"),
        ({"uh ": ""}, "uh well uh ", "well "),
        ({"(.*)": "all"}, "(.*) x", "all x"),
    ],
)
def test_the_cuts_of_the_text_change_nothing(
    replacements: dict[str, str], text: str, expected: str
) -> None:
    assert spoken(replacements, text) == expected
    assert spoken(replacements, *text) == expected
    for cut in range(len(text)):
        assert spoken(replacements, text[:cut], text[cut:]) == expected


def test_nor_do_they_in_any_text() -> None:
    chance = random.Random(7)
    for _ in range(300):
        words = {"".join(chance.choices("ab", k=chance.randint(1, 4))) for _ in range(3)}
        replacements = {word: f"<{word}>" for word in words}
        text = "".join(chance.choices("abc", k=12))
        assert spoken(replacements, *text) == spoken(replacements, text)


def test_only_what_may_become_a_phrase_is_held_back() -> None:
    replacer = Replacer({"abc": "x"})
    assert replacer.feed("1 ab") == "1 "
    assert replacer.feed("d ab") == "abd "
    assert replacer.feed("", whole=True) == "ab"
    assert replacer.feed("c") == "c"  # a flush is the end of a phrase


def test_places_are_those_of_the_text() -> None:
    replacer = Replacer({"AI": "artificial intelligence"})
    said = replacer.feed("so AI is here", whole=True)
    for word, place in (("so", (0, 2)), ("intelligence", (3, 5)), ("here", (9, 13))):
        begin = said.index(word)
        assert replacer.source(begin, begin + len(word)) == place


@pytest.mark.parametrize("text", ["<speak>AI</speak>", " <speak>", 'AI <break time="1s"/> AI'])
def test_markup_is_refused(text: str) -> None:
    for pieces in ([text], list(text)):
        replacer = Replacer({"AI": "x"}, markup=True)
        with pytest.raises(InvalidParameter, match="plain text"):
            _ = [replacer.feed(piece) for piece in pieces]
    assert spoken({"AI": "x"}, text) == text.replace("AI", "x")


@pytest.mark.parametrize("text", ["AI < 3 <b>", "AI", "<", " "])
def test_what_is_no_markup_is_not(text: str) -> None:
    replacer = Replacer({"AI": "x"}, markup=True)
    said = "".join(map(replacer.feed, text)) + replacer.feed("", whole=True)
    assert said == text.replace("AI", "x")


def test_their_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacing, "MOST_REPLACEMENTS", 3)
    replacer = Replacer({"a": "b"})
    assert replacer.feed("aaa") == "bbb"
    with pytest.raises(TextTooLong):
        replacer.feed("a")

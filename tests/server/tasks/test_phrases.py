"""Phrases that are replaced, however the text comes."""

from __future__ import annotations

import random

import pytest

from cosyserve.engine.interface import Sounds
from cosyserve.protocol.errors import TextTooLong
from cosyserve.protocol.phrases import Pronunciation, Replacement, Rule
from cosyserve.server.tasks import phrases
from cosyserve.server.tasks.phrases import PhraseFinder, Said, Spoken


def written(found: list[Spoken]) -> str:
    return "".join(each if isinstance(each, str) else f"<{each.word}>" for each in found)


def shown(rules: tuple[Rule, ...], *pieces: str) -> str:
    finder = PhraseFinder(rules)
    return "".join(written(finder.feed(piece)) for piece in pieces) + written(
        finder.feed("", whole=True)
    )


def replacing(replacements: dict[str, str]) -> tuple[Rule, ...]:
    return tuple(Replacement(phrase, spoken) for phrase, spoken in replacements.items())


def spoken(replacements: dict[str, str], *pieces: str) -> str:
    return shown(replacing(replacements), *pieces)


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
    finder = PhraseFinder(replacing({"abc": "x"}))
    assert finder.feed("1 ab") == ["1 "]
    assert finder.feed("d ab") == ["abd "]
    assert finder.feed("", whole=True) == ["ab"]
    assert finder.feed("c") == ["c"]  # a flush is the end of a phrase


def test_places_are_those_of_the_text() -> None:
    finder = PhraseFinder(replacing({"AI": "artificial intelligence"}))
    [said] = finder.feed("so AI is here", whole=True)
    assert isinstance(said, str)
    for word, place in (("so", (0, 2)), ("intelligence", (3, 5)), ("here", (9, 13))):
        begin = said.index(word)
        assert finder.source(begin, begin + len(word)) == place


WHOLE = (
    Pronunciation("Nguyen", "ipa", "wɪn"),
    Pronunciation("New York", "ipa", "nuːˈjɔːɹk"),
    Pronunciation("SQL", "ipa", "siːkwəl", match_case=False),
    Pronunciation("银行", "py", "yin2 hang2"),
    Replacement("C++", "see plus plus", whole_words=True),
    Replacement("ml", "millilitres"),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nguyen", "<Nguyen>"),
        ("Nguyens, Nguyen. xNguyen Nguyen2 _Nguyen", "Nguyens, <Nguyen>. xNguyen Nguyen2 _Nguyen"),
        ("Nguyen's hat, Nguyen’s", "<Nguyen>'s hat, <Nguyen>’s"),
        ("Nguyen'st, Nguyen'd, 'Nguyen'", "Nguyen'st, Nguyen'd, '<Nguyen>'"),
        ("Nguyen-Nguyen (Nguyen)", "<Nguyen>-<Nguyen> (<Nguyen>)"),
        ("nguyen NGUYEN", "nguyen NGUYEN"),
        ("New Yorker, New York, New", "New Yorker, <New York>, New"),
        ("sql, MySQL, Sql. SQLite", "<sql>, MySQL, <Sql>. SQLite"),
        ("我去银行取钱", "我去<银行>取钱"),
        ("C++, C++x, C+, vC++", "see plus plus, see plus plusx, C+, vC++"),
        ("5ml html", "5millilitres htmillilitres"),
        ("cafe\u0301 Nguyen\u0301", "cafe\u0301 Nguyen\u0301"),
        ("중Nguyen은", "중<Nguyen>은"),
    ],
)
def test_words_have_borders_wherever_the_text_is_cut(text: str, expected: str) -> None:
    for pieces in ([text], [*text], *([text[:cut], text[cut:]] for cut in range(len(text)))):
        assert shown(WHOLE, *pieces) == expected


def test_nor_do_cuts_matter_in_any_text() -> None:
    chance = random.Random(11)
    for _ in range(300):
        rules = tuple(
            Replacement(
                word,
                f"<{word}>",
                whole_words=chance.random() < 0.5,
                match_case=chance.random() < 0.5,
            )
            for word in {"".join(chance.choices("aB'", k=chance.randint(1, 4))) for _ in range(4)}
        )
        text = "".join(chance.choices("aAbBs' ", k=14))
        assert shown(rules, *text) == shown(rules, text)


@pytest.mark.parametrize(
    ("pieces", "given"),
    [
        (["I met Ngu"], "I met "),
        (["I met Nguyen"], "I met "),
        (["I met Nguyen "], "I met <Nguyen> "),
        (["I met Nguyen'"], "I met "),
        (["I met N", "o"], "I met No"),
        (["I met xN"], "I met xN"),  # within a word none begins
        (["I met x", "N"], "I met xN"),
        (["sq", "u"], "squ"),
    ],
)
def test_only_what_may_become_a_word_is_held_back(pieces: list[str], given: str) -> None:
    finder = PhraseFinder(WHOLE)
    assert "".join(written(finder.feed(piece)) for piece in pieces) == given


def test_a_word_that_is_told_is_not_searched_and_borders_on_others() -> None:
    finder = PhraseFinder(WHOLE)
    sounds = Sounds("ipa", "ɛks")
    found = [
        *finder.feed("SQL Ngu"),
        *finder.take("New York", sounds),
        *finder.feed("ml SQL", whole=True),
    ]
    assert found == [
        Said("SQL", Sounds("ipa", "siːkwəl")),
        " ",
        "Ngu",
        Said("New York", sounds),
        "millilitres ",
        Said("SQL", Sounds("ipa", "siːkwəl")),
    ]
    assert finder.source(0, 3) == (0, 3)
    assert finder.source(15, 26) == (15, 17)
    assert finder.source(27, 30) == (18, 21)


def test_of_several_rules_for_a_phrase_the_first_counts() -> None:
    rules = (Replacement("a", "1"), Replacement("a", "2"), Replacement("A", "3", match_case=False))
    assert shown(rules, "aA") == "13"


def test_their_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phrases, "MOST_REPLACEMENTS", 3)
    finder = PhraseFinder(replacing({"a": "b"}))
    assert finder.feed("aaa") == ["bbb"]
    with pytest.raises(TextTooLong):
        finder.feed("a")


def test_words_that_begin_with_each_other_are_told_apart() -> None:
    rules = replacing({"a" * size + "b": f"<{size}>" for size in range(1, 30)} | {"a" * 40: "<a>"})
    assert shown(rules, "a" * 45 + "b") == "<a><5>"
    assert shown(rules, "aac" + "a" * 31 + "b") == "aacaa<29>"

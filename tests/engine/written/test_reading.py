"""Written forms to spoken words, as a pure function of the text and what is around it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.written import SentenceContext, expressions, opens, verbalize
from support.writing.written_forms import BEFORE_THE_FILTER, IN_TEXT, LONE

CHARACTERS = st.one_of(
    st.characters(exclude_categories=()),
    st.sampled_from(
        "0123456789.,:;-–+/'\"%$¥€£<>=~#°℃²³½№ \u202fkgmhMBxXvVIAPe月日年元个万亿人℉到"
    ),
)
HOSTILE = (
    *(
        "1",
        "1,",
        "1-",
        "1:",
        "1.",
        "1/",
        "1 ",
        "1 000 ",
        "-",
        "+",
        "$",
        "<",
        "~1",
        "¥1",
        "°",
        "½",
        "²",
    ),
    *(
        "a1",
        "A-",
        "1a",
        "1e",
        "1x",
        "(",
        "I ",
        "'9",
        "No. ",
        "www.",
        "/a",
        "a.",
        "a@",
        "一1",
        "1亿",
        "#1",
    ),
)


def said(text: str, language: str | None) -> str:
    return verbalize(text, SentenceContext(language)).text


@pytest.mark.parametrize(("text", "english", "chinese"), [*LONE, *BEFORE_THE_FILTER])
def test_alone_a_form_is_read_in_the_language_that_is_told(
    text: str, english: str, chinese: str
) -> None:
    assert said(text, "en") == english
    assert said(text, "zh") == chinese


@pytest.mark.parametrize(("text", "words"), IN_TEXT)
def test_letters_around_tell_the_language(text: str, words: str) -> None:
    assert said(text, "en") == words
    assert said(text, "zh") == words


@pytest.mark.parametrize(("text", "english", "chinese"), LONE)
def test_forms_are_read_alike_within_a_sentence(text: str, english: str, chinese: str) -> None:
    """But for those that a full stop, or a letter right beside, would change."""
    if text[-1].isalpha() or text[0].isalpha() or "." in (text[0], text[-1]):
        return
    assert said(f"They say: {text}, they do.", None) == f"They say: {english}, they do."
    assert said(f"他们说：{text}，对吧。", None) == f"他们说：{chinese}，对吧。"


@pytest.mark.parametrize("text", ["в 6:00 часов", "今日は3時です", "5кг", "３時にカフェで"])
def test_other_languages_are_left_as_they_are(text: str) -> None:
    assert said(text, "en") == text
    assert said(text, None) == text


def test_without_a_language_a_lone_number_is_left() -> None:
    assert said("12", None) == "12"
    french = SentenceContext("fr", latin=None)
    assert verbalize("il y a 12 pommes", french).text == "il y a 12 pommes"


def test_what_is_before_in_the_sentence_counts() -> None:
    around = SentenceContext("en")
    assert verbalize("今天的气温，", around).text == "今天的气温，"
    assert verbalize("-12℃", around).text == "负十二摄氏度"
    around.sentence_ended()
    assert verbalize("-12℃", around).text == "minus twelve degrees Celsius"


def test_rules_see_the_text_before_a_stretch() -> None:
    around = SentenceContext("en")
    verbalize("see you in", around)
    assert verbalize(" 1806", around).text == " eighteen oh six"


@pytest.mark.parametrize("text", [form[0] for form in (*LONE, *IN_TEXT)])
def test_places_are_those_of_whole_expressions(text: str) -> None:
    words, origins = verbalize(text, SentenceContext("en"))
    assert origins.length == len(words)
    assert origins.source_length == len(text)
    found = list(expressions(text, SentenceContext("en")))
    at = 0
    for expression in filter(lambda expression: expression.words, found):
        place = words.index(expression.words, at)
        at = place + len(expression.words)
        for position in (place, at - 1):
            assert origins.source(position, position + 1) == (expression.begin, expression.end)
    ends = [0, *(end for _, end, _ in found)]
    assert all(begin >= end for (begin, _, _), end in zip(found, ends, strict=False))


@given(st.text(CHARACTERS, max_size=80), st.sampled_from(["en", "zh", None]))
def test_nothing_raises_and_places_hold(text: str, language: str | None) -> None:
    words, origins = verbalize(text, SentenceContext(language))
    assert origins.length == len(words)
    assert origins.source_length == len(text)
    for position in range(len(words)):
        begin, end = origins.source(position, position + 1)
        assert 0 <= begin < end <= len(text)


@given(st.text(CHARACTERS, max_size=80))
def test_no_digit_is_left_where_a_language_is_known(text: str) -> None:
    """But in an address, and beside another language's letters."""
    if re.search(r"[^\W\da-zA-Z_\u4e00-\u9fff]|[./@]|www|_", text):
        return
    assert not re.search(r"[0-9]", said(text, "en"))


@pytest.mark.parametrize("unit", HOSTILE)
def test_the_work_is_linear(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted as questions for a language: one for each place where an expression may begin."""
    asked = 0
    language = SentenceContext.language

    def counted(self: SentenceContext, text: str, begin: int) -> str | None:
        nonlocal asked
        asked += 1
        return language(self, text, begin)

    monkeypatch.setattr(SentenceContext, "language", counted)
    text = (unit * 20_000)[:20_000]
    assert verbalize(text, SentenceContext("en")).origins.source_length == len(text)
    assert asked <= len(text)


@pytest.mark.parametrize("word", ["Feb.", "No.", "USD", "≥", "VIII", "$", "C#", "vs.", "Dr", "№"])
def test_words_that_wait_for_what_follows(word: str) -> None:
    assert opens(word)


@pytest.mark.parametrize("word", ["the", "no", "I", "we", "hello,", "min", "天"])
def test_words_that_do_not(word: str) -> None:
    assert not opens(word)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("50 - 60 people", ["50>fifty", "->to", "60>sixty"]),
        ("5 kg", ["5>five", "kg>kilograms"]),
        ("> 5", [">>greater than", "5>five"]),
        ("at 10:30 a.m. we", ["10:30>ten thirty", "a.m>a.m"]),
        ("the '90s", ["'>", "90s>nineties"]),
        ("30 USD", ["30>thirty", "USD>dollars"]),
        ("1 000 000", ["1 000 000>one million"]),
        (
            "$2,375.40",
            ["$2,375.40>two thousand three hundred seventy-five dollars and forty cents"],
        ),
        ("10-20", ["10-20>ten to twenty"]),
        ("温度 > 5 度", [">>大于", " >", "5>五"]),
    ],
)
def test_words_that_blanks_part_are_apart(text: str, parts: list[str]) -> None:
    found = expressions(text, SentenceContext("en"))
    assert [f"{text[begin:end]}>{words}" for begin, end, words in found] == parts

"""Numbers, dates and the like in words."""

from __future__ import annotations

import pytest

from cosyserve.server.ssml.parse import INTERPRETATIONS
from cosyserve.server.ssml.say_as import said_as


@pytest.mark.parametrize(
    ("kind", "text", "shape", "english", "chinese"),
    [
        ("cardinal", "1,234.5", "", "one thousand two hundred thirty-four point five", "一千二百三十四点五"),
        ("number", "-12", "", "minus twelve", "负十二"),
        ("ordinal", "21st", "", "twenty-first", "第二十一"),
        ("digits", "2024", "", "two zero two four", "二零二四"),
        ("telephone", "+86 138-1234", "", "plus eight six, one three eight, one two three four",
         "加八六，幺三八，幺二三四"),
        ("characters", "Ab1.", "", "A, B, one, dot", "A，B，一，点"),
        ("punctuation", "a, b!", "", "a comma b exclamation mark", "a 逗号 b 感叹号"),
        ("date", "2024-05-03", "", "May third, twenty twenty-four", "二零二四年五月三日"),
        ("date", "05/03/2024", "mdy", "May third, twenty twenty-four", "二零二四年五月三日"),
        ("date", "3.5.", "dm", "May third", "五月三日"),
        ("date", "20240503", "", "May third, twenty twenty-four", "二零二四年五月三日"),
        ("date", "2024-13-03", "", None, None),
        ("date", "May 3", "md", None, None),
        ("time", "10:30", "", "ten thirty", "十点三十分"),
        ("time", "2:05pm", "", "two oh five p.m", "下午两点零五分"),
        ("time", "9:00", "", "nine o'clock", "九点"),
        ("time", "10:61", "", None, None),
        ("currency", "$12.50", "", "twelve dollars and fifty cents", "十二点五美元"),
        ("currency", "1,000 EUR", "", "one thousand euros", "一千欧元"),
        ("currency", "£0.01", "", "one penny", "零点零一英镑"),
        ("currency", "12 XYZ", "", None, None),
        ("fraction", "3/4", "", "three quarters", "四分之三"),
        ("fraction", "1 1/2", "", "one and one half", "一又二分之一"),
        ("fraction", "1/0", "", None, None),
        ("name", "张三", "", "张三", "张三"),
        ("ordinal", "x", "", None, None),
        ("cardinal", "", "", None, None),
    ],
)  # fmt: skip
def test_words(kind: str, text: str, shape: str, english: str | None, chinese: str | None) -> None:
    assert said_as(kind, text, shape, "en") == english
    assert said_as(kind, text, shape, "zh") == chinese


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(("fraction", "1/" + "9" * 5000), ("fraction", "9" * 5000 + "/2")),
        *(
            ("currency", "$" + "9" * 5000),
            ("date", "9" * 5000 + "/1/2"),
            ("date", "1/2/" + "9" * 5000),
        ),
    ],
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_more_digits_than_a_number_has_are_no_reading(kind: str, text: str, language: str) -> None:
    assert said_as(kind, text, "", language) is None


def test_other_languages_get_what_needs_no_words() -> None:
    assert said_as("cardinal", "12", "", "fr") == "12"
    assert said_as("digits", "12", "", "fr") == "1 2"
    assert said_as("characters", "ab", "", "fr") == "A, B"
    assert said_as("ordinal", "12", "", "fr") is None


@pytest.mark.parametrize("kind", INTERPRETATIONS)
@pytest.mark.parametrize(
    "text", ["", " ", "١٢", "²", "９９", "1" * 400, "0/0/0", "a\n1", "😀", ":", "$"]
)
def test_nothing_raises(kind: str, text: str) -> None:
    for language in ("en", "zh", "fr"):
        said = said_as(kind, text, "ymd", language)
        assert said is None or isinstance(said, str)

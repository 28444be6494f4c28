"""Numbers in words."""

from __future__ import annotations

import pytest

from cosyserve.engine.written.numbers import cardinal, ordinal, year


@pytest.mark.parametrize(
    ("number", "english", "chinese"),
    [
        ("0", "zero", "零"),
        ("007", "seven", "七"),
        ("13", "thirteen", "十三"),
        ("110", "one hundred ten", "一百一十"),
        ("1005", "one thousand five", "一千零五"),
        ("100050", "one hundred thousand fifty", "十万零五十"),
        ("100002345", "one hundred million two thousand three hundred forty-five", "一亿零二千三百四十五"),
        ("1200000000000", "one trillion two hundred billion", "一万二千亿"),
    ],
)  # fmt: skip
def test_cardinals(number: str, english: str, chinese: str) -> None:
    assert cardinal(number, "en") == english
    assert cardinal(number, "zh") == chinese


def test_long_numbers_are_said_digit_by_digit() -> None:
    assert cardinal("1234567890123456", "en").startswith("one two three")


@pytest.mark.parametrize(
    ("number", "said"),
    [("1", "first"), ("12", "twelfth"), ("20", "twentieth"), ("33", "thirty-third"),
     ("100", "one hundredth"), ("1005", "one thousand fifth")],
)  # fmt: skip
def test_ordinals(number: str, said: str) -> None:
    assert ordinal(number, "en") == said


@pytest.mark.parametrize(
    ("text", "said"),
    [("1999", "nineteen ninety-nine"), ("2000", "two thousand"), ("2005", "two thousand five"),
     ("1905", "nineteen oh five"), ("1900", "nineteen hundred"), ("800", "eight hundred")],
)  # fmt: skip
def test_years(text: str, said: str) -> None:
    assert year(text, "en") == said

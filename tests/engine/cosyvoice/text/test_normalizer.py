from __future__ import annotations

import sys

import pytest

from cosyserve.engine.cosyvoice.text.written import (
    LANGUAGES,
    PlainNormalizer,
    WetextNormalizer,
    load_normalizer,
)


@pytest.fixture(scope="module")
def read() -> WetextNormalizer:
    return WetextNormalizer()


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("2024年5月3日", "二零二四年五月三日"),
        ("3.5公斤苹果", "三点五公斤苹果"),
        ("￥100", "一百元"),
        ("12.5%", "百分之十二点五"),
        ("-5℃", "负五摄氏度"),
        ("13812345678", "幺三八幺二三四五六七八"),
        ("10:30开始", "十点三十分开始"),
    ],
)
def test_chinese(read: WetextNormalizer, text: str, spoken: str) -> None:
    assert read(text, "zh") == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("$25.80", "twenty five point eight dollars"),
        ("12,000", "twelve thousand"),
        ("12.5%", "twelve point five percent"),
        ("3.5 kg", "three point five kilograms"),
        ("10:30 am", "ten thirty AM"),
    ],
)
def test_english(read: WetextNormalizer, text: str, spoken: str) -> None:
    assert read(text, "en") == spoken


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", ["", " ", '5"', "5\\", "a  5", "\x005", "5\ud800", '"', "{ 5: }"])
def test_nothing_raises(read: WetextNormalizer, text: str, language: str) -> None:
    assert isinstance(read(text, language), str)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wetext", None)
    found = load_normalizer()
    assert isinstance(found, PlainNormalizer)
    assert found.notice is not None
    assert "wetext is not installed" in found.notice
    assert found("5 kg", "en") == "5 kg"

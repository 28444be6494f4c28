from __future__ import annotations

import importlib.util

import pytest

from cosyserve.engine.embedded.espeak.mandarin import load_phrases, phrases_in, syllables

PHRASES = dict.fromkeys(
    ["长大", "大人", "温暖", "暖和", "银行", "行长", "会计", "计算", "好好学习"], ""
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("孩子长大了", ["长大"]),
        ("温暖和力量", ["温暖"]),
        ("银行长", []),
        ("会计算", []),
        ("银行行长", ["银行", "行长"]),
        ("好好学习", ["好好学习"]),
        ("", []),
    ],
)
def test_phrases_count_where_the_division_is_certain(text: str, found: list[str]) -> None:
    assert [text[begin:end] for begin, end in phrases_in(text, PHRASES)] == found


def test_pypinyin_has_phrases() -> None:
    phrases = load_phrases()
    assert len(phrases) > 40_000
    assert syllables(phrases["银行"]) == ["yin2", "hang2"]
    assert syllables(phrases["旅行"]) == ["lv3", "xing2"]


def test_readings_are_those_of_pypinyin() -> None:
    from pypinyin import Style, lazy_pinyin

    phrases = load_phrases()
    for phrase in [*phrases][::977]:
        told = lazy_pinyin(phrase, style=Style.TONE3, neutral_tone_with_five=True)
        assert syllables(phrases[phrase]) == [syllable.replace("ü", "v") for syllable in told]


def test_without_pypinyin_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert load_phrases() == {}

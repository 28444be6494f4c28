from __future__ import annotations

import re
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.segmentation.characters import is_spoken, weight
from cosyserve.engine.segmentation.scripts import (
    ALL_IDEOGRAPHS,
    IDEOGRAPHS,
    LANGUAGES,
    Script,
    is_cjk,
    language_stretches,
    script_of,
)


def stretches(text: str, default: str) -> list[tuple[str, str]]:
    return [(each.text, each.language) for each in language_stretches(text, default)]


@pytest.mark.parametrize(
    ("char", "script"),
    [
        ("a", Script.LATIN),
        ("ß", Script.LATIN),
        ("ế", Script.LATIN),
        ("Ａ", Script.LATIN),
        ("я", Script.CYRILLIC),
        ("ω", Script.GREEK),
        ("你", Script.HAN),
        ("々", Script.HAN),
        ("\U00020000", Script.HAN),
        ("か", Script.KANA),
        ("ｶ", Script.KANA),
        ("ㄅ", Script.BOPOMOFO),
        ("한", Script.HANGUL),
        ("ა", Script.GEORGIAN),
        ("հ", Script.ARMENIAN),
        ("ש", Script.HEBREW),
        ("م", Script.ARABIC),
        ("न", Script.DEVANAGARI),
        ("ั", Script.THAI),
        ("ক", Script.BENGALI),
        ("த", Script.TAMIL),
        *((char, None) for char in "1 .,。、「×ー・µ😀\u0301\u200b\x00"),
    ],
)
def test_script_of(char: str, script: Script | None) -> None:
    assert script_of(char) is script


def test_cjk_is_what_has_no_blanks_between_words() -> None:
    assert all(map(is_cjk, "你々かカㄅ"))
    assert not any(map(is_cjk, "a한ก。1 "))


@pytest.mark.parametrize(
    ("text", "default", "expected"),
    [
        ("", "en", []),
        ("123, ...", "fr", [("123, ...", "fr")]),
        ("Hello, world!", "en-US", [("Hello, world!", "en-US")]),
        ("Bonjour", "fr", [("Bonjour", "fr")]),
        ("Hello", "zh", [("Hello", "en")]),
        ("Hello", "uk", [("Hello", "en")]),
        ("Zdravo", "sr-Latn", [("Zdravo", "sr-Latn")]),
        ("здраво", "sr-Cyrl", [("здраво", "sr-Cyrl")]),
        ("здраво", "sr-Latn", [("здраво", "ru")]),
        ("салом", "uz-Cyrl", [("салом", "uz-Cyrl")]),
        ("hello", "uz_Cyrl", [("hello", "en")]),
        ("你好", "en", [("你好", "zh")]),
        ("你好", "yue", [("你好", "yue")]),
        ("你好", "zh-TW", [("你好", "zh-TW")]),
        ("東京へ行きます", "zh", [("東京へ行きます", "ja")]),
        ("東京", "ja", [("東京", "ja")]),
        ("我们都很喜欢の这个字", "zh", [("我们都很喜欢", "zh"), ("の", "ja"), ("这个字", "zh")]),
        ("안녕 world", "en", [("안녕 ", "ko"), ("world", "en")]),
        ("Привет", "en", [("Привет", "ru")]),
        ("Привіт", "uk", [("Привіт", "uk")]),
        ("Καλημέρα", "en", [("Καλημέρα", "el")]),
        ("مرحبا", "en", [("مرحبا", "ar")]),
        ("سلام", "fa", [("سلام", "fa")]),
        ("שלום", "en", [("שלום", "he")]),
        ("नमस्ते", "en", [("नमस्ते", "hi")]),
        ("สวัสดี", "en", [("สวัสดี", "th")]),
        ("Hello 世界, ok", "en", [("Hello ", "en"), ("世界, ", "zh"), ("ok", "en")]),
        ("我用iPhone拍照", "zh", [("我用", "zh"), ("iPhone", "en"), ("拍照", "zh")]),
        ("我用iPhone 15拍照", "zh", [("我用", "zh"), ("iPhone 15", "en"), ("拍照", "zh")]),
        ("照X光和穿T恤", "zh", [("照X光和穿T恤", "zh")]),
        ("X光", "zh", [("X光", "zh")]),
        ("the α rays", "en", [("the α rays", "en")]),
        ("the sign 中 means", "en", [("the sign ", "en"), ("中 ", "zh"), ("means", "en")]),
        ("“1. 你好”", "en", [("“1. 你好”", "zh")]),
    ],
)
def test_language_stretches(text: str, default: str, expected: list[tuple[str, str]]) -> None:
    assert stretches(text, default) == expected


@given(
    text=st.one_of(
        st.text(alphabet=st.characters()),
        st.text(alphabet="aBc é你好のカ한яω١מ12 ,.。「」\n"),
    ),
    default=st.sampled_from(["en", "zh", "yue", "ja", "uk", "fa", "sr-Latn"]),
)
def test_stretches_tile_the_text_and_neighbours_differ(text: str, default: str) -> None:
    found = language_stretches(text, default)
    assert "".join(run.text for run in found) == text
    position = 0
    for run in found:
        assert run.begin == position
        assert run.text == text[run.begin : run.end] != ""
        position = run.end
    languages = [run.language for run in found]
    assert all(a != b for a, b in pairwise(languages))


def test_every_script_but_latin_names_a_language() -> None:
    assert set(LANGUAGES) == set(Script) - {Script.LATIN}
    assert all(LANGUAGES.values())


def test_ideographs_are_wide_spoken_han() -> None:
    """The segmenter reads a row of them at once, as if it read each by itself."""
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    common = re.findall(f"[{IDEOGRAPHS}]", every)
    assert len(common) > 27_000
    assert all(is_spoken(char) and weight(char) == 2 for char in common)
    assert {script_of(char) for char in re.findall(f"[{ALL_IDEOGRAPHS}]", every)} == {Script.HAN}

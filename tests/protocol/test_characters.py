"""Counting characters."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.protocol.text import count_characters


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        (" ", 1),
        ("a b\n", 4),
        ("你好", 4),
        ("你好, world", 11),
        ("，。", 2),
        ("こんにちは", 5),
        ("안녕", 2),
        ("𠀀", 2),  # extension B, outside the basic plane
        ("豈", 2),  # compatibility ideograph
        ("々〇", 4),
        ("é", 1),
        ("e\u0301", 2),
        ("😀", 1),
        ("👩\u200d💻", 3),
    ],
)
def test_counts(text: str, count: int) -> None:
    assert count_characters(text) == count


@given(st.characters())
def test_what_unicode_names_a_cjk_ideograph_counts_twice(character: str) -> None:
    name = unicodedata.name(character, "")
    if name.startswith(("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH")):
        assert count_characters(character) == 2
    if name.startswith(("LATIN", "HIRAGANA", "KATAKANA", "HANGUL", "CYRILLIC", "ARABIC")):
        assert count_characters(character) == 1


@given(st.text(), st.text())
def test_the_count_of_a_text_is_that_of_its_pieces(one: str, other: str) -> None:
    assert count_characters(one + other) == count_characters(one) + count_characters(other)

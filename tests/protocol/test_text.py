"""Texts: their characters counted, their limits, and a text that grows."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.protocol.errors import TextTooLong
from cosyserve.protocol.text import GrowingText, TextLimits, count_characters


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


def test_the_limits_themselves_are_allowed() -> None:
    limits = TextLimits(message=5, task=8)
    limits.check("12345")
    limits.check("12345", before=3)
    limits.check("", before=8)
    limits.check("𠀀" * 5)


@pytest.mark.parametrize(
    ("text", "before", "named"),
    [
        ("123456", 0, "6 characters in one message; allowed: 5"),
        ("1", 8, "9 characters in one task"),
    ],
)
def test_more_is_refused(text: str, before: int, named: str) -> None:
    with pytest.raises(TextTooLong, match=named):
        TextLimits(message=5, task=8).check(text, before)


def test_defaults() -> None:
    assert TextLimits() == TextLimits(message=20_000, task=200_000)


@given(st.lists(st.integers(0, 2500), max_size=6), st.integers(0, 9000), st.integers(0, 9000))
def test_a_part_is_a_slice_of_the_whole(sizes: list[int], begin: int, end: int) -> None:
    growing, whole = GrowingText(), ""
    for size in sizes:
        piece = "".join(chr(0x4E00 + len(whole) + place) for place in range(size))
        growing.append(piece)
        whole += piece
        assert len(growing) == len(whole)
        assert growing.part(begin, end) == whole[begin:end]
        assert growing.part(begin) == whole[begin:]
    assert growing.part(0) == whole


def test_single_characters_are_kept_in_order() -> None:
    growing = GrowingText()
    for number in range(3000):
        growing.append(chr(0x4E00 + number))
    assert growing.part(1020, 1030) == "".join(chr(0x4E00 + n) for n in range(1020, 1030))
    assert len(growing) == 3000

from __future__ import annotations

import pytest

from cosyserve.engine.segmentation.characters import (
    cluster_start,
    is_blank,
    is_extender,
    is_newline,
    weight,
)


def test_blanks() -> None:
    assert all(map(is_blank, " \t\r\n\u3000\xa0\u200b\x00\x1b"))
    assert not any(map(is_blank, "a。\u200d\u0301"))


def test_carriage_return_alone_ends_no_line() -> None:
    assert all(map(is_newline, "\n\v\f\x85\u2028\u2029"))
    assert not is_newline("\r")


def test_extenders() -> None:
    assert all(map(is_extender, "\u0301\u200d\ufe0f🏽\u11a8\u00ad\udc00\U000e0100"))
    assert not any(map(is_extender, "a 你👍\u200b\ud800"))


def test_weight_counts_wide_characters_twice() -> None:
    assert [weight(char) for char in "aé你。한カｶ👍\u0301"] == [1, 1, 2, 2, 2, 2, 1, 2, 1]


@pytest.mark.parametrize(
    ("text", "position", "start"),
    [
        ("abc", 2, 2),
        ("ae\u0301\u0302b", 3, 1),
        ("a\r\nb", 2, 1),
        ("a👨‍👩‍👧", 4, 1),
        ("🇩🇪🇫🇷", 2, 2),
        ("🇩🇪🇫🇷", 3, 2),
        ("\u0301\u0301\u0301", 2, 0),
    ],
)
def test_cluster_start(text: str, position: int, start: int) -> None:
    assert cluster_start(text, position, 0) == start

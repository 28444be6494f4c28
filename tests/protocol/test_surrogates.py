"""Surrogate pairs that were cut in two."""

from __future__ import annotations

import pytest

from cosyserve.protocol.surrogates import join, well_formed

WHOLE = "ok 🎉 done 𝄞"


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("", ""),
        ("plain 🎉", "plain 🎉"),
        ("\ud83c\udf89", "🎉"),
        ("a\ud83cb", "a\ufffdb"),
        ("\udf89\ud83c", "\ufffd\ufffd"),
        ("\ud83c\ud83c\udf89\udf89", "\ufffd🎉\ufffd"),
    ],
)
def test_halves_are_joined_or_replaced(text: str, mended: str) -> None:
    assert well_formed(text) == mended


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_text_in_units_of_utf16_is_the_text(size: int) -> None:
    units = WHOLE.encode("utf-16-le")
    pieces = [
        units[at : at + 2 * size].decode("utf-16-le", "surrogatepass")
        for at in range(0, len(units), 2 * size)
    ]
    joined, half = [], ""
    for piece in [*pieces, ""]:
        text, half = join(half, piece)
        text.encode()
        joined.append(text)
    assert ("".join(joined), half) == (WHOLE, "")


def test_a_half_waits_over_empty_pieces_and_no_longer_than_the_text() -> None:
    assert join("", "a\ud83c") == ("a", "\ud83c")
    assert join("\ud83c", "") == ("", "\ud83c")
    assert join("\ud83c", "x") == ("\ufffdx", "")
    assert join("\ud83c", "\ud83d") == ("\ufffd", "\ud83d")
    assert join("\ud83c", "", last=True) == ("\ufffd", "")
    assert join("\ud83c", "\udf89", last=True) == ("🎉", "")
    assert join("", "\ud83c", last=True) == ("\ufffd", "")

"""Surrogate pairs that are cut in two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.protocol.surrogates import join, well_formed


def cut(text: str, size: int) -> list[str]:
    """Pieces of `size` UTF-16 code units."""
    units = text.encode("utf-16-le", "surrogatepass")
    step = 2 * size
    pieces = (units[begin : begin + step] for begin in range(0, len(units), step))
    return [piece.decode("utf-16-le", "surrogatepass") for piece in pieces]


def joined(pieces: list[str]) -> str:
    text, half = "", ""
    for piece in pieces:
        got, half = join(half, piece)
        got.encode()
        text += got
    return text + join(half, "", last=True)[0]


@given(st.text(st.characters() | st.sampled_from("\ud83c\udf89🎉𠀀")), st.integers(1, 5))
def test_a_text_cut_anywhere_is_the_whole_text(text: str, size: int) -> None:
    assert joined(cut(text, size)) == well_formed(text)


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["ok \ud83c", "\udf89 done"], "ok 🎉 done"),
        (["\ud83c", "", "\udf89"], "🎉"),
        (["\ud83c", "x"], "\ufffdx"),
        (["\ud83c", "\ud83c", "\udf89"], "\ufffd🎉"),
        (["x", "\ud83c"], "x\ufffd"),
        (["\udf89\ud83c"], "\ufffd\ufffd"),
    ],
)
def test_halves(pieces: list[str], text: str) -> None:
    assert joined(pieces) == text


def test_what_may_be_completed_is_kept_back_until_the_end() -> None:
    assert join("", "a\ud83c") == ("a", "\ud83c")
    assert join("\ud83c", "\udf89") == ("🎉", "")
    assert join("\ud83c", "", last=True) == ("\ufffd", "")

"""A growing text reads as the whole text does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cosyserve.protocol.text import GrowingText


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

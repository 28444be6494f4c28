from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.embedded.utterances import without_inner_stops, without_marker_point


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("We saw Mt. Fuji.", "We saw Mt  Fuji."),
        ("On Feb. 3 and Jan. 5, 2024.", "On Feb  3 and Jan  5, 2024."),
        ("By J. R. R. Tolkien.", "By J  R  R  Tolkien."),
        ("He joined the U.S. Navy.", "He joined the U.S  Navy."),
        ("我在U.S. 海军。", "我在U.S  海军。"),
        ("Bread, e.g. this one.", "Bread, e.g. this one."),
        ("Wait... What", "Wait... What"),
        ("1. First we go.", "1  First we go."),
        (" 12) Then", " 12  Then"),
        ("(1) First", "(1  First"),
        ("a) Then", "a  Then"),
        ("iv. Then", "iv  Then"),
        ("Step 2: Take it", "Step 2  Take it"),
        ("1.苹果", "1 苹果"),
        ("1、苹果", "1 苹果"),
        ("二、香蕉", "二 香蕉"),
        ("（1）苹果", "（1 苹果"),
        ("③ foo", "3 foo"),
        ("三、四个人", "三、四个人"),
        ("1.5 kg", "1.5 kg"),
        ("10:30 now", "10:30 now"),
        ("i.e. this", "i.e. this"),
        ("A.I. is here", "A.I. is here"),
        ("1.", "1."),
    ],
)
def test_points_that_end_nothing_are_taken_out(text: str, spoken: str) -> None:
    assert without_inner_stops(without_marker_point(text)) == spoken


@given(st.text(max_size=40))
def test_the_length_stays(text: str) -> None:
    assert len(without_inner_stops(without_marker_point(text))) == len(text)

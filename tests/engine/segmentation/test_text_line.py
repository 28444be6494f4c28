from __future__ import annotations

import pytest

from cosyserve.engine.segmentation.text_line import Line


def test_what_a_line_is_made_of() -> None:
    line = Line("> > See the U.S. map \r\n")
    assert (line.quoted, line.body, line.width) == (True, "See the U.S. map", 20)
    assert (line.last, line.begins) == ("map", 4)
    assert Line("the end!").last == ""
    assert Line("written by Dr.").last == "Dr."
    assert Line("  苹果，好").width == 10
    assert Line("苹果").begins == 2
    assert Line("苹，果").begins == 4


@pytest.mark.parametrize(
    "text", ["The Old Man and the Sea", "12 High Street", "Anna Weber", "How to Make Bread"]
)
def test_titles(text: str) -> None:
    assert Line(text).titled


@pytest.mark.parametrize("text", ["We went to Paris by train", "Milk", "the end of it", ""])
def test_no_titles(text: str) -> None:
    assert not Line(text).titled


def test_scripts_headings_and_verse() -> None:
    assert Line("我用Python写了一个程序").wide
    assert not Line("The word 苹果 means apple").wide
    assert Line("## Next").heading
    assert Line("| a | b |").heading
    assert Line("朝辞白帝彩云间，千里江陵一日还").couplet
    assert not Line("今天天气很好，我们去公园散步吧").couplet
    assert Line("It was late. We had no map").running
    assert not Line("We saw Prof. Lee there today").running

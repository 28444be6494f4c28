from __future__ import annotations

import pytest

from cosyserve.engine.segmentation.line_ends import EndedLine


def test_what_a_line_is_made_of() -> None:
    line = EndedLine("> > See the U.S. map \r\n")
    assert (line.quoted, line.body, line.width) == (True, "See the U.S. map", 20)
    assert (line.last, line.begins) == ("map", 4)
    assert EndedLine("the end!").last == ""
    assert EndedLine("written by Dr.").last == "Dr."
    assert EndedLine("  苹果，好").width == 10
    assert EndedLine("苹果").begins == 2
    assert EndedLine("苹，果").begins == 4


@pytest.mark.parametrize(
    "text", ["The Old Man and the Sea", "12 High Street", "Anna Weber", "How to Make Bread"]
)
def test_titles(text: str) -> None:
    assert EndedLine(text).titled


@pytest.mark.parametrize("text", ["We went to Paris by train", "Milk", "the end of it", ""])
def test_no_titles(text: str) -> None:
    assert not EndedLine(text).titled


def test_scripts_headings_and_verse() -> None:
    assert EndedLine("我用Python写了一个程序").wide
    assert not EndedLine("The word 苹果 means apple").wide
    assert EndedLine("## Next").heading
    assert EndedLine("| a | b |").heading
    assert EndedLine("朝辞白帝彩云间，千里江陵一日还").couplet
    assert not EndedLine("今天天气很好，我们去公园散步吧").couplet
    assert EndedLine("It was late. We had no map").running
    assert not EndedLine("We saw Prof. Lee there today").running

from __future__ import annotations

import pytest

from cosyserve.engine.segmentation.boundaries import Verdict
from cosyserve.engine.segmentation.layout import Layout
from cosyserve.engine.segmentation.lookahead import NeedMoreText


def layout_of(text: str, *, final: bool = False) -> Layout:
    layout = Layout()
    layout.read(text, final)
    return layout


def test_a_line_end_is_told_before_the_line_after_it() -> None:
    layout = layout_of("Milk\nEggs\nthe end")
    assert layout.before(5) is Verdict.SENTENCE
    assert layout.before(10) is not None
    assert [layout.before(place) for place in (0, 4, 6, 12)] == [None] * 4


def test_what_is_not_decided_asks_for_more() -> None:
    layout = layout_of("Milk\n")
    assert layout.before(4) is None
    with pytest.raises(NeedMoreText):
        layout.before(5)
    layout.read("Milk\nEggs", False)
    assert layout.before(5) is Verdict.SENTENCE
    assert layout_of("Milk\n", final=True).before(5) is Verdict.NOTHING


def test_an_item_is_told_before_its_marker() -> None:
    layout = layout_of("1. foo 2. bar")
    assert layout.before(7) is Verdict.SENTENCE
    assert layout.stop(0) == 7
    with pytest.raises(NeedMoreText):
        layout_of("1. foo 2").before(7)


def test_places_move_when_text_is_dropped() -> None:
    layout = layout_of("Milk\nEggs\nBread and butter")
    layout.drop(4)
    assert layout.before(1) is Verdict.SENTENCE
    assert layout.before(6) is Verdict.SENTENCE
    layout.drop(2)
    assert layout.before(4) is Verdict.SENTENCE
    assert layout.before(1) is None


def test_a_long_line_is_not_kept() -> None:
    layout = Layout()
    text = "word " * 40_000
    layout.read(text, False)
    assert layout.before(len(text) - 1) is None
    assert len(layout._line) <= 160

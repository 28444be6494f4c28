from __future__ import annotations

import pytest

from cosyserve.engine.cosyvoice.text.items import ItemMarkers
from cosyserve.engine.cosyvoice.text.sentences import Atom, AtomKind, AtomScanner


def said(text: str, size: int) -> list[Atom]:
    """The atoms of one sentence that comes in pieces."""
    scanner, markers = AtomScanner(), ItemMarkers()
    atoms = []
    for begin in range(0, len(text), size):
        ends = begin + size >= len(text)
        piece = text[begin : begin + size]
        atoms += markers.feed(scanner.feed(piece, begin=begin, ends=ends), ends=ends)
    return atoms


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1. First", ["1", "First"]),
        ("12) Then", ["12", "Then"]),
        ("a) Then", ["a", "Then"]),
        ("ii. Then", ["ii", "Then"]),
        ("③ Then", ["3", "Then"]),
        ("⑫ Then", ["12", "Then"]),
        ("1.苹果", ["1", "、", "苹", "果"]),
        ("② 苹果", ["2", "、", "苹", "果"]),
        ("1、苹果", ["1", "、", "苹", "果"]),
        ("1.", ["1."]),
        ("1.5 kg", ["1.5", "kg"]),
        ("i.e. this", ["i.e.", "this"]),
        ("See 1. Then", ["See", "1.", "Then"]),
    ],
)
def test_markers_lose_their_points(text: str, words: list[str]) -> None:
    whole = said(text, len(text))
    assert [atom.text for atom in whole if atom.kind is not AtomKind.BORDER] == words
    assert said(text, 1) == whole


def test_each_sentence_may_begin_with_one() -> None:
    scanner, markers = AtomScanner(), ItemMarkers()
    atoms = markers.feed(scanner.feed("1. a", begin=0, ends=True), ends=True)
    atoms += markers.feed(scanner.feed("2. b", begin=4, ends=True), ends=True)
    assert [atom.text for atom in atoms if atom.kind is AtomKind.WORD] == ["1", "a", "2", "b"]
    assert [(atom.begin, atom.end) for atom in atoms if atom.text == "2"] == [(4, 6)]

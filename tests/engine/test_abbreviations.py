from __future__ import annotations

import pytest

from cosyserve.engine.abbreviations import Abbreviation, abbreviation, starts_sentence


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Dr MR St vs e.g i.e approx z.B", Abbreviation.NEVER),
        ("No Fig p vol", Abbreviation.NUMBER),
        ("etc usw т.д", Abbreviation.CAPITAL),
        ("U.S p.m Ph.D M.Sc J Jan Mon Inc al", Abbreviation.STARTER),
    ],
)
def test_kinds(words: str, kind: Abbreviation) -> None:
    assert {abbreviation(word) for word in words.split()} == {kind}


def test_plain_words_are_none() -> None:
    words = ["", "dog", "dr", "sun", "sat", "x", "a.out", "node.js", "3", "2.0.1", "a" * 50]
    assert [word for word in words if abbreviation(word) is not None] == []


def test_sentence_starters() -> None:
    assert starts_sentence("The")
    assert not starts_sentence("A.")
    assert not starts_sentence("Monday")
    assert not starts_sentence("")

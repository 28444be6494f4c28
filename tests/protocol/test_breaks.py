"""Pauses in a plain text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.protocol.breaks import LONGEST_TAG, Break, BreakScanner, begins_markup


def scanned(*pieces: str) -> list[str | Break]:
    """What a text in these pieces comes to, text that was cut joined again."""
    scanner = BreakScanner()
    given = [part for piece in pieces for part in scanner.feed(piece)]
    joined: list[str | Break] = []
    for part in [*given, *scanner.finish()]:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def at(column: int, line: int = 1, **attributes: str) -> Break:
    return Break(attributes, f"SSML, line {line}, column {column}: <break>")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("One two", ["One two"]),
        ('One <break time="600ms"/> two', ["One ", at(5, time="600ms"), " two"]),
        ("a<break/>b", ["a", at(2), "b"]),
        ("<break strength='weak' />a", [at(1, strength="weak"), "a"]),
        ("a\nb <break time='1s'></break>c", ["a\nb ", at(3, 2, time="1s"), "c"]),
        ("a<break>b", ["a", at(2), "b"]),
        ("<break/><break/>", [at(1), at(9)]),
        ("a<break\n time = '1s'\n/>", ["a", at(2, time="1s")]),
        ("<break time='1s' what='x'/>", [at(1, time="1s", what="x")]),
        ("a <breaking/> b", ["a <breaking/> b"]),
        ("a <break stuff> b", ["a <break stuff> b"]),
        ("a <break < b <break/>", ["a <break < b ", at(14)]),
        ("a < b > c <b>d</b> </break>", ["a < b > c <b>d</b> </break>"]),
        ("a <break time='1s'", ["a <break time='1s'"]),
        ("a <", ["a <"]),
        ("a <break>b</break>", ["a ", at(3), "b</break>"]),
        ("<BREAK/>", ["<BREAK/>"]),
        ("<break time=1s/>", [Break(None, "SSML, line 1, column 1: <break>")]),
        ("<break time='1s' time='2s'/>", [Break(None, "SSML, line 1, column 1: <break>")]),
    ],
)
def test_breaks_are_found_and_all_else_is_text(text: str, parts: list[str | Break]) -> None:
    assert scanned(text) == parts
    assert scanned(*text) == parts


_PIECES = st.sampled_from(
    [
        "a",
        " ",
        "\n",
        "<",
        ">",
        "<break",
        "/>",
        " time='1s'",
        "<break/>",
        "</break>",
        "<b",
        "'",
        "reak",
        "=",
    ]
)


@given(st.lists(_PIECES, max_size=20), st.integers(1, 9))
def test_what_is_found_does_not_depend_on_the_cuts(pieces: list[str], size: int) -> None:
    text = "".join(pieces)
    assert scanned(*pieces) == scanned(text)
    assert scanned(*(text[i : i + size] for i in range(0, len(text), size))) == scanned(text)


def test_what_is_held_back_is_bounded() -> None:
    scanner = BreakScanner()
    given = "".join(str(part) for _ in range(LONGEST_TAG) for part in scanner.feed("<break a "))
    assert scanner.holds
    assert len("<break a " * LONGEST_TAG) - len(given) < 2 * LONGEST_TAG
    assert scanner.feed("x" * LONGEST_TAG)
    assert not scanner.holds


def test_plain_text_is_given_out_at_once() -> None:
    scanner = BreakScanner()
    assert scanner.feed("One <") == ["One "]
    assert scanner.holds
    assert scanner.feed("b>two") == ["<b>two"]
    assert not scanner.holds


@pytest.mark.parametrize(
    ("text", "soon", "final"),
    [
        ("", None, False),
        (" \n", None, False),
        ("Hello", False, False),
        (" <speak>", True, True),
        ("<?xml", True, True),
        ("</p>", True, True),
        ("<", None, False),
        ("<b", None, True),
        ("<break", None, False),
        ("<break/>", False, False),
        (" <break time", False, False),
        ("<breaks>", True, True),
        ("<3 you", False, False),
    ],
)
def test_how_a_text_begins_tells_whether_it_is_ssml(
    text: str, soon: bool | None, final: bool
) -> None:
    assert begins_markup(text) is soon
    assert begins_markup(text, final=True) is final

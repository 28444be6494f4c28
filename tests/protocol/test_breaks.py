"""Breaks in plain text."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.protocol.breaks import (
    LONGEST_TAG,
    Break,
    BreakScanner,
    begins_markup,
    without_breaks,
)

TEXTS = st.lists(
    st.sampled_from(
        [
            *("a", " ", "<", ">", "/", "<break", "<break ", "time", "=", '"1s"', "'", "/>", "<b"),
            *('<break time="1s"/>', "<break>", "</break>", "</bre", "\n", "<breakfast>"),
        ]
    ),
    max_size=12,
).map("".join)


def scanned(pieces: list[str]) -> list[str | Break]:
    """What comes out, neighbouring stretches of text as one."""
    scanner = BreakScanner()
    parts = [part for piece in pieces for part in scanner.feed(piece)] + scanner.finish()
    assert not scanner.holds
    joined: list[str | Break] = []
    for is_text, group in groupby(parts, lambda part: isinstance(part, str)):
        several = list(group)
        joined += ["".join(map(str, several))] if is_text else several
    return joined


@given(TEXTS, st.integers(1, 7))
def test_where_the_text_is_cut_does_not_matter(text: str, size: int) -> None:
    pieces = [text[begin : begin + size] for begin in range(0, len(text), size)]
    assert scanned(pieces) == scanned([text])


@pytest.mark.parametrize(
    ("tag", "attributes"),
    [
        ('<break time="600ms"/>', {"time": "600ms"}),
        ("<break time='1s' />", {"time": "1s"}),
        ('<break\n strength = "strong">', {"strength": "strong"}),
        ('<break strength="x-weak" time="2s"></break>', {"strength": "x-weak", "time": "2s"}),
        ("<break/>", {}),
        ("<break>", {}),
        ('<break x:y.z-1="&amp;"/>', {"x:y.z-1": "&amp;"}),
        ('<break time="1s" time="2s"/>', None),
        ("<break time=600ms/>", None),
    ],
)
def test_a_break(tag: str, attributes: dict[str, str] | None) -> None:
    before, found, after = scanned([f"one & <i>\n{tag} 5 < 6"])
    assert (before, after) == ("one & <i>\n", " 5 < 6")
    assert found == Break(attributes, "SSML, line 2, column 1: <break>")
    assert without_breaks(f"a{tag}b") == "ab"


@pytest.mark.parametrize(
    "text",
    [
        "<breakfast/>",
        "<BREAK/>",
        "< break/>",
        "<break here>",
        "<break time/>",
        "<break",
        '<break time="1s"',
        "<break <b>",
        "<break" + " " * LONGEST_TAG + "/>",
        "</break>",
        "<break/ >",
    ],
    ids=lambda text: text[:20],
)
def test_what_only_looks_like_one_is_text(text: str) -> None:
    assert scanned([f"a {text}"]) == [f"a {text}"]


def test_text_does_not_wait_for_a_tag_longer_than_it_can_be() -> None:
    scanner = BreakScanner()
    assert scanner.feed("one <bre") == ["one "]
    assert scanner.holds
    assert scanner.feed("ad") == ["<bread"]
    assert not scanner.holds
    text = "<break time='" + "1" * LONGEST_TAG
    assert "".join(map(str, scanner.feed(text))) == text


@pytest.mark.parametrize(
    ("text", "now", "at_last"),
    [
        ("", None, None),
        (" \n", None, None),
        ("<", None, False),
        (" <brea", None, True),
        ("<break", None, False),
        ("<break ", False, False),
        ("<break/>", False, False),
        ("<breakfast", True, True),
        ("<speak>", True, True),
        (" <?xml", True, True),
        ("<3", False, False),
        ("a <speak>", False, False),
    ],
)
def test_what_a_text_begins_as(text: str, now: bool | None, at_last: bool | None) -> None:
    assert begins_markup(text) is now
    assert begins_markup(text, final=True) is at_last

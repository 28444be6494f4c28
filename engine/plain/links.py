"""Links such as `[text](address)`, and `$…$` around a formula: brackets that need their partner.

A link is looked for within LOOK_AHEAD characters of its opening bracket, and its address, which nobody
waits to hear, within LONGEST_ADDRESS more. A bracket without such a link is text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..segmentation.lookahead import NeedMoreText
from .rewriting import BLANK, NL, Construct

LOOK_AHEAD: Final = 160
LONGEST_ADDRESS: Final = 1000

_INSIDE: Final = rf"(?:[^\[\]\\{NL}]++|\\[^{NL}]|\[[^\[\]{NL}]*+\](?:\([^()\[\]\s]*+\))?+)*+"
"""The text of a link; brackets in it are paired, one level deep."""
_TEXT: Final = Construct(
    re.compile(rf"\[{_INSIDE}\]"),
    re.compile(rf"\[{_INSIDE}(?:\\|\[[^\[\]{NL}]*+)?"),
    LOOK_AHEAD,
)
_ADDRESS: Final = r"(?:[^\s()<>]++|\([^\s()<>]*+\))*+"
_TITLE: Final = rf"(?:\"[^\"{NL}]*+\"|'[^'{NL}]*+'|\([^(){NL}]*+\))"
_TITLE_START: Final = rf"(?:\"[^\"{NL}]*+|'[^'{NL}]*+|\([^(){NL}]*+)"
_REST_START: Final = rf"{BLANK}++(?:{_TITLE}{BLANK}*+|{_TITLE_START})?"
_TARGET: Final = Construct(
    re.compile(rf"\({BLANK}*+(<[^<>{NL}]*+>|{_ADDRESS})(?:{BLANK}++{_TITLE})?+{BLANK}*+\)"),
    re.compile(
        rf"\({BLANK}*+(?:<[^<>{NL}]*+(?:>(?:{_REST_START})?)?"
        rf"|{_ADDRESS}(?:\([^\s()<>]*+|{_REST_START})?)"
    ),
    LONGEST_ADDRESS,
)
_LABEL: Final = Construct(
    re.compile(rf"\[[^\[\]{NL}]{{0,60}}+\]"), re.compile(rf"\[[^\[\]{NL}]{{0,60}}+"), 64
)
_FOOTNOTE: Final = Construct(
    re.compile(r"\[\^[^\[\]\s^]{1,40}+\]"), re.compile(r"\[(?:\^[^\[\]\s^]{0,40}+)?"), 64
)
_LOOSE_END: Final = Construct(
    re.compile(rf"\]\((?:https?://|mailto:|www\.){_ADDRESS}\)"),
    re.compile(rf"\](?:\({_ADDRESS}(?:\([^\s()<>]*+)?)?"),
    LONGEST_ADDRESS,
)
_PLACE: Final = re.compile(r"<|https?:|mailto:|www\.|[/#.]")
"""Beginnings that only an address has."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link at a bracket: drop `opening` characters, keep the text, drop `closing` characters at `end`.

    closing: 0 if the whole link is dropped.
    """

    opening: int
    end: int = 0
    closing: int = 0


def find_link(text: str, at: int, final: bool, before: str) -> Link | None:
    """Find the link at the bracket text[at], None if the bracket is text. Raises NeedMoreText.

    before: the character before it.
    """
    note = _FOOTNOTE.match(text, at, final)
    if note is not None:
        return Link(note.end() - at)
    inside = _TEXT.match(text, at, final)
    if inside is None:
        return None
    end = inside.end()
    if end == len(text):
        if final:
            return None
        raise NeedMoreText
    in_formula = (before.isascii() and before.isalnum()) or (before != "" and before in ")]")
    if text[end] == "(":
        target = _TARGET.match(text, end, final)
        if target is None or (in_formula and not _PLACE.match(target[1])):
            return None
        return Link(1, end - 1, target.end() - end + 1)
    if text[end] == "[" and not in_formula and any(map(str.isalpha, inside[0])):
        label = _LABEL.match(text, end, final)
        return None if label is None else Link(1, end - 1, label.end() - end + 1)
    return None


def loose_end(text: str, at: int, final: bool) -> int:
    """The length of a `](https://…)` at `at` whose opening bracket is too far away. Raises NeedMoreText."""
    found = _LOOSE_END.match(text, at, final)
    return 0 if found is None else found.end() - at


_WORDS: Final = Construct(
    re.compile(rf"\$([^\s$\d][^${NL}]{{0,78}}+)\$"),
    re.compile(rf"\$(?:[^\s$\d][^${NL}]{{0,78}}+)?"),
    81,
)
_NUMBERS: Final = Construct(
    re.compile(r"\$(\d[^\s$]{0,40}+)\$"), re.compile(r"\$(?:\d[^\s$]{0,40}+)?"), 43
)
_FORMULA: Final = re.compile(r"[\\^_={}+<>]|^[A-Za-z](?:\([A-Za-z]\))?$")


def formula_length(text: str, at: int, final: bool, before: str) -> int:
    """The characters between the dollar sign at `at` and its partner, 0 if it is money. Raises NeedMoreText.

    before: the character before it.
    """
    if before.isalnum():
        return 0
    found = _WORDS.match(text, at, final) or _NUMBERS.match(text, at, final)
    if found is None or found[1][-1].isspace() or not _FORMULA.search(found[1]):
        return 0
    return len(found[1])

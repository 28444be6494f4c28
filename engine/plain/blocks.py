"""Marks at the beginning of a line: list marks, headings, quotes, rules, fences, table rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ..segmentation.characters import NEWLINES
from ..segmentation.lookahead import NeedMoreText
from .rewriting import BLANK, NL, Construct

LONGEST_RULE: Final = 512
"""Characters after which a line of marks alone is taken for a rule."""
_LONGEST_ROW: Final = 200
_ROW_MARKS: Final = rf"(?:[-|:+]|{BLANK})"
_RULES: Final = {
    "*": re.compile(rf"(?:\*|{BLANK})+"),
    "_": re.compile(rf"(?:_|{BLANK})+"),
    "=": re.compile(rf"=+{BLANK}*"),
    **dict.fromkeys("-|:+", re.compile(rf"{_ROW_MARKS}+")),
}
_LEAST: Final = 3
"""Fewest marks of a rule."""
_FENCE: Final = re.compile(
    rf"(?:(`{{3,64}}+)[^`{NL}]{{0,80}}|(~{{3,64}}+){BLANK}*+[\w+#.-]{{0,40}}{BLANK}{{0,40}})(?=[{NL}]|\Z)"
)
_FENCE_START: Final = re.compile(
    rf"`{{1,64}}+[^`{NL}]{{0,80}}|~{{1,64}}+{BLANK}*+[\w+#.-]{{0,40}}{BLANK}{{0,40}}"
)
_LONGEST_FENCE: Final = 256
_HASHES: Final = re.compile(r"#{1,64}+")
_QUOTES: Final = re.compile(r">{1,64}+")
_BULLETS: Final = frozenset("-*+•‣◦⁃·∙")
_ROW: Final = Construct(
    re.compile(rf"\|[^|{NL}]{{1,98}}+\|[^|{NL}]{{0,98}}+\|"),
    re.compile(rf"\|(?:[^|{NL}]{{1,98}}+(?:\|[^|{NL}]{{0,98}}+)?)?"),
    _LONGEST_ROW,
)
_NOTE: Final = Construct(
    re.compile(r"\[\^[^\[\]\s^]{1,40}+\]:"), re.compile(r"\[(?:\^[^\[\]\s^]{0,40}+\]?)?"), 64
)
_LONGEST_DEFINITION: Final = 1200
_ADDRESS: Final = rf"(?:https?://|mailto:|www\.|[/#])[^\s<>]++|<[^<>{NL}]*+>"
_DEFINITION: Final = re.compile(
    rf"\[[^\[\]{NL}]{{1,80}}+\]:{BLANK}*+(?:{_ADDRESS})"
    rf"(?:{BLANK}++(?:\"[^\"{NL}]*+\"|'[^'{NL}]*+'|\([^(){NL}]*+\)))?+{BLANK}*+(?=[{NL}]|\Z)"
)
_DEFINITION_START: Final = re.compile(
    rf"\[(?:[^\[\]{NL}]{{1,80}}+(?:\](?::{BLANK}*+"
    rf"(?:h(?:t(?:t(?:ps?(?::/{{0,2}})?)?)?)?|m(?:a(?:i(?:l(?:to?:?)?)?)?)?|w{{1,3}}\.?|[/#]|<[^<>{NL}]*+"
    rf"|(?:{_ADDRESS})(?:{BLANK}++"
    rf"(?:(?:\"[^\"{NL}]*+\"|'[^'{NL}]*+'|\([^(){NL}]*+\)){BLANK}*+|\"[^\"{NL}]*+|'[^'{NL}]*+|\([^(){NL}]*+)?"
    rf")?)?)?)?)?"
)


class BlockKind(Enum):
    """Kinds of marks that a line begins with.

    NOTHING: one that is not read at all, such as a rule. ITEM: a list mark. ROW: the first bar of a
    table row. NOTE: the mark of a footnote's text.
    """

    NOTHING = "nothing"
    HEADING = "heading"
    ITEM = "item"
    QUOTE = "quote"
    ROW = "row"
    NOTE = "note"
    FENCE = "fence"


@dataclass(frozen=True, slots=True)
class Block:
    """The first `length` characters of a line. fence: the marks that open code."""

    kind: BlockKind
    length: int
    fence: str = ""


def find_block(text: str, at: int, final: bool, *, row_before: bool) -> Block | None:
    """Find the mark of the line whose first visible character is at `at`. Raises NeedMoreText.

    row_before: whether the line before is a table row.
    """
    char = text[at]
    if char in "`~":
        return _fence(text, at, final)
    if char in _RULES and (length := _rule_length(text, at, final)):
        return Block(BlockKind.NOTHING, length)
    match char:
        case "#":
            return _heading(text, at, final)
        case ">":
            return _quote(text, at, final)
        case "|":
            if row_before or _char(text, at + 1, final).isspace() or _ROW.match(text, at, final):
                return Block(BlockKind.ROW, 1)
        case "[":
            return _definition(text, at, final)
        case _ if char in _BULLETS and _char(text, at + 1, final).isspace():
            return Block(BlockKind.ITEM, 1)
    return None


def closes_fence(text: str, at: int, final: bool, fence: str) -> int:
    """The length of the line at `at` if it closes the code that `fence` opened, else 0.

    Raises NeedMoreText.
    """
    end = at
    while end < len(text) and (
        text[end] in ">" or (text[end].isspace() and text[end] not in NEWLINES)
    ):
        end += 1
        if end - at > LONGEST_RULE:
            return 0
    marks = end
    while end < len(text) and text[end] == fence[0] and end - marks < LONGEST_RULE:
        end += 1
    enough = end - marks >= len(fence)
    while enough and end < len(text) and text[end] in " \t\r":
        end += 1
    if end == len(text):
        if not final:
            raise NeedMoreText
        return end - at if enough else 0
    return end - at if enough and text[end] in NEWLINES else 0


def _char(text: str, index: int, final: bool) -> str:
    if index < len(text):
        return text[index]
    if final:
        return ""
    raise NeedMoreText


def _fence(text: str, at: int, final: bool) -> Block | None:
    limit = at + _LONGEST_FENCE
    found = _FENCE.match(text, at, limit)
    if found is not None and (final or found.end() < len(text)):
        return Block(BlockKind.FENCE, found.end() - at, found[1] or found[2])
    if not final and len(text) < limit and _FENCE_START.fullmatch(text, at):
        raise NeedMoreText
    return None


def _rule_length(text: str, at: int, final: bool) -> int:
    """The length of a rule, a table's line of dashes or an empty list item, 0 for another line."""
    found = _RULES[text[at]].match(text, at, at + LONGEST_RULE)
    assert found is not None
    row, end = found[0], found.end()
    if len(row) == LONGEST_RULE:
        return len(row)
    if _char(text, end, final) not in ("", *NEWLINES):
        return 0
    marks = row.strip()
    if marks in ("-", "*", "+") or "|" in marks:
        return len(row)
    return len(row) if max(map(marks.count, "-*_=")) >= _LEAST else 0


def _heading(text: str, at: int, final: bool) -> Block | None:
    """`# Title` and, as many write it, `##Title`; not `#1`."""
    found = _HASHES.match(text, at)
    assert found is not None
    count = len(found[0])
    after = _char(text, found.end(), final) or "\n"
    return Block(BlockKind.HEADING, count) if count > 1 or after.isspace() else None


def _quote(text: str, at: int, final: bool) -> Block | None:
    """`> words`, but not `>5` nor `>=`."""
    found = _QUOTES.match(text, at)
    assert found is not None
    after = _char(text, found.end(), final)
    return None if after.isdigit() or after == "=" else Block(BlockKind.QUOTE, len(found[0]))


def _definition(text: str, at: int, final: bool) -> Block | None:
    """`[^1]: note`, whose note is read, and `[name]: https://…`, which is not read."""
    note = _NOTE.match(text, at, final)
    if note is not None:
        return Block(BlockKind.NOTE, note.end() - at)
    limit = at + _LONGEST_DEFINITION
    found = _DEFINITION.match(text, at, limit)
    if found is not None and (final or found.end() < len(text)):
        return Block(BlockKind.NOTHING, found.end() - at)
    if not final and len(text) < limit and _DEFINITION_START.fullmatch(text, at):
        raise NeedMoreText
    return None

"""Pages of documentation as tests read them: their links, their anchors and their blocks of code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT: Final = Path(__file__).parents[3]
PAGES: Final = tuple(
    str(path.relative_to(ROOT))
    for path in sorted(
        (
            *ROOT.glob("*.md"),
            *(ROOT / "docs").glob("*.md"),
            *(ROOT / "deploy").glob("*.md"),
            *(ROOT / "benchmarks").glob("*.md"),
            *(ROOT / "training").glob("*.md"),
        )
    )
)
"""Every page, from the root of the checkout."""

_MARKER: Final = re.compile(r"<!-- (?P<kind>[^:]+?)(: (?P<detail>.+?))? -->")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. marker, detail: what the comment `<!-- marker: detail -->` right before it says."""

    page: str
    line: int
    language: str
    text: str
    marker: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@cache
def parsed(page: str) -> tuple[Token, ...]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return tuple(MarkdownIt("commonmark").enable("table").parse(text))


def blocks(page: str) -> list[Block]:
    """Its blocks of code, in order."""
    found = []
    comment = None
    for token in parsed(page):
        if token.type in ("fence", "code_block"):
            assert token.map is not None
            marker = _MARKER.fullmatch(comment) if comment else None
            kind, detail = (marker["kind"], marker["detail"] or "") if marker else ("", "")
            found.append(Block(page, token.map[0] + 1, token.info, token.content, kind, detail))
        comment = token.content.strip() if token.type == "html_block" else None
    return found


def _inline(page: str) -> Iterator[Token]:
    for token in parsed(page):
        yield from token.children or ()


def links(page: str) -> Iterator[str]:
    """What its links and images lead to."""
    for token in _inline(page):
        if token.type == "link_open":
            yield str(token.attrs["href"])
        elif token.type == "image":
            yield str(token.attrs["src"])


def code_spans(page: str) -> Iterator[str]:
    """What stands between backticks in its text."""
    return (token.content for token in _inline(page) if token.type == "code_inline")


def anchors(page: str) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    found: set[str] = set()
    tokens = parsed(page)
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            title = "".join(part.content for part in tokens[at + 1].children or ())
            kept = re.sub(r"[^\w\- ]", "", title.lower())
            found.add(kept.replace(" ", "-"))
    return found


def rows(page: str, heading: str | None = None) -> list[list[str]]:
    """The cells of its tables' rows, heads left out; heading: only of the section with this title."""
    found: list[list[str]] = []
    here, head = heading is None, False
    for at, token in enumerate(parsed(page)):
        if token.type == "heading_open":
            here = heading in (None, parsed(page)[at + 1].content)
        elif token.type in ("thead_open", "thead_close"):
            head = token.type == "thead_open"
        elif here and not head and token.type == "tr_open":
            found.append([])
        elif (
            here and not head and token.type == "inline" and parsed(page)[at - 1].type == "td_open"
        ):
            found[-1].append(token.content)
    return found

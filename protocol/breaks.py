"""Pauses in a plain text: `<break time="600ms"/>` between words of a text that is not SSML.

If SSML is enabled, a text that begins with a tag is SSML, unless that tag is `<break>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

LONGEST_TAG: Final = 256
"""Characters; a longer one without `>` is not a tag."""

_START: Final = "<break"
_END: Final = "</break>"
_AFTER_NAME: Final = frozenset(" \t\r\n/>")
_MARKUP: Final = re.compile(r"<[A-Za-z?!/]")
_ATTRIBUTE: Final = r"""\s+([A-Za-z_][\w:.-]*)\s*=\s*("[^"]*"|'[^']*'|[^\s"'=]+)"""
_TAG: Final = re.compile(rf"<break((?:{_ATTRIBUTE})*)\s*/?>")
_ATTRIBUTES: Final = re.compile(_ATTRIBUTE)


def begins_markup(text: str, *, final: bool = False) -> bool | None:
    """Whether a text with this beginning is SSML; None while that depends on the text to come.

    final: decide now, unless there are only blanks.
    """
    begun = text.lstrip()
    if _START.startswith(begun) and not (final and begun):
        return None
    if begun.startswith(_START) and begun[len(_START) : len(_START) + 1] in ("", *_AFTER_NAME):
        return False
    return _MARKUP.match(begun) is not None


@dataclass(frozen=True, slots=True)
class Break:
    """A pause that was asked for. where: the tag and its place, for messages.

    attributes: None where they are not well-formed (a value without quotes, a name twice).
    """

    attributes: Mapping[str, str] | None
    where: str


class BreakScanner:
    """An incremental transform of a plain text: its breaks, and the unchanged text between them.

    A tag may be cut anywhere. `<break` with anything but attributes in it, or without an end, is text.
    The output does not depend on where the text is cut, except for where its stretches of text are cut.
    """

    def __init__(self) -> None:
        self._held = ""  # may be the beginning of a tag
        self._expects_end = False  # a `<break>` without `/` came, so `</break>` may follow
        self._line = 1  # the place of the first character that is not given out yet
        self._column = 1

    @property
    def holds(self) -> bool:
        """Whether the text so far may end in the middle of a tag."""
        return bool(self._held)

    def feed(self, text: str) -> list[str | Break]:
        """Everything that is decided with this piece, in order."""
        text, self._held = self._held + text, ""
        found: list[str | Break] = []
        begin = at = 0
        while True:
            if self._expects_end:
                following = text[begin : begin + len(_END)]
                if following != _END and _END.startswith(following):
                    break
                self._expects_end = False
                if following == _END:
                    self._pass_over(following)
                    begin = at = begin + len(_END)
            at = text.find("<", at)
            if at < 0:
                at = len(text)
                break
            end = _tag_end(text, at)
            if end is None:
                break
            tag = _TAG.fullmatch(text, at, end)
            if tag is None:
                at += 1
                continue
            self._give(found, text[begin:at])
            found.append(self._break(tag))
            self._expects_end = not tag[0].endswith("/>")
            begin = at = end
        if not self._expects_end:
            self._give(found, text[begin:at])
            begin = at
        self._held = text[begin:]
        return found

    def finish(self) -> list[str | Break]:
        """What is left, once no more text comes."""
        held, self._held, self._expects_end = self._held, "", False
        return [held] if held else []

    def _give(self, found: list[str | Break], text: str) -> None:
        if text:
            found.append(text)
            self._pass_over(text)

    def _break(self, tag: re.Match[str]) -> Break:
        where = f"SSML, line {self._line}, column {self._column}: <break>"
        self._pass_over(tag[0])
        attributes: dict[str, str] = {}
        for name, value in _ATTRIBUTES.findall(tag[1]):
            if name in attributes or value[0] not in "\"'":
                return Break(None, where)
            attributes[name] = value[1:-1]
        return Break(attributes, where)

    def _pass_over(self, text: str) -> None:
        lines = text.count("\n")
        self._line += lines
        self._column = len(text) - text.rfind("\n") if lines else self._column + len(text)


def spoken_text(parts: Iterable[str | Break]) -> str:
    """The text without its breaks."""
    return "".join(part for part in parts if isinstance(part, str))


def without_breaks(text: str) -> str:
    """A whole text without its breaks."""
    scanner = BreakScanner()
    return spoken_text([*scanner.feed(text), *scanner.finish()])


def _tag_end(text: str, at: int) -> int | None:
    """Behind the tag that may begin at this `<`, or `at` if none does; None if more must come."""
    head = text[at : at + len(_START) + 1]
    if _START.startswith(head):
        return None
    if head[:-1] != _START or head[-1] not in _AFTER_NAME:
        return at
    end = text.find(">", at, at + LONGEST_TAG)
    if text.find("<", at + 1, end if end >= 0 else at + LONGEST_TAG) >= 0:
        return at
    if end < 0:
        return None if len(text) - at < LONGEST_TAG else at
    return end + 1

"""SSML text to a tree of elements, checked: known elements and attributes, in the places they may have.

Expat does the reading. Nothing is ever fetched or expanded: the text is read inside of a root of ours,
where XML allows no document type, and so no entity but XML's own five. Size, depth and the number of elements
are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from cosyserve.protocol.errors import InvalidParameter

from .elements import ATTRIBUTES, EMPTY, LEAVES, NEEDED, shown

LONGEST_DOCUMENT: Final = 200_000
"""Characters, markup and all."""
DEEPEST: Final = 32
MOST_ELEMENTS: Final = 10_000
LONGEST_ATTRIBUTE: Final = 2_000

_ROOT: Final = "documents"
_DECLARATION: Final = re.compile(r"\s*<\?xml\s[^>]*\?>")
_NO_XML: Final = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")
_DOCTYPE: Final = re.compile(r".{0,2}<?!?(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)\b", re.DOTALL)
_ENTITY: Final = re.compile(r"&[^;\s]{0,30};?")
_UNDEFINED_ENTITY: Final = expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]
_NAMESPACES: Final = ("xmlns", "xsi:")


@dataclass(slots=True)
class Element:
    """children: text and elements in order. where: the tag and its place, for messages."""

    name: str
    attributes: dict[str, str]
    where: str
    children: list[str | Element] = field(default_factory=list)


def parse(text: str) -> list[str | Element]:
    """The speak elements of a text, and the text between them, in order.

    Raises InvalidParameter, which names the tag or attribute, the line and the column, and what is
    allowed.
    """
    if len(text) > LONGEST_DOCUMENT:
        raise InvalidParameter(
            f"the SSML has {len(text)} characters; allowed: up to {LONGEST_DOCUMENT}"
        )
    # Expat's own message for these would speak of bytes.
    if wrong := _NO_XML.search(text):
        at = wrong.start()
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        raise InvalidParameter(
            f"SSML, line {line}, column {column}: U+{ord(text[at]):04X} is no character of XML"
        )
    return _Reader(text).read()


class _Reader:
    """Builds the tree of one text."""

    def __init__(self, text: str) -> None:
        declaration = _DECLARATION.match(text)
        skipped = declaration.end() if declaration else 0
        # A root of our own on a line of its own, since a text may hold several documents.
        self._data = f"<{_ROOT}>\n{_blanked(text[:skipped])}{text[skipped:]}\n</{_ROOT}>"
        self._root = Element(_ROOT, {}, "")
        self._open = [self._root]
        self._elements = 0
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        self._parser = parser

    def read(self) -> list[str | Element]:
        try:
            self._parser.Parse(self._data.encode(), True)
        except expat.ExpatError as error:
            raise InvalidParameter(self._fault(error)) from error
        return self._root.children

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) == 1 and name == _ROOT and not self._elements:
            self._elements = 1
            return
        where = f"SSML, {self._here()}: <{name[:40]}>"
        parent = self._open[-1]
        if len(self._open) == 1 and name != "speak":
            raise InvalidParameter(f"{where} stands outside of <speak>, which must hold all of it")
        if name not in ATTRIBUTES or (name == "speak") != (parent is self._root):
            allowed = ", ".join(f"<{each}>" for each in ATTRIBUTES if each != "speak")
            raise InvalidParameter(f"{where} is not supported; inside <speak> allowed: {allowed}")
        if parent.name in EMPTY | LEAVES:
            what = "empty" if parent.name in EMPTY else "text alone"
            raise InvalidParameter(f"{where} is inside of <{parent.name}>, which must be {what}")
        self._elements += 1
        if self._elements > MOST_ELEMENTS:
            raise InvalidParameter(f"{where}: there are more than {MOST_ELEMENTS} elements")
        if len(self._open) > DEEPEST:
            raise InvalidParameter(f"{where} is nested more than {DEEPEST} deep")
        element = Element(name, checked(name, attributes, where), where)
        parent.children.append(element)
        self._open.append(element)

    def _end(self, name: str) -> None:
        if len(self._open) > 1:
            self._open.pop()

    def _text(self, text: str) -> None:
        element = self._open[-1]
        if element.name in EMPTY and text.strip():
            raise InvalidParameter(f"{element.where} must be empty")
        element.children.append(text)

    def _here(self) -> str:
        return _place(self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber)

    def _fault(self, error: expat.ExpatError) -> str:
        """What is wrong and where, in a sentence."""
        inside = f" inside of <{self._open[-1].name}>" if len(self._open) > 1 else ""
        if error.lineno > self._data.count("\n"):
            return f"SSML: the document ends{inside or ' too early'}"
        where = f"SSML, {_place(error.lineno, error.offset)}"
        index = self._parser.ErrorByteIndex
        wrong = self._data.encode()[max(0, index - 2) : index + 40].decode(errors="replace")
        # A document type is refused by standing inside of our root, where XML allows none.
        if _DOCTYPE.match(wrong):
            return f"{where}: a document type (DOCTYPE) and entities of one's own are not allowed"
        if error.code == _UNDEFINED_ENTITY and (entity := _ENTITY.search(wrong)):
            allowed = "&amp; &lt; &gt; &quot; &apos; and numbers as &#160;"
            return f"{where}: no entity {entity[0]}; allowed: {allowed}"
        reason = expat.errors.messages.get(error.code, "not well-formed")
        return f"{where}: {reason}{inside}"


def checked(name: str, attributes: Mapping[str, str], where: str) -> dict[str, str]:
    """The attributes less those that declare namespaces. Raises InvalidParameter."""
    kept = {}
    for attribute, value in attributes.items():
        if attribute.startswith(_NAMESPACES):
            continue
        if attribute not in ATTRIBUTES[name]:
            allowed = ", ".join(ATTRIBUTES[name])
            raise InvalidParameter(f"{where}: no attribute {shown(attribute)}; allowed: {allowed}")
        if len(value) > LONGEST_ATTRIBUTE:
            raise InvalidParameter(
                f"{where}: {attribute} has {len(value)} characters; allowed: {LONGEST_ATTRIBUTE}"
            )
        kept[attribute] = value
    for attribute in NEEDED.get(name, ()):
        if attribute not in kept:
            raise InvalidParameter(f"{where}: the attribute {attribute} is missing")
    return kept


def _place(line: int, column: int) -> str:
    """Counted from 1, without our own root's line."""
    return f"line {max(1, line - 1)}, column {column + 1}"


def _blanked(text: str) -> str:
    """Blanks in the place of `text`, so that lines and columns stay."""
    return "".join("\n" if char == "\n" else " " for char in text)

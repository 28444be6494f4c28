"""Markup to a checked tree: which elements and attributes SSML may have here, and what their values mean.

Expat parses. Nothing is fetched or expanded: the text is parsed inside a root element of ours, where XML
allows no document type and so no entities but its own five. Size, depth and number of elements are
bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from xml.parsers import expat

from cosyserve.protocol.errors import InvalidParameter

INTERPRETATIONS: Final = (
    *("cardinal", "number", "ordinal", "digits", "telephone", "characters", "spell-out"),
    *("verbatim", "punctuation", "id", "date", "time", "currency", "fraction", "measure", "unit"),
    *("name", "address", "nick"),
)
LONGEST_BREAK: Final = 10.0
"""Seconds of one break."""
LONGEST_BREAKS: Final = 3600.0
"""Seconds of all breaks of a task together."""
MOST_BREAKS: Final = 10_000
"""Breaks of a task."""
SLOWEST: Final = 0.5
FASTEST: Final = 2.0
"""The range of pace and pitch, as factors, that engines and filters support."""
LOUDEST: Final = 10.0
"""The highest volume, as a factor."""

ATTRIBUTES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "speak": (
            *("version", "xml:lang", "xml:base", "rate", "pitch", "volume"),
            *("voice", "effect", "effectValue", "bgm", "backgroundMusicVolume"),
        ),
        "break": ("time", "strength"),
        "emphasis": ("level",),
        "lang": ("xml:lang", "onlangfailure"),
        "mark": ("name",),
        "p": ("xml:lang",),
        "phoneme": ("alphabet", "ph"),
        "prosody": ("rate", "pitch", "volume", "contour", "range", "duration"),
        "s": ("xml:lang",),
        "say-as": ("interpret-as", "format", "detail"),
        "sub": ("alias",),
    }
)
NEEDED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "mark": ("name",),
        "phoneme": ("ph",),
        "say-as": ("interpret-as",),
        "sub": ("alias",),
        "lang": ("xml:lang",),
    }
)
UNHEARD: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "speak": ("voice", "effect", "effectValue", "bgm", "backgroundMusicVolume"),
        "prosody": ("contour", "range", "duration"),
    }
)
"""Attributes that are accepted and ignored with a notice: no engine here supports them."""
EMPTY: Final = frozenset({"break", "mark"})
"""Elements that hold nothing."""
LEAVES: Final = frozenset({"say-as", "sub", "phoneme"})
"""Elements that hold only text."""

_BREAKS: Final = MappingProxyType(
    {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.7, "x-strong": 1.2}
)
_RATES: Final = MappingProxyType(
    {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "fast": 1.33, "x-fast": 1.75, "default": 1.0}
)
_PITCHES: Final = MappingProxyType(
    {"x-low": 0.7, "low": 0.85, "medium": 1.0, "high": 1.18, "x-high": 1.4, "default": 1.0}
)
_VOLUMES: Final = MappingProxyType(
    {
        "silent": 0.0,
        "x-soft": 0.25,
        "soft": 0.5,
        "medium": 1.0,
        "loud": 1.6,
        "x-loud": 2.5,
        "default": 1.0,
    }
)
_TIME: Final = re.compile(r"\+?(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})(ms|s)")
_NUMBER: Final = re.compile(r"\+?(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})")
_PERCENT: Final = re.compile(r"([+-]?)(\d{1,4}(?:\.\d{1,4})?)%")
_DECIBELS: Final = re.compile(r"([+-]?\d{1,3}(?:\.\d{1,3})?)dB", re.IGNORECASE)
_SEMITONES: Final = re.compile(r"([+-]?\d{1,2}(?:\.\d{1,3})?)st")


@dataclass(frozen=True, slots=True)
class Prosody:
    """Factors of the voice's own pace, pitch and volume; those of nested elements multiply."""

    rate: float = 1.0
    pitch: float = 1.0
    volume: float = 1.0

    def __mul__(self, other: Prosody) -> Prosody:
        return Prosody(self.rate * other.rate, self.pitch * other.pitch, self.volume * other.volume)


EMPHASES: Final[Mapping[str, Prosody]] = MappingProxyType(
    {
        "strong": Prosody(0.85, 1.08, 1.4),
        "moderate": Prosody(0.92, 1.04, 1.2),
        "none": Prosody(),
        "reduced": Prosody(1.08, 0.97, 0.8),
    }
)


class BreakTotal:
    """Counts the breaks of a task and adds up their lengths."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._number = 0

    def add(self, *seconds: float) -> None:
        """Count these breaks. Raises InvalidParameter if there are too many or they are too long together."""
        self._seconds += sum(seconds)
        self._number += len(seconds)
        if self._seconds > LONGEST_BREAKS:
            raise InvalidParameter(
                f"the breaks of the SSML come to {self._seconds:.0f} s; allowed: up to"
                f" {LONGEST_BREAKS:.0f} s in all of a task"
            )
        if self._number > MOST_BREAKS:
            raise InvalidParameter(
                f"the SSML has over {MOST_BREAKS} breaks, the most allowed in all of a task"
            )


def break_seconds(time: str | None, strength: str | None, where: str) -> float:
    """The length of a break; `time` takes precedence over `strength`. Raises InvalidParameter."""
    if strength is not None and strength not in _BREAKS:
        raise _refusal(where, "strength", strength, f"one of {', '.join(_BREAKS)}")
    if time is None:
        return _BREAKS[strength or "medium"]
    match = _TIME.fullmatch(time.strip())
    seconds = float(match[1]) / (1000 if match[2] == "ms" else 1) if match else -1.0
    if not 0 <= seconds <= LONGEST_BREAK:
        raise _refusal(where, "time", time, f"from 0s to {LONGEST_BREAK:g}s, as 500ms or 1.5s")
    return seconds


def prosody(attributes: Mapping[str, str], where: str) -> Prosody:
    """The factors of a prosody element's attributes. Raises InvalidParameter."""
    return Prosody(
        _factor(attributes.get("rate"), _RATES, "rate", where),
        _factor(attributes.get("pitch"), _PITCHES, "pitch", where),
        _volume(attributes.get("volume"), where),
    )


def speak_prosody(attributes: Mapping[str, str], where: str) -> Prosody:
    """The factors of a speak element's attributes, whose volume is a number from 0 to 100, 50 being 1.0.

    Raises InvalidParameter.
    """
    found = prosody({name: attributes[name] for name in attributes if name != "volume"}, where)
    volume = attributes.get("volume", "50").strip()
    number = _NUMBER.fullmatch(volume)
    if number is None:
        return found * Prosody(volume=_volume(volume, where))
    if float(number[1]) > 100:
        raise _refusal(where, "volume", volume, "a number from 0 to 100 (50 leaves it as it is)")
    return found * Prosody(volume=float(number[1]) / 50)


def _factor(value: str | None, names: Mapping[str, float], name: str, where: str) -> float:
    if value is None:
        return 1.0
    value = value.strip()
    if value in names:
        return names[value]
    factor = 0.0
    if number := _NUMBER.fullmatch(value):
        factor = float(number[1])
    elif percent := _PERCENT.fullmatch(value):
        factor = _of_percent(percent)
    elif name == "pitch" and (semitones := _SEMITONES.fullmatch(value)):
        factor = 2 ** (float(semitones[1]) / 12)
    if not 0.1 <= factor <= 10:
        steps = ", semitones (+2st)" if name == "pitch" else ""
        known = ", ".join(names)
        allowed = f"a factor from 0.1 to 10, a percentage (80%, +20%){steps}, or one of {known}"
        raise _refusal(where, name, value, allowed)
    return factor


def _volume(value: str | None, where: str) -> float:
    if value is None:
        return 1.0
    value = value.strip()
    if value in _VOLUMES:
        return _VOLUMES[value]
    factor = -1.0
    if decibels := _DECIBELS.fullmatch(value):
        factor = 10 ** (float(decibels[1]) / 20)
    elif percent := _PERCENT.fullmatch(value):
        factor = _of_percent(percent)
    elif (number := _NUMBER.fullmatch(value)) and float(number[1]) <= 100:
        factor = float(number[1]) / 100
    if not 0 <= factor <= LOUDEST:
        known = ", ".join(_VOLUMES)
        allowed = f"decibels up to +20dB, a percentage, a number from 0 to 100, or one of {known}"
        raise _refusal(where, "volume", value, allowed)
    return factor


def _of_percent(match: re.Match[str]) -> float:
    """The factor of a percentage: 0.8 for 80%, 1.2 for +20%."""
    share = float(match[2]) / 100
    return {"": share, "+": 1 + share, "-": 1 - share}[match[1]]


def _refusal(where: str, name: str, value: str, allowed: str) -> InvalidParameter:
    return InvalidParameter(f"{where}: {name} is {shown(value)}; allowed: {allowed}")


def shown(value: str) -> str:
    """A value as messages show it: quoted and cut to 40 characters."""
    return repr(value if len(value) <= 40 else value[:40] + "…")


LONGEST_DOCUMENT: Final = 200_000
"""Characters of a document, tags included."""
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
    """An element of a document. children: text and elements in order. where: tag and place, for messages."""

    name: str
    attributes: dict[str, str]
    where: str
    children: list[str | Element] = field(default_factory=list)


def parse(text: str) -> list[str | Element]:
    """The speak elements of a text and the text between them, in order.

    Raises InvalidParameter, whose message names the tag or attribute, line, column and what is allowed.
    """
    if len(text) > LONGEST_DOCUMENT:
        raise InvalidParameter(
            f"the SSML has {len(text)} characters; allowed: up to {LONGEST_DOCUMENT}"
        )
    # Expat's message for these counts in bytes.
    if wrong := _NO_XML.search(text):
        at = wrong.start()
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        raise InvalidParameter(
            f"SSML, line {line}, column {column}: U+{ord(text[at]):04X} is not an XML character"
        )
    return _Reader(text).read()


class _Reader:
    """Builds the tree of one text."""

    def __init__(self, text: str) -> None:
        declaration = _DECLARATION.match(text)
        skipped = declaration.end() if declaration else 0
        # Our root stands on a line of its own; a text may hold several documents.
        self._data = f"<{_ROOT}>\n{_blanked(text[:skipped])}{text[skipped:]}\n</{_ROOT}>"
        self._root = Element(_ROOT, {}, "")
        self._open = [self._root]  # the elements that enclose the current place, outermost first
        self._elements = 0  # how many were opened so far
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
            raise InvalidParameter(f"{where} is outside <speak>, which must enclose the whole text")
        if name not in ATTRIBUTES or (name == "speak") != (parent is self._root):
            allowed = ", ".join(f"<{each}>" for each in ATTRIBUTES if each != "speak")
            raise InvalidParameter(f"{where} is not supported; inside <speak> allowed: {allowed}")
        if parent.name in EMPTY | LEAVES:
            what = "be empty" if parent.name in EMPTY else "hold only text"
            raise InvalidParameter(f"{where} is inside <{parent.name}>, which must {what}")
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
        """The message for an error of expat: what is wrong, and where."""
        inside = f" inside <{self._open[-1].name}>" if len(self._open) > 1 else ""
        if error.lineno > self._data.count("\n"):
            return f"SSML: the document ends{inside or ' too early'}"
        where = f"SSML, {_place(error.lineno, error.offset)}"
        index = self._parser.ErrorByteIndex
        wrong = self._data.encode()[max(0, index - 2) : index + 40].decode(errors="replace")
        # Expat rejects a document type because it is inside our root.
        if _DOCTYPE.match(wrong):
            return f"{where}: a document type (DOCTYPE) and its entities are not allowed"
        if error.code == _UNDEFINED_ENTITY and (entity := _ENTITY.search(wrong)):
            allowed = "&amp; &lt; &gt; &quot; &apos; and numbers as &#160;"
            return f"{where}: unknown entity {entity[0]}; allowed: {allowed}"
        reason = expat.errors.messages.get(error.code, "not well-formed")
        return f"{where}: {reason}{inside}"


def checked(name: str, attributes: Mapping[str, str], where: str) -> dict[str, str]:
    """The attributes without namespace declarations. Raises InvalidParameter for unknown ones."""
    kept = {}
    for attribute, value in attributes.items():
        if attribute.startswith(_NAMESPACES):
            continue
        if attribute not in ATTRIBUTES[name]:
            allowed = ", ".join(ATTRIBUTES[name])
            raise InvalidParameter(
                f"{where}: unknown attribute {shown(attribute)}; allowed: {allowed}"
            )
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
    """A place in the client's text, counted from 1: the line of our root is not part of it."""
    return f"line {max(1, line - 1)}, column {column + 1}"


def _blanked(text: str) -> str:
    """Spaces in place of `text`, which keep lines and columns as they are."""
    return "".join("\n" if char == "\n" else " " for char in text)

"""The words of a say-as element, in English and Chinese, which every engine reads alike.

The element says what its text is, so this matches whole texts; the words themselves come from
engine.written, which finds such expressions in running text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from cosyserve.engine.written.clock import clock
from cosyserve.engine.written.dates import date_words
from cosyserve.engine.written.money import CURRENCIES, money
from cosyserve.engine.written.numbers import MOST_DIGITS, decimal, digit_groups, digits, ordinal
from cosyserve.engine.written.signs import fraction_words

_NUMBER: Final = re.compile(r"([+-]?)(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d+))?")
_MONEY: Final = re.compile(
    r"([$€£¥￥]|[A-Z]{3} ?)?(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d+))?( ?[A-Z]{3}|[€元])?"
)
_TIME: Final = re.compile(r"(\d{1,2})[:：](\d{2})(?:[:：](\d{2}))? ?([AaPp]\.?[Mm]\.?)?")
_FRACTION: Final = re.compile(r"(?:(\d+)[ +])?(\d+) ?/ ?(\d+)")
_DATE_PARTS: Final = re.compile(r"\d+")
_DATE_FORMATS: Final = ("mdy", "dmy", "ymd", "md", "dm", "ym", "my", "y", "m", "d")
_ISO: Final = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?")
_SOLID: Final = re.compile(r"(\d{4})(\d{2})(\d{2})")
_NO_DIGIT: Final = re.compile(r"[\s().-]+")
_SYMBOLS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        ".": ("dot", "点"),
        ",": ("comma", "逗号"),
        "-": ("dash", "杠"),
        "_": ("underscore", "下划线"),
        "@": ("at", "艾特"),
        "#": ("hash", "井号"),
        "/": ("slash", "斜杠"),
        "\\": ("backslash", "反斜杠"),
        ":": ("colon", "冒号"),
        ";": ("semicolon", "分号"),
        "+": ("plus", "加"),
        "*": ("star", "星号"),
        "=": ("equals", "等于"),
        "&": ("and", "和"),
        "%": ("percent", "百分号"),
        "?": ("question mark", "问号"),
        "!": ("exclamation mark", "感叹号"),
        "'": ("apostrophe", "撇号"),
        '"': ("quote", "引号"),
        "(": ("open parenthesis", "左括号"),
        ")": ("close parenthesis", "右括号"),
        "。": ("full stop", "句号"),
        "，": ("comma", "逗号"),
        "、": ("comma", "顿号"),
        "？": ("question mark", "问号"),
        "！": ("exclamation mark", "感叹号"),
    }
)


def said_as(kind: str, text: str, shape: str, language: str) -> str | None:
    """The words for `text`; None if it is not of this kind, or the kind needs words of another language.

    kind: one of parse.INTERPRETATIONS. shape: the format attribute. language: "en", "zh" or any other.
    """
    if kind in ("name", "address", "nick", "measure", "unit"):
        return text  # engines read these correctly by themselves
    if kind in ("characters", "spell-out", "verbatim", "id"):
        return _spelled(text, language)
    if kind == "punctuation":
        return _punctuation(text, language)
    if kind in ("digits", "telephone"):
        return _digit_groups(text, language, telephone=kind == "telephone")
    if language not in ("en", "zh"):
        return text if kind in ("cardinal", "number") else None
    if kind == "date":
        return _date(text, shape.lower(), language)
    return _READERS[kind](text, language)


def _cardinal(text: str, language: str) -> str | None:
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    said = decimal(match[2].replace(",", ""), match[3] or "", language)
    return _sign(match[1], language) + said


def _sign(sign: str, language: str) -> str:
    if sign == "-":
        return "负" if language == "zh" else "minus "
    return ""


def _ordinal(text: str, language: str) -> str | None:
    number = re.fullmatch(r"第?(\d+)(?:st|nd|rd|th|\.)?", text.replace(",", ""))
    return ordinal(number[1], language) if number else None


def _digit_groups(text: str, language: str, *, telephone: bool) -> str | None:
    plus, rest = text.startswith("+"), text.removeprefix("+")
    groups = [group for group in _NO_DIGIT.split(rest) if group]
    if not groups or not all(group.isascii() and group.isdigit() for group in groups):
        return None
    if language not in ("en", "zh"):  # engines read single digits in any language
        return ("+" if plus else "") + ", ".join(" ".join(group) for group in groups)
    said = digit_groups(groups, language, telephone=telephone)
    return {"en": "plus ", "zh": "加"}[language] * plus + said


def _spelled(text: str, language: str) -> str:
    said = []
    for char in text:
        if char.isascii() and char.isdigit() and language in ("en", "zh"):
            said.append(digits(char, language))
        elif char in _SYMBOLS and language in ("en", "zh"):
            said.append(_SYMBOLS[char][language == "zh"])
        elif not char.isspace():
            said.append(char.upper() if len(char.upper()) == 1 else char)
    if language == "zh":
        return "，".join(said)
    # An engine takes "A" before another word for the article.
    return ", ".join(said) + ("," if said[-1:] == ["A"] else "")


def _punctuation(text: str, language: str) -> str | None:
    if language not in ("en", "zh"):
        return None
    zh = language == "zh"
    named = "".join(f" {_SYMBOLS[char][zh]} " if char in _SYMBOLS else char for char in text)
    return " ".join(named.split())


def _time(text: str, language: str) -> str | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    half = (match[4] or "").replace(".", "").lower()
    second = int(match[3]) if match[3] else None
    return clock(int(match[1]), int(match[2]), second, half, language)


def _fraction(text: str, language: str) -> str | None:
    match = _FRACTION.fullmatch(text)
    if match is None or max(map(len, match.groups(""))) > MOST_DIGITS or int(match[3]) == 0:
        return None
    return fraction_words(match[1], match[2], match[3], language)


def _money(text: str, language: str) -> str | None:
    match = _MONEY.fullmatch(text)
    unit = (match[1] or match[4] or "").strip() if match else ""
    if match is None or unit not in CURRENCIES or (match[1] and match[4]):
        return None
    whole, part = match[2].replace(",", ""), match[3] or ""
    return money(CURRENCIES[unit], whole, part, language)


def _date(text: str, shape: str, language: str) -> str | None:
    if match := _ISO.fullmatch(text) or _SOLID.fullmatch(text):
        return date_words(dict(zip("ymd", match.groups(), strict=True)), language)
    shape = shape or "mdy"
    parts = _DATE_PARTS.findall(text)
    if shape not in _DATE_FORMATS or len(parts) != len(shape) or re.search(r"[^\W\d]", text):
        return None
    return date_words(dict(zip(shape, parts, strict=True)), language)


_READERS: Final[Mapping[str, Callable[[str, str], str | None]]] = MappingProxyType(
    {
        "cardinal": _cardinal,
        "number": _cardinal,
        "ordinal": _ordinal,
        "time": _time,
        "currency": _money,
        "fraction": _fraction,
    }
)

"""Written forms (numbers, dates, money, units, ...) to the words that are read out.

wetext does it where it is installed: weighted transducers for Chinese, English and Japanese, all of
them in its package. Without it, or on what it cannot read, text stays as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Final, Protocol

LANGUAGES: Final = ("zh", "en", "ja")


class Normalizer(Protocol):
    """Must be safe to call from several threads at once."""

    @property
    def notice(self) -> str | None:
        """What an operator should know is missing; None if nothing is."""

    def __call__(self, text: str, language: str) -> str:
        """`text` as it is read out. `language` is one of LANGUAGES. Never raises."""


class PlainNormalizer:
    """Leaves text as it is: the model reads digits as best it can."""

    def __init__(self, reason: str = "text normalisation is off") -> None:
        self._reason = reason

    @property
    def notice(self) -> str | None:
        return f"{self._reason}: numbers, dates and units reach the model as they are written"

    def __call__(self, text: str, language: str) -> str:
        return text


class WetextNormalizer:
    """By wetext's transducers. Takes about 0.3 s and 50 MB to make. Raises ImportError without wetext."""

    def __init__(self) -> None:
        make = import_module("wetext").Normalizer
        self._read: Mapping[str, Callable[[str], str]] = {
            language: make(lang=language, operator="tn").normalize for language in LANGUAGES
        }

    @property
    def notice(self) -> str | None:
        return None

    def __call__(self, text: str, language: str) -> str:
        # Its parser takes rows of blanks, quotes and backslashes for its own.
        plain = " ".join(text.replace('"', " ").replace("\\", " ").split())
        try:
            read = self._read[language](_respelt(plain, language))
        except Exception:  # assertions and transducer errors: nothing narrower
            return text
        if language == "en" and "housand" not in plain:
            read = _THOUSAND.sub(_with_one, read)
        return read or text


def load_normalizer() -> Normalizer:
    """The best one that is installed."""
    try:
        return WetextNormalizer()
    except ImportError:
        return PlainNormalizer("wetext is not installed")


_MONTHS: Final = (
    "January|February|March|April|May|June|July|August|September|October|November|December"
    "|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec"
)
MONTH: Final = re.compile(rf"(?:{_MONTHS})\.?")
_MONTH_DAY: Final = re.compile(rf"\b({_MONTHS})(\.?) (\d\d?)(?=[,.;:!?]|$| )")
_DECADE: Final = re.compile(r"\b(1[1-9]|20)([1-9])0'?s\b")
_VERSION: Final = re.compile(r"(?<![\d.])\d+(?:\.\d+){2,}(?!\d|\.\d)")
_MONEY_COMMAS: Final = re.compile(r"[$£€]\d{1,3}(?:,\d{3})+")
_ROUND: Final = re.compile(r"(?<![\w.,$£€-])([1-9])000(?![\w.,-]\w|'|/)")
_TWICE_YUAN: Final = re.compile(r"[¥￥](?=[\d,.]+[万亿]?元)")
_TENS: Final = (
    *("tens", "twenties", "thirties", "forties", "fifties"),
    *("sixties", "seventies", "eighties", "nineties"),
)
_THOUSAND: Final = re.compile(r"(\w+ )?\bthousand\b")
_SMALL: Final = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
)
_BEFORE_THOUSAND: Final = frozenset(
    f"{_SMALL} sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty"
    " ninety hundred".split()
)
_POINT: Final = {"zh": "点", "en": " point ", "ja": "点"}


def _respelt(text: str, language: str) -> str:
    """`text` with a few forms that the transducers misread written so that they do not."""
    text = _VERSION.sub(lambda found: _POINT[language].join(found[0].split(".")), text)
    if language == "zh":
        return _TWICE_YUAN.sub("", text)
    if language == "en":
        text = _MONEY_COMMAS.sub(lambda found: found[0].replace(",", ""), text)
        text = _ROUND.sub(r"\1 thousand", text)
        text = _DECADE.sub(lambda found: f"{found[1]} {_TENS[int(found[2]) - 1]}", text)
        text = _MONTH_DAY.sub(lambda found: f"{found[1]}{found[2]} {_ordinal(int(found[3]))}", text)
    return text


def _with_one(found: re.Match[str]) -> str:
    """A bare "thousand", which the transducer makes of 1,000, as "one thousand"."""
    before = found[1] or ""
    return found[0] if before.strip() in _BEFORE_THOUSAND else f"{before}one thousand"


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"

"""What engine.written leaves (addresses, numbers in Japanese) to the words that are read out.

wetext does it where it is installed: weighted transducers for Chinese, English and Japanese, all of
them in its package. Without it, or on what it cannot read, text stays as it is written.
"""

from __future__ import annotations

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
    """Leaves text as it is: the model reads it as best it can."""

    def __init__(self, reason: str = "text normalisation is off") -> None:
        self._reason = reason

    @property
    def notice(self) -> str | None:
        return f"{self._reason}: addresses, and numbers in Japanese, reach the model as they are written"

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
            return self._read[language](plain) or text
        except Exception:  # assertions and transducer errors: nothing narrower
            return text


def load_normalizer() -> Normalizer:
    """The best one that is installed."""
    try:
        return WetextNormalizer()
    except ImportError:
        return PlainNormalizer("wetext is not installed")

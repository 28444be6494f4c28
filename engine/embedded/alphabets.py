"""The phonetic alphabets that espeak-ng reads, each in a language of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from .readings.phonemes import phoneme_names
from .pinyin import numbered, spelled

_NUMBERED: Final = re.compile(r"[a-z]{1,6}[1-5](?: [a-z]{1,6}[1-5])*")


@dataclass(frozen=True, slots=True)
class Alphabet:
    """language: of the voice that reads it. written: the text for espeak-ng, None where it has no sound
    for a sign. phonemes: whether that is names of phonemes, not text.
    """

    language: str
    written: Callable[[str], str | None]
    phonemes: bool


def _pinyin(text: str) -> str | None:
    syllables = numbered(text)
    return spelled(syllables) if _NUMBERED.fullmatch(syllables) else None


def _ipa(text: str) -> str | None:
    names = phoneme_names(text)
    return f"[[{names}]]" if names else None


ALPHABETS: Final[Mapping[str, Alphabet]] = MappingProxyType(
    {"py": Alphabet("cmn", _pinyin, False), "ipa": Alphabet("en-us", _ipa, True)}
)

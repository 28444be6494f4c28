"""Pinyin as it is written, to syllables with a tone's number."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_TONES: Final = {"\u0304": "1", "\u0301": "2", "\u030c": "3", "\u0300": "4"}
_UMLAUT: Final = "u\u0308"
_IONG: Final = re.compile(r"(?<=[jqx])iong")
_SYLLABLE: Final = re.compile(r"[^\W\d]+[0-5]?|\S", re.DOTALL)


def numbered(text: str) -> str:
    """Syllables apart by blanks, each with its tone's number: nǐ hǎo and ni3hao3 are ni3 hao3.

    Syllables with tone signs must be apart as they come. A neutral tone is 5.
    """
    whole = unicodedata.normalize("NFC", text.lower()).replace("u:", "ü")
    return " ".join(map(_numbered, _SYLLABLE.findall(whole)))


def _numbered(syllable: str) -> str:
    letters, tone = "", ""
    plain = unicodedata.normalize("NFD", syllable)
    for char in plain.replace(_UMLAUT, "v"):
        if char in _TONES:
            tone = _TONES[char]
        else:
            letters += char
    if letters[-1:] == "0":
        letters = letters[:-1] + "5"
    if letters.isalpha() and letters.isascii():
        letters += tone or "5"
    return letters


def spelled(syllables: str) -> str:
    """Numbered syllables as espeak-ng reads them: it spells out those that end in -iong."""
    return _IONG.sub("ong", syllables)

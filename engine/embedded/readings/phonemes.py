"""The International Phonetic Alphabet, as far as English needs it, to espeak-ng's own phoneme names.

The names are those of its American English, as it tells them for words with these sounds.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{char: char for char in "pbtdkfvszhmnlwj"},
        **{"ɡ": "g", "g": "g", "θ": "T", "ð": "D", "ʃ": "S", "ʒ": "Z", "ŋ": "N"},
        **{"ɹ": "r", "r": "r", "ɾ": "t#", "ʔ": "?", "ɫ": "l", "ʍ": "w"},
        **{"tʃ": "tS", "dʒ": "dZ", "ʧ": "tS", "ʤ": "dZ", "n̩": "n-", "l̩": "@L", "m̩": "@m"},
        **{"i": "i", "iː": "i:", "ɪ": "I", "e": "E", "ɛ": "E", "æ": "a", "a": "a", "ʌ": "V"},
        **{"ɐ": "a#", "ɑ": "A:", "ɑː": "A:", "ɒ": "0", "ɔ": "O:", "ɔː": "O:", "ʊ": "U"},
        **{"u": "u:", "uː": "u:", "ə": "@", "ɜ": "3:", "ɜː": "3:", "ɝ": "3:", "ɝː": "3:"},
        **{"ɚ": "3", "ɜːɹ": "3:", "ɜːr": "3:", "əɹ": "3", "ɨ": "I2"},
        **{"eɪ": "eI", "aɪ": "aI", "ɔɪ": "OI", "aʊ": "aU", "oʊ": "oU", "əʊ": "oU", "o": "oU"},
        **{"ɪə": "i@", "ɪɹ": "i@3", "eə": "e@", "ɛə": "e@", "ɛɹ": "e@", "ʊə": "U@", "ʊɹ": "U@"},
        **{"ɑːɹ": "A@", "ɑɹ": "A@", "ɔːɹ": "O@", "ɔɹ": "O@", "oʊɹ": "o@"},
        **{"ˈ": "'", "'": "'", "ˌ": ",", " ": "||"},
    }
)
_LONGEST: Final = max(map(len, _NAMES))
_VOWELS: Final = frozenset("iɪeɛæaʌɐɑɒɔʊuəɜɝɚɨo")
_SILENT: Final = frozenset(".‿͜͡/[]")
"""Syllable borders, ties, and the brackets that a transcription stands in."""


def phoneme_names(text: str) -> str | None:
    """The names of a transcription's sounds, None if one of them is not English."""
    text = unicodedata.normalize("NFD", text.strip())
    text = "".join(char for char in " ".join(text.split()) if char not in _SILENT)
    names, at = "", 0
    while at < len(text):
        for length in range(min(_LONGEST, len(text) - at), 0, -1):
            part = text[at : at + length]
            # An r before a vowel is that vowel's syllable's own.
            starts = (
                part[-1] in "ɹr" and length > 1 and text[at + length : at + length + 1] in _VOWELS
            )
            if part in _NAMES and not (starts and at + length < len(text)):
                break
        else:
            return None
        names, at = names + _NAMES[part], at + length
    return names or None

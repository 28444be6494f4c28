"""The International Phonetic Alphabet, as far as English needs it, to espeak-ng's own phoneme names.

The names are those of its American English, as it tells them for words with these sounds.

Pinyin as it is written, to syllables with a tone's number.

The phonetic alphabets that espeak-ng reads, each in a language of its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
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

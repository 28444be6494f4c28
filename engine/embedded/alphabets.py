"""Phonetic alphabets: pinyin and the IPA, rewritten as the synthesisers read them.

Pinyin becomes syllables with tone numbers, for espeak-ng's Mandarin voice. IPA becomes espeak-ng's
phoneme names, for its American English voice, or hibari's symbols, as far as English has the sounds.
Both can say the same sounds, so a transcription never needs the other voice.
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
    """Rewrite pinyin as syllables with tone numbers, separated by blanks: nǐ hǎo, ni3hao3 to ni3 hao3.

    Syllables with tone marks must already be separate. The neutral tone is 5.
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
    """Respell numbered syllables for espeak-ng, which would spell out those that end in -iong."""
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
_SYMBOLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{char: char for char in "pbtdkfvszhmnlwjθðʃʒŋɹiɪɛæʌɑɔʊuəˈˌ "},
        **{"ɡ": "ɡ", "g": "ɡ", "r": "ɹ", "ɾ": "T", "ʔ": "t", "ɫ": "l", "ʍ": "w", "'": "ˈ"},
        **{"tʃ": "ʧ", "dʒ": "ʤ", "ʧ": "ʧ", "ʤ": "ʤ", "n̩": "ᵊn", "l̩": "ᵊl", "m̩": "ᵊm"},
        **{"iː": "i", "e": "ɛ", "a": "æ", "ɐ": "ə", "ɑː": "ɑ", "ɒ": "ɑ", "ɔː": "ɔ", "uː": "u"},
        **{"ɜ": "ɜɹ", "ɜː": "ɜɹ", "ɝ": "ɜɹ", "ɝː": "ɜɹ", "ɜːɹ": "ɜɹ", "ɜːr": "ɜɹ"},
        **{"ɚ": "əɹ", "əɹ": "əɹ", "ɨ": "ᵻ"},
        **{"eɪ": "A", "aɪ": "I", "ɔɪ": "Y", "aʊ": "W", "oʊ": "O", "əʊ": "O", "o": "O"},
        **{"ɪə": "ɪə", "ɪɹ": "ɪɹ", "eə": "ɛɹ", "ɛə": "ɛɹ", "ɛɹ": "ɛɹ", "ʊə": "ʊɹ", "ʊɹ": "ʊɹ"},
        **{"ɑːɹ": "ɑɹ", "ɑɹ": "ɑɹ", "ɔːɹ": "ɔɹ", "ɔɹ": "ɔɹ", "oʊɹ": "ɔɹ"},
    }
)
"""hibari's symbols for all that espeak-ng has a name for."""
_LONGEST: Final = max(map(len, _NAMES))
_VOWELS: Final = frozenset("iɪeɛæaʌɐɑɒɔʊuəɜɝɚɨo")
_SILENT: Final = frozenset(".‿͜͡/[]")
"""Syllable borders, ties, and the brackets around a transcription."""


def phoneme_names(text: str) -> str | None:
    """The phoneme names of an IPA transcription, None if a sound is not English."""
    return _rewritten(text, _NAMES)


def natural_symbols(text: str) -> str | None:
    """hibari's symbols for an IPA transcription, None if a sound is not English."""
    return _rewritten(text, _SYMBOLS)


def _rewritten(text: str, table: Mapping[str, str]) -> str | None:
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
            if part in table and not (starts and at + length < len(text)):
                break
        else:
            return None
        names, at = names + table[part], at + length
    return names or None


_NUMBERED: Final = re.compile(r"[a-z]{1,6}[1-5](?: [a-z]{1,6}[1-5])*")


@dataclass(frozen=True, slots=True)
class Alphabet:
    """A phonetic alphabet.

    language: of the voice that reads it. written: rewrites a transcription for espeak-ng, None if it
    lacks a sound. natural: the same for hibari. phonemes: whether the result is phonemes, not text.
    """

    language: str
    written: Callable[[str], str | None]
    natural: Callable[[str], str | None]
    phonemes: bool


def _pinyin(text: str) -> str | None:
    syllables = numbered(text)
    return spelled(syllables) if _NUMBERED.fullmatch(syllables) else None


def _ipa(text: str) -> str | None:
    names = phoneme_names(text)
    return f"[[{names}]]" if names else None


ALPHABETS: Final[Mapping[str, Alphabet]] = MappingProxyType(
    {
        "py": Alphabet("cmn", _pinyin, _pinyin, False),
        "ipa": Alphabet("en-us", _ipa, natural_symbols, True),
    }
)

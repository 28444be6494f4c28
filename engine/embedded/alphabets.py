"""Phonetic alphabets: pinyin, the IPA and ARPAbet, rewritten as the synthesisers read them.

Pinyin becomes syllables with tone numbers, for espeak-ng's Mandarin voice. IPA becomes espeak-ng's
phoneme names, for its American English voice, and hibari's symbols, as far as English has the sounds.
Both can say the same sounds, so a transcription never needs the other voice. ARPAbet is read as IPA.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

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
_REDUCED: Final = frozenset("əɐɚɨ")
"""Vowels that are never stressed."""
_SILENT: Final = frozenset(".‿͜͡/[]")
"""Syllable borders, ties, and the brackets around a transcription."""
_STRESSES: Final = ("ˈ", "ˌ", "'")
_SIBILANT: Final = frozenset("szʃʒʧʤ")
_VOICELESS: Final = frozenset("ptkfθ")


class Unspeakable(ValueError):
    """A transcription has a part that is not spoken here. The message names it, and what is allowed."""


class Spelling(NamedTuple):
    """A transcription as each synthesiser reads it. espeak: in the text that it gets. natural: hibari's
    symbols, "" where it does not speak the language."""

    espeak: str
    natural: str


def _ipa_sounds(text: str) -> list[str]:
    """The sounds and signs of an IPA transcription, each a key of _NAMES. Raises Unspeakable."""
    text = unicodedata.normalize("NFD", text.strip())
    text = "".join(char for char in " ".join(text.split()) if char not in _SILENT)
    sounds: list[str] = []
    at = 0
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
            raise Unspeakable(f"no sound {text[at]!r}; allowed: {_ALLOWED_IPA}")
        sounds.append(part)
        at += length
    if all(each in _STRESSES or each == " " for each in sounds):
        raise Unspeakable(f"no sounds; allowed: {_ALLOWED_IPA}")
    return sounds


_ALLOWED_IPA: Final = (
    "the sounds of English in IPA ("
    + " ".join(sorted({key for key in _NAMES if len(key) == 1} - {*_STRESSES, " "}))
    + "), ˈ and ˌ for stress, blanks between words"
)


def _stressed(sounds: list[str]) -> list[str]:
    """The same with a stress on the first full vowel of each word that has none: a word in a sentence."""
    found: list[str] = []
    for word in _words(sounds):
        full = (n for n, each in enumerate(word) if _is_vowel(each) and each[0] not in _REDUCED)
        place = next(full, None)
        if place is not None and not any(each in ("ˈ", "'") for each in word):
            if word[max(0, place - 1)] in _STRESSES:
                word[place - 1] = "ˈ"
            else:
                word.insert(place, "ˈ")
        found += [" ", *word] if found else word
    return found


def _words(sounds: list[str]) -> list[list[str]]:
    words: list[list[str]] = [[]]
    for each in sounds:
        if each == " ":
            words.append([])
        else:
            words[-1].append(each)
    return words


def _is_vowel(sound: str) -> bool:
    return sound[0] in _VOWELS


def _with_s(sounds: list[str]) -> list[str]:
    """The sounds of a word with the -s of the possessive and the plural."""
    last = next((each for each in reversed(sounds) if each not in _STRESSES), "")[-1:]
    ending = ["ɪ", "z"] if last in _SIBILANT else ["s"] if last in _VOICELESS else ["z"]
    return [*sounds, *ending]


def _symbols(sounds: list[str]) -> str:
    """hibari's symbols: it knows a stress right before its vowel, not before the syllable."""
    symbols = stress = ""
    for each in sounds:
        if each in _STRESSES:
            stress = _SYMBOLS[each]
            continue
        if stress and _is_vowel(each):
            symbols += stress
            stress = ""
        symbols += _SYMBOLS[each]
    return symbols


def _english(text: str, *, possessive: bool) -> Spelling:
    sounds = _stressed(_ipa_sounds(text))
    if possessive:
        sounds = _with_s(sounds)
    return Spelling(f"[[{''.join(map(_NAMES.__getitem__, sounds))}]]", _symbols(sounds))


_PHONES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{"AA": "ɑː", "AE": "æ", "AH": "ʌ", "AO": "ɔː", "AW": "aʊ", "AY": "aɪ", "EH": "ɛ"},
        **{"ER": "ɝ", "EY": "eɪ", "IH": "ɪ", "IY": "iː", "OW": "oʊ", "OY": "ɔɪ", "UH": "ʊ"},
        **{"UW": "uː", "B": "b", "CH": "ʧ", "D": "d", "DH": "ð", "F": "f", "G": "ɡ", "HH": "h"},
        **{"JH": "ʤ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ", "P": "p", "R": "ɹ"},
        **{"S": "s", "SH": "ʃ", "T": "t", "TH": "θ", "V": "v", "W": "w", "Y": "j", "Z": "z"},
        **{"ZH": "ʒ"},
    }
)
_UNSTRESSED: Final = {"AH": "ə", "ER": "ɚ"}
_STRESS_OF: Final = {"1": "ˈ", "2": "ˌ"}
_ALLOWED_ARPABET: Final = (
    f"the phonemes of ARPAbet ({' '.join(_PHONES)}), blanks between them, 0, 1 or 2 after a vowel for its"
    " stress"
)


def _arpabet(text: str, *, possessive: bool) -> Spelling:
    ipa = ""
    for phone in text.split():
        plain = phone.rstrip("012")
        stress = phone[len(plain) :]
        sound = _PHONES.get(plain, "")
        if not sound or len(stress) > (1 if _is_vowel(sound) else 0):
            raise Unspeakable(f"no phoneme {phone[:16]!r}; allowed: {_ALLOWED_ARPABET}")
        if stress == "0":
            sound = _UNSTRESSED.get(plain, sound)
        ipa += _STRESS_OF.get(stress, "") + sound
    if not ipa:
        raise Unspeakable(f"no phonemes; allowed: {_ALLOWED_ARPABET}")
    return _english(ipa, possessive=possessive)


_PINYIN: Final = re.compile(
    r"""(?x) (?: (?:[bpmfdtnlgkhjqxrzcsyw]|[zcs]h)?
        (?: a(?:i|o|ng?)? | e(?:i|ng?|r)? | o(?:u|ng)? | i(?:a(?:o|ng?)?|e|u|ng?|ong)?
          | u(?:a(?:i|ng?)?|o|i|e|n|eng)? | v(?:e|an|n)? )
      | hm | hng | m | ng? ) r? [1-5]"""
)
_ALLOWED_PINYIN: Final = (
    "syllables of pinyin with blanks between them and a tone number from 1 to 5 or a tone mark, as"
    " ni3 hao3 or nǐ hǎo"
)


def _mandarin(text: str, *, possessive: bool) -> Spelling:
    syllables = numbered(text)
    for syllable in syllables.split():
        if _PINYIN.fullmatch(syllable) is None:
            raise Unspeakable(f"no syllable {syllable[:16]!r}; allowed: {_ALLOWED_PINYIN}")
    if not syllables:
        raise Unspeakable(f"no syllables; allowed: {_ALLOWED_PINYIN}")
    return Spelling(spelled(syllables), "")


class _Speller(Protocol):
    def __call__(self, text: str, *, possessive: bool) -> Spelling: ...


@dataclass(frozen=True, slots=True)
class Alphabet:
    """A phonetic alphabet.

    language: of the voice that reads it. within: the languages, as BCP-47 tags in lower case, in whose
    sentences that voice reads. stand_in: a letter of theirs. spell: how the synthesisers read a
    transcription; possessive: with the 's that follows the word. It raises Unspeakable.
    """

    language: str
    within: frozenset[str]
    stand_in: str
    spell: _Speller

    def standing_for(self, word: str) -> str:
        """One word, as long and written alike, to stand for this one while its sentence is read."""
        letters = self.stand_in * len(word)
        return letters.capitalize() if word[:1].isupper() else letters


_EN: Final = ("en-us", frozenset({"en", "en-us"}), "q")  # q: no unit of measure, no Roman numeral

ALPHABETS: Final[Mapping[str, Alphabet]] = MappingProxyType(
    {
        "py": Alphabet("cmn", frozenset({"cmn", "zh", "zh-cn", "zh-tw"}), "口", _mandarin),
        "ipa": Alphabet(*_EN, _english),
        "cmu-arpabet": Alphabet(*_EN, _arpabet),
    }
)

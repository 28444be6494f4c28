"""Scripts of characters, and the language that a stretch of text is read in.

For engines with one voice per language. Scripts distinguish languages only roughly: under an
English default, Latin text is taken for English even if it is French.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final


class Script(Enum):
    """A writing system. The value is its ISO 15924 code."""

    LATIN = "Latn"
    GREEK = "Grek"
    CYRILLIC = "Cyrl"
    ARMENIAN = "Armn"
    HEBREW = "Hebr"
    ARABIC = "Arab"
    DEVANAGARI = "Deva"
    BENGALI = "Beng"
    GURMUKHI = "Guru"
    GUJARATI = "Gujr"
    ORIYA = "Orya"
    TAMIL = "Taml"
    TELUGU = "Telu"
    KANNADA = "Knda"
    MALAYALAM = "Mlym"
    SINHALA = "Sinh"
    THAI = "Thai"
    LAO = "Laoo"
    TIBETAN = "Tibt"
    MYANMAR = "Mymr"
    GEORGIAN = "Geor"
    HANGUL = "Hang"
    ETHIOPIC = "Ethi"
    KHMER = "Khmr"
    KANA = "Kana"
    BOPOMOFO = "Bopo"
    HAN = "Hani"


LANGUAGES: dict[Script, tuple[str, ...]] = {
    Script.GREEK: ("el", "grc"),
    Script.CYRILLIC: (
        *("ru", "uk", "bg", "be", "sr", "mk", "kk", "ky", "mn", "tg", "tt", "ba", "cv", "os", "ce"),
    ),
    Script.ARMENIAN: ("hy", "hyw"),
    Script.HEBREW: ("he", "yi"),
    Script.ARABIC: ("ar", "fa", "ur", "ps", "sd", "ckb", "ug"),
    Script.DEVANAGARI: ("hi", "mr", "ne", "sa", "kok", "mai", "bho"),
    Script.BENGALI: ("bn", "as", "bpy"),
    Script.GURMUKHI: ("pa",),
    Script.GUJARATI: ("gu",),
    Script.ORIYA: ("or",),
    Script.TAMIL: ("ta",),
    Script.TELUGU: ("te",),
    Script.KANNADA: ("kn",),
    Script.MALAYALAM: ("ml",),
    Script.SINHALA: ("si",),
    Script.THAI: ("th",),
    Script.LAO: ("lo",),
    Script.TIBETAN: ("bo", "dz"),
    Script.MYANMAR: ("my", "shn"),
    Script.GEORGIAN: ("ka", "xmf"),
    Script.HANGUL: ("ko",),
    Script.ETHIOPIC: ("am", "ti", "gez"),
    Script.KHMER: ("km",),
    Script.KANA: ("ja",),
    Script.BOPOMOFO: ("zh", "cmn", "nan", "hak"),
    Script.HAN: ("zh", "cmn", "yue", "wuu", "nan", "hak", "gan", "lzh", "ja"),
}
"""Languages written in each script; the first one is chosen when the default is none of them.
Latin is missing: a language that is not listed is taken to be written in it."""
IDEOGRAPHS: Final = "\u3400-\u4dbf\u4e00-\u9fff"
"""The unified ideographs of the first plane, which is nearly all Han that occurs; for classes in patterns."""
ALL_IDEOGRAPHS: Final = f"\u2e80-\u2fdf{IDEOGRAPHS}\uf900-\ufaff\U00020000-\U0003fffd"
"""With radicals, compatibility forms and the further planes, but without marks such as 々 and 〇."""

_BLOCKS: tuple[tuple[int, int, Script], ...] = (
    (0x0041, 0x024F, Script.LATIN),
    (0x0250, 0x02AF, Script.LATIN),
    (0x0370, 0x03FF, Script.GREEK),
    (0x0400, 0x052F, Script.CYRILLIC),
    (0x0530, 0x058F, Script.ARMENIAN),
    (0x0590, 0x05FF, Script.HEBREW),
    (0x0600, 0x06FF, Script.ARABIC),
    (0x0750, 0x077F, Script.ARABIC),
    (0x0870, 0x08FF, Script.ARABIC),
    (0x0900, 0x097F, Script.DEVANAGARI),
    (0x0980, 0x09FF, Script.BENGALI),
    (0x0A00, 0x0A7F, Script.GURMUKHI),
    (0x0A80, 0x0AFF, Script.GUJARATI),
    (0x0B00, 0x0B7F, Script.ORIYA),
    (0x0B80, 0x0BFF, Script.TAMIL),
    (0x0C00, 0x0C7F, Script.TELUGU),
    (0x0C80, 0x0CFF, Script.KANNADA),
    (0x0D00, 0x0D7F, Script.MALAYALAM),
    (0x0D80, 0x0DFF, Script.SINHALA),
    (0x0E00, 0x0E7F, Script.THAI),
    (0x0E80, 0x0EFF, Script.LAO),
    (0x0F00, 0x0FFF, Script.TIBETAN),
    (0x1000, 0x109F, Script.MYANMAR),
    (0x10A0, 0x10FF, Script.GEORGIAN),
    (0x1100, 0x11FF, Script.HANGUL),
    (0x1200, 0x139F, Script.ETHIOPIC),
    (0x1780, 0x17FF, Script.KHMER),
    (0x1C80, 0x1C8F, Script.CYRILLIC),
    (0x1C90, 0x1CBF, Script.GEORGIAN),
    (0x1E00, 0x1EFF, Script.LATIN),
    (0x1F00, 0x1FFF, Script.GREEK),
    (0x2C60, 0x2C7F, Script.LATIN),
    (0x2D00, 0x2D2F, Script.GEORGIAN),
    (0x2D80, 0x2DDF, Script.ETHIOPIC),
    (0x2DE0, 0x2DFF, Script.CYRILLIC),
    (0x2E80, 0x2FDF, Script.HAN),
    (0x3005, 0x3007, Script.HAN),
    (0x3021, 0x3029, Script.HAN),
    (0x3038, 0x303B, Script.HAN),
    (0x3041, 0x30FF, Script.KANA),
    (0x3105, 0x312F, Script.BOPOMOFO),
    (0x3131, 0x318E, Script.HANGUL),
    (0x31A0, 0x31BF, Script.BOPOMOFO),
    (0x31F0, 0x31FF, Script.KANA),
    (0x3400, 0x4DBF, Script.HAN),
    (0x4E00, 0x9FFF, Script.HAN),
    (0xA640, 0xA69F, Script.CYRILLIC),
    (0xA720, 0xA7FF, Script.LATIN),
    (0xA8E0, 0xA8FF, Script.DEVANAGARI),
    (0xA960, 0xA97F, Script.HANGUL),
    (0xAB01, 0xAB2F, Script.ETHIOPIC),
    (0xAB30, 0xAB6F, Script.LATIN),
    (0xAC00, 0xD7FF, Script.HANGUL),
    (0xF900, 0xFAFF, Script.HAN),
    (0xFB00, 0xFB06, Script.LATIN),
    (0xFB13, 0xFB17, Script.ARMENIAN),
    (0xFB1D, 0xFB4F, Script.HEBREW),
    (0xFB50, 0xFDFF, Script.ARABIC),
    (0xFE70, 0xFEFC, Script.ARABIC),
    (0xFF21, 0xFF3A, Script.LATIN),
    (0xFF41, 0xFF5A, Script.LATIN),
    (0xFF66, 0xFF9F, Script.KANA),
    (0xFFA0, 0xFFDC, Script.HANGUL),
    (0x1AFF0, 0x1B16F, Script.KANA),
    (0x20000, 0x3FFFD, Script.HAN),
)
_STARTS = tuple(first for first, _, _ in _BLOCKS)

_SHARED = frozenset({0x00AA, 0x00B5, 0x00BA, 0x0640, 0x30FB, 0x30FC, 0xFF70})
"""Characters in the blocks above that belong to several scripts."""

_WORD_SCRIPTS = frozenset({Script.HAN, Script.KANA, Script.BOPOMOFO})
"""Scripts without blanks between words, in which one character may be a whole word."""

_KANA_SHARE = 5
"""Han is read as Japanese if at least one of this many Han and kana characters is kana."""


@dataclass(frozen=True, slots=True)
class LanguageStretch:
    """Text to be read in one language: whole[begin:end], in code points."""

    text: str
    begin: int
    end: int
    language: str


@dataclass(slots=True)
class _ScriptStretch:
    begin: int
    letters: int
    script: Script
    language: str


def script_of(char: str) -> Script | None:
    """The script of a letter or of a mark of one script, None for a character that scripts share."""
    code = ord(char)
    index = bisect_right(_STARTS, code) - 1
    if index < 0 or code > _BLOCKS[index][1] or code in _SHARED:
        return None
    script = _BLOCKS[index][2]
    if script is Script.HAN or unicodedata.category(char)[0] in "LM":
        return script
    return None


@lru_cache(maxsize=8192)
def is_cjk(char: str) -> bool:
    """Whether a character is Han, kana or bopomofo: scripts without blanks between words."""
    return char >= "\u2e80" and script_of(char) in _WORD_SCRIPTS


def language_stretches(text: str, default: str) -> list[LanguageStretch]:
    """Split `text` into stretches of one language each; joined they are `text`.

    default: BCP-47 tag of the language to assume where the script allows it (`yue` for Han, `uk` for
    Cyrillic, `fr` for Latin) and for text without letters. Latin is English if the default is not
    written in Latin letters.

    Han is Japanese if a fair share of the text is kana. Digits, blanks, punctuation and symbols
    belong to the stretch before them, at the start to the first one. Two or more Latin letters
    between Han are a stretch of their own, since a Chinese voice garbles them; a single letter of an
    alphabet ("X光", "the α rays") stays in the stretch around it, where a change of voice would sound
    worse.
    """
    stretches = _absorb_single_letters(list(_stretches(text, default)))
    begins = [0, *(stretch.begin for stretch in stretches[1:]), len(text)]
    if not text:
        return []
    if not stretches:
        return [LanguageStretch(text, 0, len(text), default)]
    return [
        LanguageStretch(text[begin:end], begin, end, stretch.language)
        for stretch, begin, end in zip(stretches, begins, begins[1:], strict=False)
    ]


def _stretches(text: str, default: str) -> Iterator[_ScriptStretch]:
    """The stretches before single letters are absorbed. Each begins at its first letter."""
    languages = _languages(text, default)
    current: _ScriptStretch | None = None
    for position, char in enumerate(text):
        script = script_of(char)
        if script is None:
            continue
        language = languages[script]
        if current is not None and current.language == language:
            current.letters += char.isalpha()
            if script in _WORD_SCRIPTS:
                current.script = script
            continue
        if current is not None:
            yield current
        current = _ScriptStretch(position, int(char.isalpha()), script, language)
    if current is not None:
        yield current


def _languages(text: str, default: str) -> dict[Script, str]:
    """The language of every script in this text."""
    counts = Counter(script for char in text if (script := script_of(char)) is not None)
    result = {script: _language_of(script, default) for script in counts}
    kana = counts[Script.KANA]
    if kana and kana * _KANA_SHARE >= kana + counts[Script.HAN] and Script.HAN in result:
        result[Script.HAN] = result[Script.KANA]
    return result


def _language_of(script: Script, default: str) -> str:
    base, *subtags = default.lower().replace("_", "-").split("-")
    if script.value.lower() in subtags:
        return default
    written_in = {known for known, languages in LANGUAGES.items() if base in languages}
    if script is Script.LATIN:
        return "en" if written_in or _names_other_script(subtags) else default
    if script in written_in and "latn" not in subtags:
        return default
    return LANGUAGES[script][0]


def _names_other_script(subtags: list[str]) -> bool:
    return any(script.value.lower() in subtags for script in LANGUAGES)


def _absorb_single_letters(stretches: list[_ScriptStretch]) -> list[_ScriptStretch]:
    kept: list[_ScriptStretch] = []
    for stretch in stretches:
        single = stretch.letters <= 1 and stretch.script not in _WORD_SCRIPTS
        if kept and (single or kept[-1].language == stretch.language):
            kept[-1].letters += stretch.letters
            continue
        if len(kept) == 1 and kept[0].letters <= 1 and kept[0].script not in _WORD_SCRIPTS:
            kept[0] = _ScriptStretch(
                kept[0].begin, stretch.letters + 1, stretch.script, stretch.language
            )
            continue
        kept.append(stretch)
    return kept

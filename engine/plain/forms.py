"""What single characters are read as: the plain form of compatibility characters, and what is a picture.

By the Unicode data that comes with Python: which characters stand for others does not change any more,
and pictures are told by what they are (symbols that are no letters) and by the blocks that Unicode keeps
for them, so that emoji younger than the data are known too. A list of emoji would tell no more.
"""

from __future__ import annotations

import re
import unicodedata
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

_HALF_KANA: Final = range(0xFF66, 0xFF9E)
RAISED: Final = frozenset("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿ")
"""Exponents; they stay behind what they are of, for who reads quantities."""
_TABLE: Final = dict(
    zip(
        "％＃＆＠／＊＿＼＋＝＜＞－‐‑﹪﹟﹠﹫﹡﹢﹦﹤﹥﹣﹩",
        "%#&@/*_\\+=<>---%#&@*+=<>-$",
        strict=True,
    )
) | {
    "‼": "!!",
    "⁇": "??",
    "⁈": "?!",
    "⁉": "!?",
    "｡": "。",
    "｢": "「",
    "｣": "」",
    "､": "、",
    "･": "・",
}
_KEPT: Final = frozenset("©°№℃℉♭♮♯µªº")
_UNREAD: Final = frozenset("®™℠")
_PICTURE_BLOCKS: Final = (
    range(0x2000, 0x2E80),
    range(0x3004, 0x3040),
    range(0x4DC0, 0x4E00),
    range(0xFFF0, 0xFFFE),
    range(0x1D000, 0x1D200),
)
_PICTURES: Final = (range(0x1F000, 0x1F130), range(0x1F18A, 0x1FB00), range(0x25FD, 0x25FF))
"""Blocks of nothing else, whether or not a character is assigned yet."""
_FOLDED: Final = frozenset(
    {"<font>", "<circle>", "<square>", "<wide>", "<narrow>", "<super>", "<sub>", "<fraction>"}
    | {"<initial>", "<medial>", "<final>", "<isolated>", "<compat>"}
)
"""Kinds of decomposition, as the Unicode data name them."""
_JAMO: Final = range(0x3131, 0x318F)
"""Hangul letters: their plain forms are parts of syllables, which nobody writes alone."""
_SCRIPTS_WITH_OWN: Final = range(0x400, 0x1D00)
"""Scripts in which a character that has parts is spelt as it is."""
_SQUARES: Final = str.maketrans("μ∕", "µ/")
"""The squares of micrometres and the like are spelt with the Greek letter."""
_NAMED: Final = re.compile(
    r"(?:LATIN LETTER SMALL CAPITAL|(?:CROSSED )?NEGATIVE (?:CIRCLED|SQUARED) LATIN CAPITAL LETTER) ([A-Z])"
)


class Treatment(Enum):
    """How a character is treated.

    KEPT: as it is. PLAIN: its form is given out. UNSEEN: dropped. JOINER: dropped where the script
    does without. PICTURE: dropped, and parts words. NUMBER: a number by itself, beside other digits
    too. FRACTION: follows a whole number with a blank. ROMAN: a Roman numeral. EXPONENT: a raised
    digit or sign. HALF_KANA: may have its voicing mark as the next character.
    """

    KEPT = "kept"
    PLAIN = "plain"
    UNSEEN = "unseen"
    JOINER = "joiner"
    PICTURE = "picture"
    NUMBER = "number"
    FRACTION = "fraction"
    ROMAN = "roman"
    EXPONENT = "exponent"
    HALF_KANA = "half kana"


class Form(NamedTuple):
    """`text` is what the character is read as; "" for what is not read."""

    treatment: Treatment
    text: str


@lru_cache(maxsize=4096)
def form_of(char: str) -> Form:
    code, category = ord(char), unicodedata.category(char)
    if char in RAISED:
        return Form(Treatment.EXPONENT, unicodedata.normalize("NFKC", char).replace("−", "-"))
    if char in _KEPT:
        return Form(Treatment.KEPT, char)
    if char in "\u200b\u200c\u200d":
        return Form(Treatment.JOINER, "")
    if category == "Zs":
        return Form(Treatment.PLAIN, " ")
    if _is_unseen(char, code, category):
        return Form(Treatment.UNSEEN, "")
    if 0x2160 <= code < 0x2180:
        return Form(Treatment.ROMAN, unicodedata.normalize("NFKC", char))
    if code in _HALF_KANA:
        return Form(Treatment.HALF_KANA, unicodedata.normalize("NFKC", char))
    if any(code in block for block in _PICTURES):
        return Form(Treatment.PICTURE, "")
    found = _plain(char, code, category)
    if found is not None:
        return found
    picture = category == "So" and any(code in block for block in _PICTURE_BLOCKS)
    return (
        Form(Treatment.PICTURE, "") if picture or category == "Co" else Form(Treatment.KEPT, char)
    )


def _is_unseen(char: str, code: int, category: str) -> bool:
    """Marks of format, selectors of variants, what encloses a keycap, trade marks."""
    if char in _UNREAD or 0xFE00 <= code < 0xFE10 or 0xE0000 <= code < 0xE01F0:
        return True
    if category == "Me":
        return 0x20D0 <= code < 0x2100
    return category == "Cf" and not 0x600 <= code < 0x900 and code not in range(0x110BD, 0x13460)


def _plain(char: str, code: int, category: str) -> Form | None:
    """The form of a character that stands for others, None if it is one of its own."""
    if char in _TABLE:
        return Form(Treatment.PLAIN, _TABLE[char])
    if named := _NAMED.fullmatch(unicodedata.name(char, "")):
        small = "SMALL" in named[0]
        return Form(Treatment.PLAIN, named[1].lower() if small else named[1])
    if category == "No" and (0x2776 <= code < 0x2794 or 0x24EB <= code < 0x2500):
        return Form(Treatment.NUMBER, str(int(unicodedata.numeric(char))))
    tag = unicodedata.decomposition(char).partition(" ")[0]
    if category == "Sk" or category[0] == "P" or (category == "Sm" and tag != "<font>"):
        return None
    text = _expanded(char)
    if text == char or text[0] == " ":
        return None
    if tag == "<fraction>":
        return Form(Treatment.FRACTION, text.replace("\u2044", "/"))
    if tag == "<circle>" and (text.isdecimal() or code in range(0x3280, 0x328A)):
        return Form(Treatment.NUMBER, text)
    return Form(Treatment.PLAIN, text.translate(_SQUARES) if tag == "<square>" else text)


def _expanded(char: str) -> str:
    """`char` written out, but for exponents and for what is spelt like this."""
    code = ord(char)
    if char in RAISED or char in _KEPT or code in _JAMO:
        return char
    tag, _, parts = unicodedata.decomposition(char).partition(" ")
    if tag not in _FOLDED or (tag == "<compat>" and code in _SCRIPTS_WITH_OWN):
        return char
    return "".join(_expanded(chr(int(part, 16))) for part in parts.split())


_NUMERALS: Final = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def roman_number(letters: str) -> int:
    """What a Roman numeral stands for."""
    values = [_NUMERALS[letter] for letter in letters.upper()]
    following = [*values[1:], 0]
    return sum(-one if one < after else one for one, after in zip(values, following, strict=True))

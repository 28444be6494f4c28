"""Rewrites single characters as they are read: compatibility characters, pictures, numbers in circles.

It uses the Unicode data that comes with Python: which characters stand for others does not change any
more. Pictures are recognised by category (symbols that are no letters) and by the blocks that Unicode
reserves for them, so emoji younger than the data are known too.
"""

from __future__ import annotations

import re
import unicodedata
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from ..segmentation.scripts import is_cjk
from ..written import THIN_BLANKS
from ..written.numbers import roman_number
from .rewriting import Rewriter

_HALF_KANA: Final = range(0xFF66, 0xFF9E)
RAISED: Final = frozenset("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿ")
"""Exponents; after a base they stay, for the reader of quantities."""
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
"""Blocks reserved for pictures, assigned or not."""
_FOLDED: Final = frozenset(
    {"<font>", "<circle>", "<square>", "<wide>", "<narrow>", "<super>", "<sub>", "<fraction>"}
    | {"<initial>", "<medial>", "<final>", "<isolated>", "<compat>"}
)
"""Kinds of decomposition, by their names in the Unicode data."""
_JAMO: Final = range(0x3131, 0x318F)
"""Hangul letters: their decompositions are parts of syllables, which nobody writes alone."""
_SCRIPTS_WITH_OWN: Final = range(0x400, 0x1D00)
"""Scripts in which a character with parts is kept as it is spelt."""
_SQUARES: Final = str.maketrans("μ∕", "µ/")
"""Squared units such as micrometres decompose to the Greek letter."""
_NAMED: Final = re.compile(
    r"(?:LATIN LETTER SMALL CAPITAL|(?:CROSSED )?NEGATIVE (?:CIRCLED|SQUARED) LATIN CAPITAL LETTER) ([A-Z])"
)


class Treatment(Enum):
    """Treatments of characters.

    KEPT: stays as it is. PLAIN: is replaced by its form. UNSEEN: is dropped. JOINER: is dropped
    unless the script needs it. PICTURE: is dropped and separates words. NUMBER: is a number by itself,
    also beside digits. FRACTION: follows a whole number after a blank. ROMAN: is a Roman numeral.
    EXPONENT: is a raised digit or sign. HALF_KANA: may be followed by its voicing mark.
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
    """The reading of a character. text: "" if it is not read."""

    treatment: Treatment
    text: str


@lru_cache(maxsize=4096)
def form_of(char: str) -> Form:
    """The form of a character by itself."""
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
    """Whether it is a format character, a variation selector, the frame of a keycap or a trade mark."""
    if char in _UNREAD or 0xFE00 <= code < 0xFE10 or 0xE0000 <= code < 0xE01F0:
        return True
    if category == "Me":
        return 0x20D0 <= code < 0x2100
    return category == "Cf" and not 0x600 <= code < 0x900 and code not in range(0x110BD, 0x13460)


def _plain(char: str, code: int, category: str) -> Form | None:
    """The form of a character that stands for others, None if it stands for itself."""
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
    """`char` decomposed, except exponents and characters that are spelt with it."""
    code = ord(char)
    if char in RAISED or char in _KEPT or code in _JAMO:
        return char
    tag, _, parts = unicodedata.decomposition(char).partition(" ")
    if tag not in _FOLDED or (tag == "<compat>" and code in _SCRIPTS_WITH_OWN):
        return char
    return "".join(_expanded(chr(int(part, 16))) for part in parts.split())


_LONGEST_ROMAN: Final = 16
_SELECTORS: Final = "\ufe0e\ufe0f\u20e3"
_PLAIN: Final = re.compile(
    r"(?:[\t\n\v\f\r !-\")$-&(+-/:-~'À-Ĭ\u0370-\u0373\u0386-\u03ce\u0400-\u0481\u048a-\u052f"
    r"\u05d0-\u05ea\u0621-\u064a\u0904-\u0939\u0e01-\u0e32\u2018-\u201d\u3001-\u3003\u3008-\u3011"
    r"\u3041-\u3096\u30a1-\u30fc\u4e00-\u9fff\uac00-\ud7a3！（）：；？]"
    rf"|[0-9#*](?=[^{_SELECTORS}]))+"
)
"""Characters that surely stay, which most are. Digits may be followed by the frame of a keycap."""
_KEYS: Final = frozenset("0123456789#*")
_EMOJI_WITH_SELECTOR: Final = frozenset("ℹ↔↕〰")
_VOICING: Final = frozenset("ﾞﾟ")
_ROMAN: Final = re.compile("[\u2160-\u217f]+")
_ITEM_MARKS: Final = frozenset(".、)．:：,，）")
_WIDE_MARKS: Final = frozenset("、。，．：；！？（）「」《》")
_WIDE_DIGITS: Final = frozenset("０１２３４５６７８９")
_OWN_JOINERS: Final = range(0x590, 0x1900)
"""Blocks of scripts that need joiners, or zero-width blanks between words."""


class Characters(Rewriter):
    """Replaces characters by their forms, as their neighbours ask for it.

    - A circled number or a keycap first in a line is a list item: `②买` becomes `2、买`, `② Buy`
      becomes `2. Buy`. Elsewhere it is a number, separate from digits beside it.
    - A picture first in a line begins a sentence, as a list mark does; between words it is a blank.
    - Exponents stay after a letter, a digit or a bracket; elsewhere they are plain digits.
    - Roman numerals beside Chinese become numbers, elsewhere letters.
    - A thin or no-break blank between digits stays: it may belong to a number.
    - The marks inside a number of full-width digits (１，０００．５) become plain.
    """

    def __init__(self) -> None:
        super().__init__()
        self._parts_words = self._parts_digits = False
        """Whether a word, or digits, that follow must be separated from the output so far."""
        self._wide_digit = False
        """Whether the character before was a full-width digit."""

    def step(self) -> None:
        plain = _PLAIN.match(self.text, self.at)
        if plain is not None:
            self._part(self.text[self.at])
            self._wide_digit = False
            self.copy(plain.end() - self.at)
            return
        char = self.text[self.at]
        if char in _KEYS:
            self._key(char)
        elif char in _EMOJI_WITH_SELECTOR and self.char(1) == "\ufe0f":
            self._picture(2)
        elif char in THIN_BLANKS and self.last.isdecimal() and self.char(1).isdecimal():
            self._give_form(1, char)
        elif char == "，" or char == "．":
            self._mark_of_number(char)
        else:
            self._take(char, form_of(char))

    def flush(self) -> str:
        remaining = super().flush()
        self._parts_words = self._parts_digits = self._wide_digit = False
        return remaining

    def _take(self, char: str, form: Form) -> None:
        match form.treatment:
            case Treatment.UNSEEN:
                self.drop(1)
            case Treatment.JOINER:
                own = self.last != "" and ord(self.last) in _OWN_JOINERS and not self._parts_words
                (self.copy if own else self.drop)(1)
            case Treatment.PICTURE:
                self._picture(1)
            case Treatment.NUMBER:
                self._number(1, form.text)
            case Treatment.FRACTION:
                self._parts_digits = self._parts_digits or self.last.isdecimal()
                self._give_form(1, form.text)
            case Treatment.ROMAN:
                self._roman()
            case Treatment.EXPONENT:
                self._give_form(1, char if self._has_exponent() else form.text)
            case Treatment.HALF_KANA:
                pair = char + self.char(1) if self.char(1) in _VOICING else char
                self._give_form(len(pair), unicodedata.normalize("NFKC", pair))
            case _:
                self._give_form(1, form.text)
                self._wide_digit = char in _WIDE_DIGITS

    def _give_form(self, length: int, text: str) -> None:
        self._part(text[0])
        self._wide_digit = False
        if len(text) == length:
            self.put_same(text)
        else:
            self.put(length, text)

    def _part(self, following: str) -> None:
        """Write a blank if `following` would run into a word or number that a picture or circle separated."""
        words = self._parts_words and self.last.isalnum() and following.isalnum()
        digits = self._parts_digits and self.last.isdecimal() and following.isdecimal()
        self._parts_words = self._parts_digits = False
        if words or digits:
            self.put(0, " ")

    def _has_exponent(self) -> bool:
        """Whether the last character of the output may have an exponent."""
        if self._parts_words or not self.last:
            return False
        return self.last.isalnum() or self.last in ")]}" or self.last in RAISED

    def _picture(self, length: int) -> None:
        self.end_sentence(length)
        self._parts_words = True
        self._wide_digit = False

    def _key(self, char: str) -> None:
        """Take a digit, a hash or a star, which may be a keycap."""
        after = self.char(1)
        length = 2 if after == "\ufe0f" or after == "\ufe0e" else 1
        if after and self.char(length) == "\u20e3":
            if char.isdecimal():
                self._number(length + 1, char)
            else:
                self._give_form(length + 1, char)
            return
        self._part(char)
        self._wide_digit = False
        self.copy(1)

    def _number(self, length: int, text: str) -> None:
        """Take a number of `length` characters, which is an item's mark if it is first in its line."""
        after = self.char(length)
        spaced = after.isspace()
        visible = self.char(length + 1) if spaced else after
        if self.newlines and _begins_words(visible):
            if is_cjk(visible):
                text, length = text + "、", length + spaced
            else:
                text += "." if spaced else ". "
        elif self.last.isdecimal():
            self._parts_digits = True
        self._give_form(length, text)
        self._parts_digits = text[-1].isdecimal()

    def _roman(self) -> None:
        length = self.matching(_ROMAN, _LONGEST_ROMAN)
        after = self.char(length) if length < _LONGEST_ROMAN else ""
        letters = unicodedata.normalize("NFKC", self.text[self.at : self.at + length])
        chinese = any(map(is_cjk, filter(None, (self.last, after)))) or after in _WIDE_MARKS
        self._give_form(length, str(roman_number(letters)) if chinese else letters)

    def _mark_of_number(self, mark: str) -> None:
        """Take a full-width comma or full stop, plain inside a number of full-width digits."""
        inside = False
        if self._wide_digit and mark == "．":
            inside = self.char(1) in _WIDE_DIGITS
        elif self._wide_digit:
            inside = all(self.char(place) in _WIDE_DIGITS for place in (1, 2, 3))
            inside = inside and self.char(4) not in _WIDE_DIGITS
        self._give_form(1, {"，": ",", "．": "."}[mark] if inside else mark)


def _begins_words(char: str) -> bool:
    """Whether an item's mark may stand before it."""
    if not char or char.isspace() or char in _ITEM_MARKS:
        return False
    return form_of(char).treatment is not Treatment.NUMBER

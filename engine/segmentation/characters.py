"""Classes of characters: blanks, newlines, extenders, spoken symbols, wide characters; grapheme clusters."""

from __future__ import annotations

import unicodedata

NEWLINES = "\n\v\f\x85\u2028\u2029"
"""Characters that end a line. A carriage return is a blank: a line feed follows it."""
SPOKEN_SYMBOLS = frozenset("%‰&+=±×÷@°№℃℉％＆＋＝＠")
"""Symbols that are read out as words. Currency signs are too."""

_ZERO_WIDTH_SPACE = "\u200b"


def is_newline(char: str) -> bool:
    """Whether a character is one of NEWLINES."""
    return char in NEWLINES


def is_blank(char: str) -> bool:
    """Whether a character is white space, a zero-width space or a control character: nothing to pronounce."""
    return char.isspace() or char == _ZERO_WIDTH_SPACE or unicodedata.category(char) == "Cc"


def is_extender(char: str) -> bool:
    """Whether a character belongs to the one before, so that no cut may come between.

    Combining marks, variation selectors, joiners and other format characters, emoji modifiers,
    later parts of a Hangul syllable, low surrogates.
    """
    if char < "\u00ad":
        return False
    if "\u1160" <= char <= "\u11ff" or "\U0001f3fb" <= char <= "\U0001f3ff":
        return True
    if "\udc00" <= char <= "\udfff":
        return True
    return unicodedata.category(char) in {"Mn", "Mc", "Me", "Cf"} and char != _ZERO_WIDTH_SPACE


def weight(char: str) -> int:
    """The columns of a character, which length limits count: 2 if it is East Asian wide, else 1."""
    return 2 if char >= "\u1100" and unicodedata.east_asian_width(char) in "WF" else 1


def is_spoken(char: str) -> bool:
    """Whether a character is a letter, a digit or other number, a currency sign or in SPOKEN_SYMBOLS."""
    if char.isalnum() or char in SPOKEN_SYMBOLS:
        return True
    return unicodedata.category(char) in {"Sc", "Nl", "No"}


def speakable(text: str) -> bool:
    """Whether `text` has anything to say.

    Blanks, punctuation, emoji and other symbols alone have not: a voice has no word for them, and a
    speech model that is given nothing else makes up sounds.
    """
    return any(map(is_spoken, text))


def cluster_start(text: str, position: int, floor: int) -> int:
    """The last place in floor..position where a cut splits no grapheme cluster; `floor` if there is none."""
    while position > floor and _joined(text, position, floor):
        position -= 1
    return position


def _joined(text: str, position: int, floor: int) -> bool:
    """Whether the characters on both sides of `position` belong to one cluster."""
    before, after = text[position - 1], text[position]
    if is_extender(after) or before == "\u200d" or (before == "\r" and after == "\n"):
        return True
    if not (_is_regional(before) and _is_regional(after)):
        return False
    # Flags are pairs of regional indicators, counted from the first of their row.
    first = position - 1
    while first > floor and _is_regional(text[first - 1]):
        first -= 1
    return (position - first) % 2 == 1


def _is_regional(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"

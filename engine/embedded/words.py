"""Which stretches of a text are its words, whatever language it is in.

A word is a row of letters, digits and spoken symbols, with the marks that join them: `mother-in-law`,
`can’t`, `3.14`, `$2,375.40`, `user@host.com`, `and/or`. Blanks and dashes part words; quotes, brackets,
full stops and the like around a word are not part of it. The last full stop of a row of single letters is
(`e.g.`, `U.S.A.`). Each Han character is a word. So is each row of emoji, if it is spoken.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

from ..segmentation.characters import SPOKEN_SYMBOLS, is_blank, is_extender
from ..segmentation.scripts import Script, script_of
from .plan import EspeakUtterance

_JOINERS: Final = frozenset("-'’‘ʼ＇‐‑‧·_*\\/״׳")
_OWN: Final = frozenset("./,:")
"""Marks that join under conditions of their own."""
_EMOJI: Final = 0x2190
"""Symbols from here on are pictures, those before belong to what they stand at: `20°`, `©2024`."""

# Over the classes of the characters: a letter, d digit, s spoken symbol, h Han, e emoji, j joiner,
# x what belongs to the character before, the marks of _OWN, and blank for the rest.
_CORE: Final = r"[ads]x*"
_WORD: Final = re.compile(
    rf"""
    (?:{_CORE}
        (?: {_CORE} | j(?={_CORE}) | \.(?={_CORE}) | (?<=d),(?=d) | (?<=d):(?=d)
          | (?: : /{{0,2}} | /+ )(?<=/)(?={_CORE}) )*
        (?: (?<=\.a)(?<!a\w\.a) \. )?
    | h x* | (?: e x* )+ )
    """,
    re.VERBOSE,
)


class LocatedWord(NamedTuple):
    """begin, end: in the utterance's text. text_begin, text_end: its place in the segmented text."""

    begin: int
    end: int
    text_begin: int
    text_end: int


def word_stretches(text: str) -> list[tuple[int, int]]:
    """Where the words of a text lie, in order and apart."""
    classes = "".join(map(_class, text))
    return [match.span() for match in _WORD.finditer(classes)]


def told_words(utterance: EspeakUtterance) -> list[LocatedWord]:
    """The words to tell of an utterance, each once.

    Words that were made of the same stretch of the text by a replacement are one, with the whole of it.
    """
    words: list[LocatedWord] = []
    for begin, end in word_stretches(utterance.text):
        text_begin, text_end = utterance.place(begin, end)
        if words and text_begin < words[-1].text_end:
            first = words.pop()
            begin, text_begin = first.begin, first.text_begin
            text_end = max(text_end, first.text_end)
        if text_begin < text_end:
            words.append(LocatedWord(begin, end, text_begin, text_end))
    return words


def whole_word(utterance: EspeakUtterance, length: int) -> LocatedWord:
    """What tells of an utterance as one word, `length` being that of what is spoken for it."""
    text = utterance.text
    begin = len(text) - len(text.lstrip())
    return LocatedWord(0, length, *utterance.place(begin, max(begin, len(text.rstrip()))))


@lru_cache(4096)
def _class(char: str) -> str:
    if char in _OWN:
        return char
    if char in _JOINERS:
        return "j"
    if char.isdecimal():
        return "d"
    if script_of(char) is Script.HAN:
        return "h"
    category = unicodedata.category(char)
    if category[0] == "L" or category in ("Nl", "No"):
        return "a"
    if is_extender(char) or category[0] == "M":
        return "x"
    if char in SPOKEN_SYMBOLS or char == "#" or category == "Sc":
        return "s"
    if category == "So" and not is_blank(char):
        return "e" if ord(char) >= _EMOJI else "s"
    return " "

"""Written forms (numbers, money, times, units, signs, abbreviations) to the words that are spoken.

    text -> fold -> anchors -> rules (codes, dates, amounts, symbols, shorthand) -> expressions

English and Chinese; what belongs to another language is left as it is. `reading` finds the
expressions of a text, `context` the language of each, and the number words, units and
currencies have their only home here.
"""

from __future__ import annotations

from .context import SentenceContext
from .place import THIN, THIN_BLANKS
from .reading import Expression, Verbalized, expressions, opens, verbalize

__all__ = [
    "THIN",
    "THIN_BLANKS",
    "Expression",
    "SentenceContext",
    "Verbalized",
    "expressions",
    "opens",
    "verbalize",
]

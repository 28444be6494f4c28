"""Written forms (numbers, money, times, units, signs, abbreviations) in the words that are spoken.

    text -> fold -> anchors -> rules (codes, dates, clock, amounts, signs, shorthand) -> expressions

For English and Chinese; what belongs to another language stays as it is. reading.py finds the
expressions of a text, context.py the language of each. Number words, units and currencies have their
only home here.
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

"""Words whose full stop need not end a sentence."""

from __future__ import annotations

import re
from enum import Enum

LONGEST = 12
"""No abbreviation is longer than this, in characters without the last full stop."""


class Abbreviation(Enum):
    """What a full stop after such a word means.

    NEVER: not the end, whatever follows ("Dr.", "e.g.").
    NUMBER: not the end before a digit ("No. 5"), else it is ("No. Go away.").
    CAPITAL: the end before a capital letter ("etc. Then"), not before a small one or a digit.
    STARTER: the end only before a word that often begins a sentence ("at 5 p.m. The", but
        "5 p.m. Monday", "U.S. Army", "J. Tolkien").
    """

    NEVER = "never"
    NUMBER = "number"
    CAPITAL = "capital"
    STARTER = "starter"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TITLES = _words(
    """mr mrs ms mx dr drs prof rev fr hon st ste mt ft messrs mme mlle mgr msgr gen col maj capt
    cpt lt cmdr sgt cpl pvt adm gov sen rep pres supt hr frau sra srta dra sig dott"""
)
"""Not the end of a sentence, if written with a capital."""
_NEVER = _words("vs e.g i.e eg ie cf viz approx resp incl excl esp ca z.b d.h bzw vgl s.o s.u т.е")
_NUMBER = _words(
    "no nos nr fig figs vol vols p pp ch chap sec sect art par para pt ex ed op ext tel bd"
)
_CAPITAL = _words("etc usw u.s.w и.т.д т.д т.п др пр")
_STARTER = _words(
    """inc ltd co corp llc bros jr sr esq ave blvd rd hwy sq dept univ assn al b.eng m.phil ft oz lb lbs min
    max hrs avg est misc dept govt natl intl assoc"""
)
_CALENDAR = _words(
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun"
)
"""Only with a capital: "sun" and "sat" are words."""

_DOTTED = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}")
"""Initialisms and degrees: U.S, p.m, Ph.D, M.Sc."""

_SENTENCE_STARTERS = _words(
    """the this that these those it he she they we you i in on at but and so or if when while what
    why how who where there then however for as a an my our his her its your their is are was were
    do does did can could will would should not no yes after before now let please also to from with
    by some most many all one each every here although because since until once thanks ok okay"""
)


def abbreviation(word: str) -> Abbreviation | None:
    """What kind of abbreviation `word` is (given without its last full stop), None if none."""
    if not word or len(word) > LONGEST:
        return None
    lower = word.lower()
    capital = word[0].isupper()
    if lower in _NEVER or (capital and lower in _TITLES):
        return Abbreviation.NEVER
    if lower in _NUMBER:
        return Abbreviation.NUMBER
    if lower in _CAPITAL:
        return Abbreviation.CAPITAL
    initial = len(word) == 1 and capital
    calendar = capital and lower in _CALENDAR
    if initial or calendar or lower in _STARTER or _DOTTED.fullmatch(word):
        return Abbreviation.STARTER
    return None


def starts_sentence(word: str) -> bool:
    """Whether a capitalised word is one that often begins an English sentence."""
    return word.lower() in _SENTENCE_STARTERS

"""Words whose full stop need not end a sentence."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

LONGEST: Final = 12
"""No abbreviation is longer than this, in characters without the last full stop."""


class Abbreviation(Enum):
    """What a full stop after such a word means.

    NEVER: not the end, whatever follows ("Prof.", "e.g.").
    PLACE: the end only before a word that is part of no name ("St. Paul", but "on Elm St. They").
    NUMBER: not the end before a digit ("No. 5"), else it is ("No. Go away.").
    REFERENCE: not the end before a digit, a small letter, a Roman numeral or a single letter ("Fig. 7",
        "Vol. II", "App. B").
    CAPITAL: the end before a capital letter ("etc. Then"), not before a small one or a digit.
    HOUR: the end before a capital letter, but for days and time zones ("5 p.m. Anna", "5 p.m. Monday").
    STARTER: the end only before a word that often begins a sentence ("at Acme Inc. The", but
        "Acme Inc. President", "U.S. Army", "J. Tolkien").
    """

    NEVER = "never"
    PLACE = "place"
    NUMBER = "number"
    REFERENCE = "reference"
    CAPITAL = "capital"
    HOUR = "hour"
    STARTER = "starter"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TITLES: Final = _words(
    """mr mrs ms mx drs prof profs rev fr hon messrs mses mme mlle mgr msgr gen brig col maj capt cpt lt
    cmdr cdr comdr ens sgt cpl pvt pfc adm amb gov sen sens rep reps pres supt insp det atty hr frau
    sra srta dra sig dott"""
)
"""Not the end of a sentence, if written with a capital."""
_PLACES: Final = _words("st ste mt mtn ft pt dr")
"""Saint or street, mount, fort, point, doctor or drive; if written with a capital."""
_NEVER: Final = _words(
    "vs v e.g i.e eg ie cf viz approx resp incl excl esp ca attn feat z.b d.h bzw vgl s.o s.u т.е"
)
_NUMBER: Final = _words("no nr p par part pt ex ed op c b d ver art room mag bus")
_REFERENCE: Final = _words(
    """nos fig figs vol vols pp ch chap chaps sec secs sect para paras eq eqs eqn tab app appx ref refs
    tel ext bd ser fn lect bldg apt rm rte hwy"""
)
_CAPITAL: Final = _words("etc usw u.s.w и.т.д т.д т.п др пр")
_HOUR: Final = _words("a.m p.m")
_STARTER: Final = _words(
    """inc ltd co corp cos llc plc pty mfg bros jr sr esq ave blvd rd ln pkwy sq dept univ assn inst
    div dist al b.eng m.phil ft oz lb lbs min mins max hr hrs sec yr yrs wk wks mos km cm mm kg mg ml
    mph tbsp tsp qt gal avg est misc govt natl intl assoc ibid anon orig temp prev std u.s.c"""
)
_CALENDAR: Final = _words(
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun"
)
_STATES: Final = _words(
    """ala ariz ark calif colo conn fla ga ill kan ky mass mich minn mont neb nev okla penn tenn tex
    va wis wyo ont que"""
)
"""Like days and months only with a capital: "sun", "sat" and "ill" are words."""

_DOTTED: Final = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}")
"""Initialisms and degrees: U.S, p.m, Ph.D, M.Sc."""
_COUNT: Final = re.compile("[IVXLC]+|[A-Z]")

_NO_NAMES: Final = _words(
    """the this that these those it he she they we you his her its my our their there then but and
    when where while if what how why"""
)
"""Words with a capital that are part of no place's name."""
_SENTENCE_STARTERS: Final = _NO_NAMES | _words(
    """i in on at so or who however for as a an your is are was were do does did can could will
    would should not no yes after before now let please also to from with by some most many all one
    each every here although because since until once thanks ok okay both several few another two
    three even during under over within without despite according meanwhile moreover instead
    still only perhaps maybe later soon often usually sometimes never nobody everyone everybody
    someone nothing something everything whether such today tomorrow yesterday last next finally
    afterwards otherwise therefore nevertheless people"""
)
_AFTER_HOURS: Final = _words(
    """monday tuesday wednesday thursday friday saturday sunday january february march april may june
    july august september october november december eastern central mountain pacific local greenwich"""
)
_LETTERED: Final = _words(
    """plan vitamin group class type grade option hepatitis point exhibit section part team column
    row level note key size answer letter side terminal gate room wing block building model version
    appendix schedule annex category phase drive zone pool"""
)
"""A single letter after them is no initial: plan B."""


def abbreviation(word: str) -> Abbreviation | None:
    """What kind of abbreviation `word` is (given without its last full stop), None if none."""
    if not word or len(word) > LONGEST:
        return None
    lower = word.lower()
    capital = word[0].isupper()
    if capital and lower in _PLACES:
        return Abbreviation.PLACE
    if lower in _NEVER or (capital and lower in _TITLES):
        return Abbreviation.NEVER
    kinds = (
        (_NUMBER, Abbreviation.NUMBER),
        (_REFERENCE, Abbreviation.REFERENCE),
        (_CAPITAL, Abbreviation.CAPITAL),
        (_HOUR, Abbreviation.HOUR),
    )
    if not (capital and len(word) == 1):
        for words, kind in kinds:
            if lower in words:
                return kind
    elif lower == "p":
        return Abbreviation.NUMBER
    dated = capital and (lower in _CALENDAR or lower in _STATES)
    initial = len(word) == 1 and capital
    if initial or dated or lower in _STARTER or _DOTTED.fullmatch(word):
        return Abbreviation.STARTER
    return None


def is_initial(word: str, previous: str) -> bool:
    """Whether a single capital letter after the word `previous` may be that of a name: J. Smith, but
    not plan B, nor "you and I"."""
    if len(word) != 1 or not word.isupper():
        return True
    if word == "I" and previous.islower() and previous not in {"by", "of", "from"}:
        return False
    return previous.lower() not in _LETTERED


def ends_before(kind: Abbreviation, word: str) -> bool:
    """Whether a sentence ends after an abbreviation of this kind before `word`, which has a capital or
    none of its letters has."""
    plain = word.lower().rstrip(".")
    match kind:
        case Abbreviation.NEVER:
            return False
        case Abbreviation.PLACE:
            return plain in _NO_NAMES
        case Abbreviation.NUMBER:
            return True
        case Abbreviation.REFERENCE:
            return _COUNT.fullmatch(word) is None
        case Abbreviation.CAPITAL:
            return True
        case Abbreviation.HOUR:
            return bool(word) and not (plain in _AFTER_HOURS or (len(word) > 1 and word.isupper()))
        case Abbreviation.STARTER:
            return not word.endswith(".") and starts_sentence(word)


def starts_sentence(word: str) -> bool:
    """Whether a capitalised word is one that often begins an English sentence."""
    return word.lower() in _SENTENCE_STARTERS

"""Rules for where sentences and clauses end, without the segmenter's bookkeeping.

A row of marks with the closing quotes and brackets after it (`?!`, `."`, `……」`) is judged as soon as
the character after it is known; a few marks also need the next visible character or the next word.

- `. ! ?` end a sentence before a blank, at the end of the text, or next to Chinese or Japanese.
  Inside a word (3.14, node.js, a@b.c, /x?y=z) they end nothing.
- After a closer, or as an ellipsis, they end only a clause if a small letter follows ("What?" she
  said; wait... what).
- `。！？；` and the like end a sentence anywhere, and so does an ellipsis after Chinese text.
- A full stop after an abbreviation depends on the kind of abbreviation: see `Abbreviation`. A number
  or letter first on its line or in its sentence is a list marker ("1. First") and ends nothing.
- `, ; :` end a clause before a blank or next to Chinese; `，、：` do except between digits. Long dashes
  end a clause, and so do short ones with blanks on both sides, except after a digit.

Line ends are judged in line_ends.py, list items in layout.py and markers.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from .characters import is_blank, is_extender
from .lookahead import Lookahead
from .markers import numbers_item
from .scripts import is_cjk

LONGEST: Final = 12
"""No abbreviation is longer than this, in characters without the last full stop."""


class Abbreviation(Enum):
    """Kinds of abbreviations, by what a full stop after them means.

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
    """The kind of the abbreviation `word`, given without its last full stop; None if it is none."""
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


class Verdict(Enum):
    """The unit of text that ends at a place."""

    NOTHING = "nothing"
    CLAUSE = "clause"
    SENTENCE = "sentence"


class MarkKind(Enum):
    """Kinds of punctuation that can end something."""

    STOP = "."
    BANG = "!?"
    ELLIPSIS = "…"
    WIDE = "。"
    COMMA = ",;:"
    WIDE_COMMA = "，"
    DASH = "—"
    HYPHEN = "-"


_MARKS: dict[str, MarkKind] = {
    ".": MarkKind.STOP,
    **dict.fromkeys("!?‼⁇⁈⁉", MarkKind.BANG),
    **dict.fromkeys("…⋯", MarkKind.ELLIPSIS),
    **dict.fromkeys("。｡！？；．؟۔।॥։።፧။៕", MarkKind.WIDE),
    **dict.fromkeys(",;:،؛", MarkKind.COMMA),
    **dict.fromkeys("，、：､﹐﹑", MarkKind.WIDE_COMMA),
    **dict.fromkeys("—―⸺", MarkKind.DASH),
    **dict.fromkeys("-–", MarkKind.HYPHEN),
}
_TERMINATORS = frozenset({MarkKind.STOP, MarkKind.BANG, MarkKind.ELLIPSIS, MarkKind.WIDE})
_DASHES = frozenset({MarkKind.DASH, MarkKind.HYPHEN})
_CLOSERS = frozenset(")]}’”»›」』】〕〉》〗〙〛）］｝｣＂＇'")
_UNIT = 3
"""Letters of a unit, at most."""
_QUOTES = frozenset("\"“‘'(")
_EMPHASIS = frozenset("*_`~")
"""Markdown: they close after Latin marks, but may open after Chinese ones, where no blank shows it."""


@dataclass(slots=True)
class MarkRow:
    """A row of marks and closers.

    kind: that of the last mark that counts.
    word: what stands right before the first mark, if no longer than an abbreviation.
    previous: the word or number before that.
    before: the character before the first mark, "" at the start of a segment.
    last_letter: the last letter or digit before, "" if the segment has none yet.
    item: whether `word` is the first on its line or in its sentence.
    """

    kind: MarkKind
    word: str = ""
    previous: str = ""
    before: str = ""
    last_letter: str = ""
    item: bool = False
    length: int = 1
    closed: bool = False
    dotted: bool = False

    def takes(self, char: str, quote_open: bool) -> bool:
        """Whether `char` belongs to the row. quote_open: whether a straight quote is still open."""
        mark = mark_of(char)
        if mark in _DASHES:
            return self.kind in _DASHES and not self.closed
        if mark is not None:
            return True
        if char == '"':
            return quote_open or not self._unspaced
        if char in _EMPHASIS:
            return not self._unspaced
        return char in _CLOSERS or is_extender(char)

    def add(self, char: str) -> None:
        """Append a character that `takes` accepted. The last kind of mark counts."""
        mark = mark_of(char)
        if mark is None:
            self.closed = self.closed or not is_extender(char)
            return
        self.length += 1
        self.dotted = self.dotted or (mark is MarkKind.STOP and self.kind is MarkKind.STOP)
        weak = mark in {MarkKind.STOP, MarkKind.ELLIPSIS} and self.kind in {
            MarkKind.BANG,
            MarkKind.WIDE,
        }
        if not weak:
            self.kind = mark

    @property
    def cjk(self) -> bool:
        """Whether the text before it is written without blanks."""
        return bool(self.last_letter) and is_cjk(self.last_letter)

    @property
    def _unspaced(self) -> bool:
        return self.cjk or self.kind in {MarkKind.WIDE, MarkKind.WIDE_COMMA}


def mark_of(char: str) -> MarkKind | None:
    """The kind of a mark, None if `char` is not one."""
    return _MARKS.get(char)


def judge_marks(marks: MarkRow, ahead: Lookahead) -> Verdict:
    """Judge a complete row of marks. `ahead` begins right after it. Raises NeedMoreText."""
    after = ahead.char()
    match marks.kind:
        case MarkKind.WIDE:
            return _judge_number_mark(marks, after, Verdict.SENTENCE)
        case MarkKind.WIDE_COMMA:
            return _judge_number_mark(marks, after, Verdict.CLAUSE)
        case MarkKind.COMMA:
            open_right = not after or is_blank(after) or is_cjk(after) or marks.cjk
            return Verdict.CLAUSE if open_right else Verdict.NOTHING
        case MarkKind.DASH | MarkKind.HYPHEN:
            return _judge_dash(marks, after)
        case _:
            return _judge_terminator(marks, after, ahead)


def _judge_number_mark(marks: MarkRow, after: str, verdict: Verdict) -> Verdict:
    """Full-width marks between digits are part of a number: 10：30, 1，000, 3．14."""
    inside = marks.length == 1 and marks.before.isdigit() and after.isdigit()
    return Verdict.NOTHING if inside else verdict


def _judge_dash(marks: MarkRow, after: str) -> Verdict:
    spaced = (not marks.before or is_blank(marks.before)) and (not after or is_blank(after))
    if marks.kind is MarkKind.HYPHEN and marks.length == 1:
        aside = spaced and not marks.item and not marks.last_letter.isdigit()
        return Verdict.CLAUSE if aside else Verdict.NOTHING
    if (
        marks.kind is MarkKind.HYPHEN
        and not spaced
        and not (marks.before.isalpha() and after.isalpha())
    ):
        return Verdict.NOTHING
    inside = marks.before.isdigit() and after.isdigit()
    return Verdict.NOTHING if inside else Verdict.CLAUSE


def _judge_terminator(marks: MarkRow, after: str, ahead: Lookahead) -> Verdict:
    ellipsis = marks.kind is MarkKind.ELLIPSIS or marks.dotted
    if marks.kind is MarkKind.BANG:
        ellipsis = False
    if ellipsis and marks.cjk:
        return Verdict.SENTENCE
    unspaced = bool(after) and not is_blank(after)
    if unspaced and not _parts_words(marks, after):
        return Verdict.CLAUSE if ellipsis and after.isalpha() else Verdict.NOTHING
    if marks.kind is MarkKind.STOP and marks.length == 1:
        verdict = _judge_abbreviation(marks, ahead)
        if verdict is not None:
            return verdict
    if not (marks.closed or ellipsis) or unspaced:
        return Verdict.SENTENCE
    following = ahead.visible()
    goes_on = following.islower() or (ellipsis and following.isdigit())
    return Verdict.CLAUSE if goes_on else Verdict.SENTENCE


def _parts_words(marks: MarkRow, after: str) -> bool:
    """Whether a terminator right before `after`, with no blank between, can be one all the same."""
    if marks.cjk or is_cjk(after):
        return not (
            marks.cjk and after.isascii() and after.isalnum() and marks.kind is MarkKind.STOP
        )
    return not after.isascii() and not after.isalnum()


def _judge_abbreviation(marks: MarkRow, ahead: Lookahead) -> Verdict | None:
    """The verdict on a single full stop after an abbreviation or list marker, None after others."""
    if not ahead.char():
        return Verdict.SENTENCE
    if marks.item and numbers_item(marks.word):
        return Verdict.NOTHING
    kind = abbreviation(marks.word)
    if (
        kind is None
        and marks.previous.isdigit()
        and marks.word.isalpha()
        and len(marks.word) <= _UNIT
    ):
        return Verdict.NOTHING if ahead.visible().islower() else None  # 10 in. wide
    if kind is None or not is_initial(marks.word, marks.previous):
        return None
    if kind is Abbreviation.NEVER:
        return Verdict.NOTHING
    following = ahead.visible()
    if following.isdigit() or (following.islower() and kind is not Abbreviation.NUMBER):
        return Verdict.NOTHING
    if kind is Abbreviation.NUMBER or not following:
        return None
    if is_cjk(following):
        return Verdict.NOTHING if any(map(is_cjk, marks.previous)) else None
    quoted = following in _QUOTES
    word = ahead.after(ahead.blanks() + quoted).word(LONGEST)
    return None if ends_before(kind, word) else Verdict.NOTHING

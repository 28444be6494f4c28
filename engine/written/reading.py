"""Finds the expressions of a text that are not written as they are spoken, and replaces them by words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from ..origins import Origins
from ..segmentation.scripts import is_cjk
from . import amounts, clock, codes, dates, shorthand, signs
from .context import SentenceContext
from .money import CURRENCIES, PREFIX, SIGNS
from .place import THIN, Found, Place, fold

Rule = Callable[[Place], Found | None]

_LINK: Final = (
    r"(?:(?i:https?|ftp|file)://|www\.)[!-~]+"
    r"|[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,6}"
    r"|(?:[A-Za-z0-9-]{1,63}\.){1,6}(?:com|org|net|edu|gov|cn|io|ai|dev|co|uk|de|jp|fr|eu|us|html?|py|js|json|txt|pdf"
    r"|csv|exe|zip|png|jpe?g|mp[34])(?![A-Za-z0-9])(?:[/:?#][!-~]*)?|(?<![A-Za-z0-9.])(?:~|\.{1,2})?(?:/[A-Za-z0-9_.-]+){2,}"
)
_WORD_START: Final = r"(?<![A-Za-z0-9_À-ɏ])"
_ANCHOR: Final = re.compile(
    rf"(?P<link>(?<![A-Za-z0-9_.@/-])(?:{_LINK}))"
    rf"|{_WORD_START}(?P<word>{shorthand.WORD})"
    rf"|{_WORD_START}(?P<named>(?:[A-GJMQ][#♯♭]|[CGg]\+\+))"
    rf"|{_WORD_START}(?P<code>{PREFIX}[ \u202f]?-?\.?\d)"
    rf"|{_WORD_START}(?P<name>(?![a-z]{{2,16}}-)[A-Za-z]{{1,16}}-?\d)"
    rf"|(?P<number>[-–+](?=[{SIGNS}]?\.?\d)"
    rf"|(?:<=|>=|!=|[<>≤≥≈≠~±])[ \u202f]?[-+]?(?:{PREFIX})?[ ]?\.?\d|[{SIGNS}]|'\d"
    r"|(?<![A-Za-z0-9_.])\.\d|\((?=0?\d{2,3}\)[ ]?\d)|\d|#\d|[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒])"
    r"|(?P<numero>№)"
    rf"|(?P<sign>[{signs.ALWAYS}=+*<>§/\^⁰¹²³⁴-⁹⁺⁻°①-⒛㉑-㉟㊱-㊿Ⅰ-Ⅻⅰ-ⅻ–-]|!=|\.NET)"
)
_SIGNS_OF_NUMBERS: Final = frozenset("~<>=≈≠≤≥±+-–№") | {"<=", ">=", "!=", "=="}
_NUMBER_RULES: Final[tuple[Rule, ...]] = (
    dates.date,
    codes.telephone,
    clock.time,
    clock.lasting,
    dates.month_day,
    signs.feet,
    signs.fraction,
    codes.digit_rows,
    codes.ordinals,
    dates.years,
    signs.product,
    signs.ratio,
)
_RULES: Final[dict[str, tuple[Rule, ...]]] = {
    "word": (shorthand.word,),
    "named": (signs.named_sign,),
    "code": (amounts.amount,),
    "name": (codes.name,),
    "numero": (shorthand.numero,),
    "sign": (signs.sign,),
}
_NUMBER_END: Final = re.compile(r"\d*")
_LETTER_AFTER: Final = re.compile(r"[A-Za-z]")


class Expression(NamedTuple):
    """text[begin:end] is spoken as `words`."""

    begin: int
    end: int
    words: str


class Verbalized(NamedTuple):
    """Text as it is spoken, with the map to the text it was made from."""

    text: str
    origins: Origins


def opens(word: str, before: str = "") -> bool:
    """Whether `word` holds, or may begin, an expression that needs the text after it to be read.

    before: the text before it.
    """
    folded = fold(word)
    if folded in CURRENCIES or folded in _SIGNS_OF_NUMBERS or shorthand.opens(folded, before):
        return True
    anchor = _ANCHOR.search(folded)
    return anchor is not None and anchor.lastgroup not in ("word", "link")


def verbalize(text: str, context: SentenceContext) -> Verbalized:
    """Replace the expressions of `text` by their words.

    context: the sentence that `text` continues; it takes note of `text`. Linear in the text.
    """
    origins = Origins()
    parts: list[str] = []
    at = 0
    for begin, end, words in expressions(text, context):
        origins.copy(begin - at)
        origins.replace(end - begin, len(words))
        parts += text[at:begin], words
        at = end
    origins.copy(len(text) - at)
    return Verbalized("".join([*parts, text[at:]]), origins)


def expressions(text: str, context: SentenceContext) -> Iterator[Expression]:
    """Yield the expressions of `text` in order. See `verbalize`."""
    tail = context.tail
    offset = len(tail)
    whole = tail + fold(text) if tail else fold(text)
    at = noted = offset
    while (anchor := _ANCHOR.search(whole, at)) is not None:
        begin, kind = anchor.start(), anchor.lastgroup
        if kind == "link":
            at = anchor.end()
            continue
        context.note(whole[noted:begin])
        noted = begin
        language = context.language(whole, begin)
        found = _read(Place(whole, begin, language), kind or "") if language else None
        if found is None:
            at = _passed(whole, anchor)
            continue
        at = found.end
        if kind in ("word", "numero"):
            context.note(whole[begin:at], found.words)
            noted = at
        for part in found.parts or (found,):
            visible = _visible(whole, begin)
            if begin < visible and language == "zh":
                yield Expression(begin - offset, visible - offset, "")
            yield Expression(visible - offset, part.end - offset, _apart(whole, visible, part))
            begin = part.end
    context.note(whole[noted:])


def _read(place: Place, kind: str) -> Found | None:
    rules = _RULES.get(kind, _NUMBER_RULES)
    for rule in rules:
        if found := rule(place):
            return found
    if kind != "number":
        return None
    found = amounts.until(place) or amounts.amount(place)
    if found and _LETTER_AFTER.match(place.text, found.end) and place.text[place.at].isdigit():
        return codes.name(place) or found
    return found or signs.sign(place)


def _passed(text: str, anchor: re.Match[str]) -> int:
    """Skip an anchor that begins no expression."""
    if anchor.lastgroup in ("word", "name", "code"):
        return anchor.end()
    end = _NUMBER_END.match(text, anchor.start())
    assert end is not None
    return max(end.end(), anchor.start() + 1)


def _visible(text: str, at: int) -> int:
    """The next place without a blank."""
    while at < len(text) and text[at] in (" ", THIN):
        at += 1
    return at


def _apart(text: str, begin: int, found: Found) -> str:
    """The words, with blanks if they would run into letters beside them."""
    words = found.words
    before, after = text[begin - 1 : begin], text[found.end : found.end + 1]
    if _runs_together(before, words[:1]):
        words = " " + words
    return words + " " if _runs_together(words[-1:], after) else words


def _runs_together(left: str, right: str) -> bool:
    return left.isalnum() and right.isalnum() and not is_cjk(left) and not is_cjk(right)

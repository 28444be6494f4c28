"""From segments to utterances of one language and bounded length, and to their words.

    Segment -> points that end no sentence removed -> written forms verbalized
            -> stretches of one language, of bounded length -> EspeakUtterance -> LocatedWords

A word is a row of letters, digits and spoken symbols with the marks that join them: `mother-in-law`,
`can’t`, `3.14`, `$2,375.40`, `user@host.com`, `and/or`. Blanks and dashes separate words. Quotes,
brackets, full stops and the like around a word do not belong to it, except the last full stop of a
row of single letters (`e.g.`, `U.S.A.`). Each Han character is a word, and so is a row of emoji, if it
is spoken.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from ..origins import Origins
from ..segmentation.characters import SPOKEN_SYMBOLS, is_blank, is_extender, speakable
from ..segmentation.markers import LABELS
from ..segmentation.scripts import ALL_IDEOGRAPHS, LANGUAGES, Script, language_stretches, script_of
from ..segmentation.segmenter import Segment
from ..written import SentenceContext, verbalize
from .alphabets import Alphabet

_MARKER: Final = re.compile(
    rf"""(?x) \s* (?:
        (?:{"|".join(LABELS)})[ ]\d{{1,3}} (?P<a>[.:：])
        | [(（\[]? (?:\d{{1,3}}|[一二三四五六七八九十]{{1,3}}) (?P<b>[.．)）\]、:：])
        | [(（\[]? (?:[A-Za-z]|[ivxIVX]{{1,4}}) (?P<c>[)）\]、]|[.．](?=\s))
        | [\u2460-\u2468]
    ) (?=\s*[^\s\d一二三四五六七八九十.,、])"""
)
_STOP: Final = re.compile(r"(?<=\w)\.(?=\s+[^\W_a-z])")
_CIRCLED: Final = {0x245F + number: str(number) for number in range(1, 10)}


def without_marker_point(text: str) -> str:
    """Blank out the point of the list marker that a segment begins with. The length stays the same."""
    marker = _MARKER.match(text)
    if marker is None:
        return text
    begin, end = marker.span(marker.lastgroup or 0)
    point = " " if marker.lastgroup else marker[0].translate(_CIRCLED)
    return text[:begin] + point + text[end:]


def without_inner_stops(text: str) -> str:
    """Blank out full stops before a capital or a digit, where espeak-ng pauses.

    A full stop inside a segment belongs to an abbreviation. The length stays the same.
    """
    return _STOP.sub(" ", text)


LONGEST: Final = 200
"""Weight of the longest utterance: at most 30 seconds of speech at speed 1, mostly 15."""

_DIGIT_WEIGHT: Final = 4
_WIDE_WEIGHT: Final = 3
_SYMBOL_WEIGHT: Final = 12
"""Weights are in letters of speech: a digit is a word, an emoji several."""

_UNSPEAKABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
"""Control characters, some of which are commands to espeak-ng, and code points that UTF-8 cannot encode."""

_HAN: Final = re.compile(f"[{ALL_IDEOGRAPHS}]+")
_CLAUSE_END: Final = re.compile(
    r"""[,;:\u2013\u2014\u2026，、；：…—・،؛।]["'”’»)\]）」』】》]*\s*$|\n\s*$"""
)


_PLAIN: Final = re.compile(r"[A-Za-z\s,.;:!?'\"-]+")
"""Characters of weight 1."""


class Pause(Enum):
    """The kind of silence after an utterance, if more follows."""

    NONE = 0
    CLAUSE = 1
    SENTENCE = 2


Places = Callable[[int, int], tuple[int, int]]
"""Maps a stretch of one text to the stretch of another that it stands for."""


@dataclass(frozen=True, slots=True)
class SaidWord:
    """A word whose pronunciation is told. begin, end: its place in the task's text."""

    begin: int
    end: int
    alphabet: Alphabet
    written: str


class SaidStretch(NamedTuple):
    """A word whose pronunciation is told, or a part of one, at text[begin:end] of an utterance.

    starts: whether the word begins here; the rest of one that was cut is not heard.
    """

    begin: int
    end: int
    word: SaidWord
    starts: bool


@dataclass(frozen=True, slots=True)
class EspeakUtterance:
    """Text that one job speaks.

    text: in words. begin: where its segment begins in the segmented text. language: BCP-47.
    pause: the silence after it. origins: maps `text` to its segment. source: maps the segmented text
    to the task's text. said: the words in it whose pronunciation is told, in order.
    """

    text: str
    begin: int
    language: str
    pause: Pause
    origins: Origins
    source: Places
    said: tuple[SaidStretch, ...] = ()

    def place(self, begin: int, end: int) -> tuple[int, int]:
        """The place of text[begin:end] in the task's text; beyond the end counts as the end."""
        length = len(self.text)
        first, last = self.origins.source(min(begin, length), min(end, length))
        return self.source(self.begin + first, self.begin + last)


@dataclass(frozen=True, slots=True)
class LanguageDefaults:
    """Languages to read text in, as BCP-47 tags.

    default: where the script leaves it open. han: for Han, None to go by the default. latin: for Latin
    letters.
    """

    default: str
    han: str | None = None
    latin: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "latin", language_stretches("a", self.default)[0].language)

    def context(self) -> SentenceContext:
        """The context at the beginning of a text."""
        han = language_stretches("\u4e00", self.default)[0].language
        return SentenceContext(
            _written_in(self.default), latin=_written_in(self.latin), han=_written_in(han)
        )


def _written_in(language: str) -> str | None:
    """The language in which engine.written reads numbers, None if espeak-ng reads them."""
    base = language.lower().replace("_", "-").split("-")[0]
    if base in LANGUAGES[Script.HAN] and base != "ja":
        return "zh"
    return "en" if base == "en" else None


def espeak_utterances(
    segment: Segment,
    languages: LanguageDefaults,
    context: SentenceContext,
    source: Places,
    said: Sequence[SaidWord] = (),
) -> list[EspeakUtterance]:
    """Divide a segment into utterances, in order; none if it has nothing to say.

    context: of the text so far; it takes note of the segment. source: see EspeakUtterance. said: words of
    the task's text whose pronunciation is told, in order, among them those of the segment.
    """
    found = _divide(segment, languages, context, source, said) if speakable(segment.text) else []
    if segment.sentence_end:
        context.sentence_ended()
    return found


def _divide(
    segment: Segment,
    languages: LanguageDefaults,
    context: SentenceContext,
    source: Places,
    said: Sequence[SaidWord],
) -> list[EspeakUtterance]:
    text = without_marker_point(_UNSPEAKABLE.sub(" ", segment.text))
    text, origins = verbalize(text, context)
    text = without_inner_stops(text)

    def place(at: int) -> tuple[int, int]:
        first, last = origins.source(at, at + 1)
        return source(segment.begin + first, segment.begin + last)

    told = _said_in(len(text), place, said) if said else []
    found = []
    covered = 0
    for begin, end, language in _told_apart(_stretches(text, languages), told):
        own = text[begin:end]
        if not speakable(own):
            continue
        part = _part(origins, begin, end, covered)
        own_said = tuple(
            _cut(each, begin, end) for each in told if each.begin < end and each.end > begin
        )
        found.append(
            EspeakUtterance(own, segment.begin, language, _pause_after(own), part, source, own_said)
        )
        covered = part.source(0, part.length)[1]
    if found and segment.sentence_end:
        found[-1] = replace(found[-1], pause=Pause.SENTENCE)
    return found


def _said_in(
    length: int, place: Callable[[int], tuple[int, int]], said: Sequence[SaidWord]
) -> list[SaidStretch]:
    """Where these words are in a text of `length`. place: the place of a character in the task's text."""
    if not length:
        return []
    places = range(length)
    begin, end = place(0)[0], place(length - 1)[1]
    found = []
    for word in said:
        if word.begin >= end:
            break
        if word.end <= begin:
            continue
        first = bisect_left(places, word.begin, key=lambda at: place(at)[0])
        last = bisect_left(places, word.end, key=lambda at: place(at)[0])
        if first < last:
            found.append(SaidStretch(first, last, word, place(first)[0] == word.begin))
    return found


def _cut(said: SaidStretch, begin: int, end: int) -> SaidStretch:
    """The part of a word that is in the utterance text[begin:end]."""
    return SaidStretch(
        max(said.begin, begin) - begin,
        min(said.end, end) - begin,
        said.word,
        said.starts and said.begin >= begin,
    )


def _told_apart(
    stretches: Iterator[tuple[int, int, str]], told: list[SaidStretch]
) -> Iterator[tuple[int, int, str]]:
    """Cut stretches of one language at the words that another language's voice has to say, and where the
    sounds that are told would take too long."""
    for begin, end, language in stretches:
        at, weight = begin, 0
        for said in told:
            first, last = max(said.begin, at), min(said.end, end)
            if first >= last:
                continue
            alphabet = said.word.alphabet
            weight += len(said.word.written)
            apart = language.lower() not in alphabet.within
            if (apart or weight > LONGEST) and at < first:
                yield at, first, language
                at, weight = first, len(said.word.written)
            if apart:
                yield first, last, alphabet.language
                at, weight = last, 0
        if at < end:
            yield at, end, language


def _part(origins: Origins, begin: int, end: int, covered: int) -> Origins:
    """The map of derived[begin:end] alone.

    covered: where the source ends that earlier utterances stand for. The remainder of a replacement
    that they cover stands for nothing.
    """
    places = range(begin, end)
    first = begin + bisect_left(
        places, covered, key=lambda place: origins.source(place, place + 1)[0]
    )
    part = Origins()
    if first == end:
        part.replace(covered, 0)
        part.replace(0, end - begin)
        return part
    part.replace(first, 0)
    part.replace(0, first - begin)
    part.copy(end - first)
    return origins.then(part)


def _stretches(text: str, languages: LanguageDefaults) -> Iterator[tuple[int, int, str]]:
    if text.isascii():  # most text is ASCII: nothing to find out
        for first, last in _bounded(text):
            yield first, last, languages.latin
        return
    for stretch in language_stretches(text, languages.default):
        for begin, end, language in _han_apart(stretch.text, stretch.language, languages.han):
            for first, last in _bounded(stretch.text[begin:end]):
                yield stretch.begin + begin + first, stretch.begin + begin + last, language


def _han_apart(text: str, language: str, han: str | None) -> Iterator[tuple[int, int, str]]:
    """Separate Han from the Japanese around it, to be read in Mandarin.

    espeak-ng's Japanese voice reads each Han character as "Chinese letter".
    """
    if language.split("-")[0] in ("zh", "cmn", "yue"):
        yield 0, len(text), han or language
        return
    if language != "ja":
        yield 0, len(text), language
        return
    at = 0
    for match in _HAN.finditer(text):
        if match.start() > at:
            yield at, match.start(), language
        yield match.start(), match.end(), han or "cmn"
        at = match.end()
    if at < len(text):
        yield at, len(text), language


def _bounded(text: str) -> Iterator[tuple[int, int]]:
    """Cut a text that would speak for too long, between words if there are any."""
    if len(text) * _SYMBOL_WEIGHT <= LONGEST or (text.isascii() and _ascii_weight(text) <= LONGEST):
        yield 0, len(text)
        return
    begin = weight = 0
    blank = -1
    for position, char in enumerate(text):
        weight += _weight(char)
        if weight > LONGEST:
            end = blank if blank > begin else position
            yield begin, end
            begin = end
            weight = sum(map(_weight, text[begin : position + 1]))
        if char.isspace():
            blank = position
    yield begin, len(text)


def _ascii_weight(text: str) -> int:
    """An upper bound of the weight of an ASCII text, found fast."""
    plain = len(_PLAIN.sub("", text))
    return len(text) + plain * (_SYMBOL_WEIGHT - 1)


def _weight(char: str) -> int:
    if char.isdigit():
        return _DIGIT_WEIGHT
    if char.isalpha():
        return _WIDE_WEIGHT if char >= "\u1100" else 1
    if char.isspace() or char in ",.;:!?'\"-":
        return 1
    return _SYMBOL_WEIGHT


def _pause_after(text: str) -> Pause:
    return Pause.CLAUSE if _CLAUSE_END.search(text) else Pause.NONE


_JOINERS: Final = frozenset("-'’‘ʼ＇‐‑‧·_*\\/״׳")
_OWN: Final = frozenset("./,:")
"""Marks that join words under conditions of their own."""
_EMOJI: Final = 0x2190
"""Symbols from here on are pictures; those before belong to their neighbour: `20°`, `©2024`."""

# Over the classes of characters: a letter, d digit, s spoken symbol, h Han, e emoji, j joiner,
# x extender of the character before, the marks of _OWN, and a blank for all others.
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
    """A word of an utterance: text[begin:end]. text_begin, text_end: its place in the task's text."""

    begin: int
    end: int
    text_begin: int
    text_end: int


def word_stretches(text: str) -> list[tuple[int, int]]:
    """Find the words of a text: (begin, end), in order and disjoint."""
    classes = "".join(map(_class, text))
    return [match.span() for match in _WORD.finditer(classes)]


def located_words(utterance: EspeakUtterance) -> list[LocatedWord]:
    """The words of an utterance, each once, with their places in the task's text.

    Words that one replacement made of the same stretch of the text count as one word, and so does a word
    whose pronunciation is told.
    """
    words: list[LocatedWord] = []
    for begin, end in word_stretches(utterance.text):
        text_begin, text_end = utterance.place(begin, end)
        within = any(s.begin < begin < s.end for s in utterance.said)
        if words and (text_begin < words[-1].text_end or within):
            first = words.pop()
            begin, text_begin = first.begin, first.text_begin
            text_end = max(text_end, first.text_end)
        if text_begin < text_end:
            words.append(LocatedWord(begin, end, text_begin, text_end))
    return words


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

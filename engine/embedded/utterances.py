"""From segments of text to the pieces that espeak-ng speaks: one language each, of bounded length.

Full stops that end no sentence, out of the way of espeak-ng, which pauses at most of them.

Which stretches of a text are its words, whatever language it is in.

A word is a row of letters, digits and spoken symbols, with the marks that join them: `mother-in-law`,
`can’t`, `3.14`, `$2,375.40`, `user@host.com`, `and/or`. Blanks and dashes part words; quotes, brackets,
full stops and the like around a word are not part of it. The last full stop of a row of single letters is
(`e.g.`, `U.S.A.`). Each Han character is a word. So is each row of emoji, if it is spoken.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from ..origins import Origins
from ..segmentation.characters import SPOKEN_SYMBOLS, is_blank, is_extender, speakable
from ..segmentation.scripts import ALL_IDEOGRAPHS, LANGUAGES, Script, language_stretches, script_of
from ..segmentation.segmenter import Segment
from ..written import SentenceContext, verbalize

LONGEST: Final = 200
"""Weight of the longest utterance. It speaks for 30 seconds at most at speed 1, mostly for 15."""

_DIGIT_WEIGHT: Final = 4
_WIDE_WEIGHT: Final = 3
_SYMBOL_WEIGHT: Final = 12
"""Weights are in letters' worth of speech: a digit is a word, an emoji several."""

_UNSPEAKABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
"""Control characters (some are commands to espeak-ng) and what UTF-8 has no place for."""

_HAN: Final = re.compile(f"[{ALL_IDEOGRAPHS}]+")
_CLAUSE_END: Final = re.compile(
    r"""[,;:\u2013\u2014\u2026，、；：…—・،؛।]["'”’»)\]）」』】》]*\s*$|\n\s*$"""
)


_PLAIN: Final = re.compile(r"[A-Za-z\s,.;:!?'\"-]+")
"""What has weight 1."""


class Pause(Enum):
    """What kind of silence belongs after a piece, if more follows."""

    NONE = 0
    CLAUSE = 1
    SENTENCE = 2


Places = Callable[[int, int], tuple[int, int]]
"""A stretch of one text to the stretch of another that it stands for."""


@dataclass(frozen=True, slots=True)
class EspeakUtterance:
    """text: what to speak, in words. origins: from there to the segmented text from `begin` on, where its
    segment begins.

    pause: the silence after it. source: from places in the segmented text to those in the task's text.
    """

    text: str
    begin: int
    language: str
    pause: Pause
    origins: Origins
    source: Places

    def place(self, begin: int, end: int) -> tuple[int, int]:
        """Where text[begin:end], cut to what there is, lies in the task's text."""
        length = len(self.text)
        first, last = self.origins.source(min(begin, length), min(end, length))
        return self.source(self.begin + first, self.begin + last)


@dataclass(frozen=True, slots=True)
class LanguageDefaults:
    """default: BCP-47 tag for what the script leaves open. han: the language of Han, None to go by
    the default. latin: the language of Latin letters. whole: the language of all text, whatever its
    script."""

    default: str
    han: str | None = None
    whole: str | None = None
    latin: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "latin", language_stretches("a", self.default)[0].language)

    def context(self) -> SentenceContext:
        """For the numbers of a text that begins."""
        han = language_stretches("\u4e00", self.default)[0].language
        return SentenceContext(
            _written_in(self.default), latin=_written_in(self.latin), han=_written_in(han)
        )


def _written_in(language: str) -> str | None:
    """The language of engine.written that numbers are read in, None where espeak-ng reads them."""
    base = language.lower().replace("_", "-").split("-")[0]
    if base in LANGUAGES[Script.HAN] and base != "ja":
        return "zh"
    return "en" if base == "en" else None


def espeak_utterances(
    segment: Segment, reading: LanguageDefaults, context: SentenceContext, source: Places
) -> list[EspeakUtterance]:
    """The pieces of a segment, in order; none if it has nothing to say.

    context: those of the text so far, which take note of the segment. source: see EspeakUtterance.
    """
    found = _pieces(segment, reading, context, source) if speakable(segment.text) else []
    if segment.sentence_end:
        context.sentence_ended()
    return found


def _pieces(
    segment: Segment, reading: LanguageDefaults, context: SentenceContext, source: Places
) -> list[EspeakUtterance]:
    text = without_marker_point(_UNSPEAKABLE.sub(" ", segment.text))
    origins = Origins.same(len(text))
    if not reading.whole:
        text, origins = verbalize(text, context)
    text = without_inner_stops(text)
    pieces = [
        (begin, end, language)
        for begin, end, language in _runs(text, reading)
        if speakable(text[begin:end])
    ]
    found = []
    told = 0
    for begin, end, language in pieces:
        piece = text[begin:end]
        part = _part(origins, begin, end, told)
        found.append(
            EspeakUtterance(piece, segment.begin, language, _pause_inside(piece), part, source)
        )
        told = part.source(0, part.length)[1]
    if found and segment.sentence_end:
        found[-1] = replace(found[-1], pause=Pause.SENTENCE)
    return found


def _part(origins: Origins, begin: int, end: int, told: int) -> Origins:
    """The map of derived[begin:end] alone.

    told: where what was told of the source ends. The rest of a replacement that is told already stands
    for nothing more.
    """
    rest = range(begin, end)
    first = begin + bisect_left(rest, told, key=lambda place: origins.source(place, place + 1)[0])
    part = Origins()
    if first == end:
        part.replace(told, 0)
        part.replace(0, end - begin)
        return part
    part.replace(first, 0)
    part.replace(0, first - begin)
    part.copy(end - first)
    return origins.then(part)


def _runs(text: str, reading: LanguageDefaults) -> Iterator[tuple[int, int, str]]:
    if reading.whole or text.isascii():  # most text is ASCII: nothing to find out
        for first, last in _bounded(text):
            yield first, last, reading.whole or reading.latin
        return
    for run in language_stretches(text, reading.default):
        for begin, end, language in _han_apart(run.text, run.language, reading.han):
            for first, last in _bounded(run.text[begin:end]):
                yield run.begin + begin + first, run.begin + begin + last, language


def _han_apart(text: str, language: str, han: str | None) -> Iterator[tuple[int, int, str]]:
    """Han in Japanese is read in Mandarin, since espeak-ng's Japanese voice spells it out as
    "Chinese letter", one by one."""
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
    """Cut a text that would speak for too long, between words where there are any."""
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
    """At least the weight of an ASCII text, found fast."""
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


def _pause_inside(text: str) -> Pause:
    return Pause.CLAUSE if _CLAUSE_END.search(text) else Pause.NONE


_MARKER: Final = re.compile(
    r"""(?x) \s* (?:
        (?:Step|Part|Phase|Stage|Day|Week|Tip|Rule|Option|Scene)[ ]\d{1,3} (?P<a>[.:：])
        | [(（\[]? (?:\d{1,3}|[一二三四五六七八九十]{1,3}) (?P<b>[.．)）\]、:：])
        | [(（\[]? (?:[A-Za-z]|[ivxIVX]{1,4}) (?P<c>[)）\]、]|[.．](?=\s))
        | [\u2460-\u2468]
    ) (?=\s*[^\s\d一二三四五六七八九十.,、])"""
)
_STOP: Final = re.compile(r"(?<=\w)\.(?=\s+[^\W_a-z])")
_CIRCLED: Final = {0x245F + number: str(number) for number in range(1, 10)}


def without_marker_point(text: str) -> str:
    """A piece of a sentence without the point of its marker. The length stays as it is."""
    marker = _MARKER.match(text)
    if marker is None:
        return text
    begin, end = marker.span(marker.lastgroup or 0)
    point = " " if marker.lastgroup else marker[0].translate(_CIRCLED)
    return text[:begin] + point + text[end:]


def without_inner_stops(text: str) -> str:
    """A piece of a sentence without the full stops before a capital or digit.

    A sentence that goes on after a full stop has it for an abbreviation. The length stays as it is.
    """
    return _STOP.sub(" ", text)


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


def located_words(utterance: EspeakUtterance) -> list[LocatedWord]:
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


def single_word(utterance: EspeakUtterance, length: int) -> LocatedWord:
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

"""From segments of text to the pieces that espeak-ng speaks: one language each, of bounded length."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from ..origins import Origins
from ..segmentation.characters import speakable
from ..segmentation.scripts import LANGUAGES, Script, language_runs
from ..segmentation.segmenter import Segment
from ..written import Surroundings, spoken
from .points import unmarked, unpaused

LONGEST: Final = 200
"""Weight of the longest utterance. It speaks for 30 seconds at most at speed 1, mostly for 15."""

_DIGIT_WEIGHT: Final = 4
_WIDE_WEIGHT: Final = 3
_SYMBOL_WEIGHT: Final = 12
"""Weights are in letters' worth of speech: a digit is a word, an emoji several."""

_UNSPEAKABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
"""Control characters (some are commands to espeak-ng) and what UTF-8 has no place for."""

_HAN: Final = re.compile(
    "[\u2e80-\u2fdf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd]+"
)
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
class ReadingDefaults:
    """default: BCP-47 tag for what the script leaves open. han: the language of Han, None to go by
    the default. latin: the language of Latin letters. whole: the language of all text, whatever its
    script."""

    default: str
    han: str | None = None
    whole: str | None = None
    latin: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "latin", language_runs("a", self.default)[0].language)

    def surroundings(self) -> Surroundings:
        """For the numbers of a text that begins."""
        han = language_runs("\u4e00", self.default)[0].language
        return Surroundings(
            _written_in(self.default), latin=_written_in(self.latin), han=_written_in(han)
        )


def _written_in(language: str) -> str | None:
    """The language of engine.written that numbers are read in, None where espeak-ng reads them."""
    base = language.lower().replace("_", "-").split("-")[0]
    if base in LANGUAGES[Script.HAN] and base != "ja":
        return "zh"
    return "en" if base == "en" else None


def utterances(
    segment: Segment, reading: ReadingDefaults, surroundings: Surroundings, source: Places
) -> list[EspeakUtterance]:
    """The pieces of a segment, in order; none if it has nothing to say.

    surroundings: those of the text so far, which take note of the segment. source: see EspeakUtterance.
    """
    found = _pieces(segment, reading, surroundings, source) if speakable(segment.text) else []
    if segment.sentence_end:
        surroundings.sentence_ended()
    return found


def _pieces(
    segment: Segment, reading: ReadingDefaults, surroundings: Surroundings, source: Places
) -> list[EspeakUtterance]:
    text = unmarked(_UNSPEAKABLE.sub(" ", segment.text))
    origins = Origins.same(len(text))
    if not reading.whole:
        text, origins = spoken(text, surroundings)
    text = unpaused(text)
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


def _runs(text: str, reading: ReadingDefaults) -> Iterator[tuple[int, int, str]]:
    if reading.whole or text.isascii():  # most text is ASCII: nothing to find out
        for first, last in _bounded(text):
            yield first, last, reading.whole or reading.latin
        return
    for run in language_runs(text, reading.default):
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

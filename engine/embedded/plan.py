"""From segments of text to the pieces that espeak-ng speaks: one language each, of bounded length."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from ..origins import Origins
from ..scripts import language_runs
from ..segmenter import Segment, speakable
from .points import unpaused

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
class Utterance:
    """text: what to speak. origins: from there to the segmented text from `begin` on.

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
class Reading:
    """default: BCP-47 tag for what the script leaves open. han: the language of Han, None to go by
    the default. latin: the language of Latin letters. whole: the language of all text, whatever its
    script."""

    default: str
    han: str | None = None
    whole: str | None = None
    latin: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "latin", language_runs("a", self.default)[0].language)


def utterances(segment: Segment, reading: Reading, source: Places) -> list[Utterance]:
    """The pieces of a segment, in order; none if it has nothing to say. source: see Utterance."""
    if not speakable(segment.text):
        return []
    text = unpaused(_UNSPEAKABLE.sub(" ", segment.text))
    pieces = [
        (begin, end, language)
        for begin, end, language in _runs(text, reading)
        if speakable(text[begin:end])
    ]
    last = len(pieces) - 1
    return [
        Utterance(
            text[begin:end],
            segment.begin + begin,
            language,
            _pause(segment, text[begin:end]) if index == last else _pause_inside(text[begin:end]),
            Origins.same(end - begin),
            source,
        )
        for index, (begin, end, language) in enumerate(pieces)
    ]


def _runs(text: str, reading: Reading) -> Iterator[tuple[int, int, str]]:
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


def _pause(segment: Segment, text: str) -> Pause:
    return Pause.SENTENCE if segment.sentence_end else _pause_inside(text)


def _pause_inside(text: str) -> Pause:
    return Pause.CLAUSE if _CLAUSE_END.search(text) else Pause.NONE

"""What a document comes to: stretches of text to speak, silences and marks, one after the other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from cosyserve.engine.segmentation.segmenter import SegmentPolicy, TextSegmenter, speakable

from .elements import Prosody
from .held import HeldSession

_CLOSERS: Final = "\"'”’»)]}』」】）》 "
_SENTENCE_ENDS: Final = frozenset(".!?…。！？；．؟۔।")
_CLAUSE_ENDS: Final = frozenset(",;:，、：،؛—–")
_SENTENCES: Final = SegmentPolicy(split_clauses=False, first_clause_min_characters=None)
SENTENCE_PAUSE: Final = 0.28
CLAUSE_PAUSE: Final = 0.15
"""Seconds at speed 1, where two runs meet: an engine makes such pauses inside of a run only."""


@dataclass(frozen=True, slots=True)
class Piece:
    """`spoken` stands for plain[begin:end]. literal: character by character."""

    spoken: str
    begin: int
    end: int
    literal: bool


@dataclass(slots=True)
class Run:
    """Text of one prosody, spoken by one session of the engine.

    alphabet: "" for text, else what its pieces are written in. continues: a sentence goes on from
    the run before. open_end: where in the plain text the sentence ends that goes on in the run
    after, 0 if none does. flushes: places in the spoken text where a sentence ends, whatever stands there.
    marks: names, and places in the spoken text.
    """

    prosody: Prosody
    alphabet: str = ""
    continues: bool = False
    open_end: int = 0
    pieces: list[Piece] = field(default_factory=list)
    flushes: list[int] = field(default_factory=list)
    marks: list[tuple[int, str]] = field(default_factory=list)
    length: int = 0
    _starts: list[int] = field(default_factory=list)
    _last: str = ""

    @property
    def finished(self) -> bool:
        """Whether no more text of it comes."""
        return True

    @property
    def text(self) -> str:
        return "".join(piece.spoken for piece in self.pieces)

    def add(self, piece: Piece) -> None:
        self._starts.append(self.length)
        self.pieces.append(piece)
        self.length += len(piece.spoken)
        self._last = piece.spoken.rstrip(_CLOSERS)[-1:] or self._last

    async def say_in(self, session: HeldSession) -> None:
        """Have the session speak it."""
        text, begin = self.text, 0
        for place in self.flushes:
            await session.feed(text[begin:place])
            await session.flush()
            begin = place
        await session.feed(text[begin:])
        await session.finish()

    @property
    def pause(self) -> float:
        """The pause that belongs after its text, in seconds at speed 1."""
        if self._last in _SENTENCE_ENDS:
            return SENTENCE_PAUSE
        return CLAUSE_PAUSE if self._last in _CLAUSE_ENDS else 0.0

    def plain(self, begin: int, end: int) -> tuple[int, int]:
        """Where text[begin:end] lies in the plain text; what was rewritten counts as a whole."""
        first, first_at = self._piece(begin)
        last, last_at = self._piece(max(begin, end - 1))
        start = first.begin + begin - first_at if first.literal else first.begin
        stop = last.begin + end - last_at if last.literal else last.end
        return min(start, first.end), max(min(stop, last.end), start)

    def _piece(self, at: int) -> tuple[Piece, int]:
        index = max(0, bisect_right(self._starts, at) - 1)
        return self.pieces[index], self._starts[index]


@dataclass(frozen=True, slots=True)
class Silence:
    """natural: a pause between runs, which is the shorter the faster the task is spoken."""

    seconds: float
    natural: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A mark that lies between runs."""

    name: str


Part = Run | Silence | Place


@dataclass(frozen=True, slots=True)
class Script:
    """A document to be spoken. plain: its text, which follows that of the task's documents before.

    notices: what of it cannot be done, a sentence each.
    """

    parts: tuple[Part, ...]
    plain: str
    notices: tuple[str, ...]


def close_sentences(runs: Sequence[Run]) -> None:
    """Tell each of a document's runs where the sentence ends that it leaves open."""
    for run, following in reversed([*pairwise(runs)]):
        if following.continues:
            run.open_end = _first_end(following)


def _first_end(run: Run) -> int:
    """Where in the plain text the first sentence of a run ends."""
    text, begin = run.text, 0
    for place in (*run.flushes, run.length):
        segmenter = TextSegmenter(_SENTENCES)
        for segment in (*segmenter.feed(text[begin:place]), *segmenter.finish()):
            if segment.sentence_end and speakable(segment.text):
                end = begin + segment.begin + len(segment.text.rstrip())
                at_end = end >= len(text.rstrip()) and run.open_end
                return run.open_end if at_end else run.plain(begin + segment.begin, end)[1]
        begin = place
    return run.open_end or run.plain(0, run.length)[1]

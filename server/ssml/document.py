"""What a document says: a tree of elements becomes a row of runs, silences and marks."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from cosyserve.engine.interface import Sounds
from cosyserve.engine.segmentation.characters import speakable
from cosyserve.engine.segmentation.scripts import is_cjk
from cosyserve.engine.segmentation.segmenter import SegmentPolicy, TextSegmenter
from cosyserve.protocol.errors import InvalidParameter
from cosyserve.protocol.phrases import ALPHABETS

from ..tasks.contract import CheckedSession
from .parse import (
    EMPHASES,
    FASTEST,
    INTERPRETATIONS,
    LONGEST_DOCUMENT,
    SLOWEST,
    UNHEARD,
    Element,
    Prosody,
    break_seconds,
    prosody,
    shown,
    speak_prosody,
)
from .say_as import said_as

_CLOSERS: Final = "\"'”’»)]}』」】）》 "
_SENTENCE_ENDS: Final = frozenset(".!?…。！？；．؟۔।")
_CLAUSE_ENDS: Final = frozenset(",;:，、：،؛—–")
_SENTENCES: Final = SegmentPolicy(split_clauses=False, first_clause_min_characters=None)
SENTENCE_PAUSE: Final = 0.28
CLAUSE_PAUSE: Final = 0.15
"""Pauses between two runs, in seconds at speed 1; engines insert pauses only within a run."""


@dataclass(frozen=True, slots=True)
class SpokenText:
    """`spoken` is said for plain[begin:end]. literal: both are the same text. sounds: how it is said, if
    that is told."""

    spoken: str
    begin: int
    end: int
    literal: bool
    sounds: Sounds | None = None


@dataclass(slots=True)
class Run:
    """Text of one prosody, spoken by one session of the engine.

    continues: whether its first sentence began in the run before. open_end: where in the plain text its
    last sentence ends if that goes on in the next run, else 0. flushes: places in the spoken text where a
    sentence ends, whatever its punctuation; a piece begins there. marks: places in the spoken text, and
    names.
    """

    prosody: Prosody
    continues: bool = False
    open_end: int = 0
    pieces: list[SpokenText] = field(default_factory=list)
    flushes: list[int] = field(default_factory=list)
    marks: list[tuple[int, str]] = field(default_factory=list)
    length: int = 0
    _starts: list[int] = field(default_factory=list)  # of each piece, in the spoken text
    _last: str = ""  # the last character before closing quotes and brackets

    @property
    def text(self) -> str:
        return "".join(piece.spoken for piece in self.pieces)

    def add(self, piece: SpokenText) -> None:
        self._starts.append(self.length)
        self.pieces.append(piece)
        self.length += len(piece.spoken)
        self._last = piece.spoken.rstrip(_CLOSERS)[-1:] or self._last

    async def say_in(self, session: CheckedSession) -> None:
        """Give the whole text to the session."""
        flushes = deque(self.flushes)
        for piece, begin in zip(self.pieces, self._starts, strict=True):
            while flushes and flushes[0] <= begin:
                flushes.popleft()
                await session.flush()
            if piece.sounds is None:
                await session.feed(piece.spoken)
            else:
                await session.say(piece.spoken, piece.sounds)
        await session.finish()

    @property
    def pause(self) -> float:
        """The pause after its text, in seconds at speed 1."""
        if self._last in _SENTENCE_ENDS:
            return SENTENCE_PAUSE
        return CLAUSE_PAUSE if self._last in _CLAUSE_ENDS else 0.0

    def plain(self, begin: int, end: int) -> tuple[int, int]:
        """The place of text[begin:end] in the plain text; rewritten pieces count as a whole."""
        first, first_at = self._piece(begin)
        last, last_at = self._piece(max(begin, end - 1))
        start = first.begin + begin - first_at if first.literal else first.begin
        stop = last.begin + end - last_at if last.literal else last.end
        return min(start, first.end), max(min(stop, last.end), start)

    def _piece(self, at: int) -> tuple[SpokenText, int]:
        index = max(0, bisect_right(self._starts, at) - 1)
        return self.pieces[index], self._starts[index]


@dataclass(frozen=True, slots=True)
class Silence:
    """A pause. natural: it is no break of the document's, and shortens with the pace of the task."""

    seconds: float
    natural: bool = False


@dataclass(frozen=True, slots=True)
class MarkPlace:
    """A mark between runs."""

    name: str


Part = Run | Silence | MarkPlace


@dataclass(frozen=True, slots=True)
class SpokenDocument:
    """A document as it is spoken. plain: its text, to be appended to that of the task's documents so far.

    notices: one sentence for each thing that was ignored or approximated.
    """

    parts: tuple[Part, ...]
    plain: str
    notices: tuple[str, ...]


def close_sentences(runs: Sequence[Run]) -> None:
    """Set `open_end` of each of a document's runs."""
    for run, following in reversed([*pairwise(runs)]):
        if following.continues:
            run.open_end = _first_end(following)


def _first_end(run: Run) -> int:
    """The end of a run's first sentence, in the plain text."""
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


Speaks = Callable[[Sounds], bool]
"""Whether the engine can speak these sounds."""
_BLANKS: Final = re.compile(r"\s+")
_PARAGRAPH: Final = 0.5
"""The pause around a paragraph, in seconds at speed 1."""
_MOST_NOTICES: Final = 20
_TOLD_BY_SCRIPT: Final = frozenset(
    {"zh", "cmn", "yue", "ja", "ko", "ru", "uk", "bg", "el", "ar", "fa", "he", "hi", "th", "en"}
)
"""Languages that engines recognise by their script; they read Latin letters as English by default."""


def spoken_document(
    nodes: Sequence[str | Element], speaks: Speaks, before: str = ""
) -> SpokenDocument:
    """The document that the nodes of `parse` say. Raises InvalidParameter for an attribute's wrong value.

    before: the task's plain text so far; a blank and a sentence's pause separate it from this document.
    """
    writer = _Writer(speaks, before, "zh" if _has_han(nodes) else "en")
    for node in nodes:
        writer.node(node)
    return writer.document()


class _Writer:
    """Walks the tree and collects the parts."""

    def __init__(self, speaks: Speaks, before: str, language: str) -> None:
        self._speaks = speaks
        self._offset = len(before)  # of this document's text in the task's plain text
        self._plain = " " if before and not before[-1].isspace() else ""
        self._spaced = False  # whether a blank comes before the next text
        self._parts: list[Part] = []
        self._notices: dict[str, None] = {}  # in order, without repetitions
        self._prosody = Prosody()  # of the enclosing elements
        self._language = language  # of the enclosing elements: "en", "zh" or another base tag
        self._run: Run | None = None  # the run that takes text
        self._before: Run | None = None  # the last run that was closed
        self._gap = SENTENCE_PAUSE if before.strip() else None  # None: as the text before asks for
        self._fresh = True  # whether nothing was spoken since the last sentence's end

    def document(self) -> SpokenDocument:
        """What was collected. Raises InvalidParameter if it is too long."""
        self._close()
        runs = [part for part in self._parts if isinstance(part, Run)]
        if (said := sum(run.length for run in runs)) > LONGEST_DOCUMENT:
            raise InvalidParameter(
                f"the SSML, with what say-as makes of it, comes to {said} characters; allowed: up to"
                f" {LONGEST_DOCUMENT}"
            )
        close_sentences(runs)
        notices = [*self._notices][:_MOST_NOTICES]
        return SpokenDocument(tuple(self._parts), self._plain, tuple(notices))

    def node(self, node: str | Element) -> None:
        if isinstance(node, str):
            self._text(node)
            return
        for name in UNHEARD.get(node.name, ()):
            if name in node.attributes:
                self._notice(f"<{node.name}>: {name} is not supported here and was ignored")
        attributes, where = node.attributes, node.where
        match node.name:
            case "break":
                self._break(
                    break_seconds(attributes.get("time"), attributes.get("strength"), where)
                )
            case "mark":
                self._mark(attributes["name"])
            case "say-as":
                self._say_as(node)
            case "sub":
                self._rewritten(attributes["alias"], _content(node))
            case "phoneme":
                self._phoneme(node)
            case "prosody":
                self._inside(node, prosody(attributes, where))
            case "emphasis":
                self._inside(node, _emphasis(attributes, where))
            case "speak":
                self._block(node, speak_prosody(attributes, where), 0.0)
            case "p":
                self._block(node, Prosody(), _PARAGRAPH)
            case "s":
                self._block(node, Prosody(), 0.0)
            case _:
                self._inside(node, Prosody())

    # Elements that hold others

    def _inside(self, element: Element, factors: Prosody) -> None:
        outer, language = self._prosody, self._language
        self._prosody = outer * factors
        if tag := element.attributes.get("xml:lang"):
            self._language = self._known(tag)
        for child in element.children:
            self.node(child)
        self._prosody, self._language = outer, language

    def _block(self, element: Element, factors: Prosody, pause: float) -> None:
        self._end_sentence(pause)
        self._inside(element, factors)
        self._end_sentence(pause)

    def _known(self, tag: str) -> str:
        base = tag.split("-")[0].lower()
        if base not in _TOLD_BY_SCRIPT:
            self._notice(
                f"xml:lang {shown(tag)}: the engine tells languages by their script, and reads Latin"
                " letters in its own"
            )
        return "zh" if base in ("zh", "cmn") else base

    # Text

    def _text(self, text: str) -> None:
        text = _BLANKS.sub(" ", text)
        if not text.strip():
            self._separate()
            return
        if text[0] == " ":
            self._separate()
            text = text[1:]
        ends = text[-1] == " "
        text = text.rstrip()
        self._speak(text, text)
        self._spaced = ends

    def _speak(self, spoken: str, content: str, sounds: Sounds | None = None) -> None:
        """Add `spoken` to a run, and `content`, for which it is said, to the plain text."""
        self._add_blank()
        begin = self._offset + len(self._plain)
        self._plain += content
        if spoken:
            literal = spoken == content and sounds is None
            run = self._open_run()
            run.add(SpokenText(spoken, begin, begin + len(content), literal, sounds))
            self._fresh = False

    def _separate(self) -> None:
        """Put a blank before the next text, if any follows."""
        self._spaced = True

    def _add_blank(self) -> None:
        spaced, self._spaced = self._spaced, False
        if spaced and self._plain and self._plain[-1] != " ":
            begin = self._offset + len(self._plain)
            self._plain += " "
            if self._run is not None:
                self._run.add(SpokenText(" ", begin, begin + 1, True))

    def _rewritten(self, spoken: str, content: str) -> None:
        blanks = len(content) - len(content.lstrip()), len(content) - len(content.rstrip())
        content = _BLANKS.sub(" ", content.strip())
        if blanks[0]:
            self._separate()
        self._speak(_BLANKS.sub(" ", spoken.strip()), content)
        if blanks[1] and content:
            self._separate()

    def _say_as(self, element: Element) -> None:
        kind = element.attributes["interpret-as"].strip()
        if kind not in INTERPRETATIONS:
            allowed = ", ".join(INTERPRETATIONS)
            raise InvalidParameter(
                f"{element.where}: interpret-as is {shown(kind)}; allowed: {allowed}"
            )
        content = _content(element)
        shape = element.attributes.get("format", "").strip()
        text = _BLANKS.sub(" ", content.strip())
        spoken = said_as(kind, text, shape, self._language)
        if spoken is None:
            self._notice(
                f"<say-as>: {shown(text)} could not be read as {kind} and was read as plain text"
            )
        self._rewritten(text if spoken is None else spoken, content)

    def _phoneme(self, element: Element) -> None:
        alphabet = element.attributes.get("alphabet", "ipa").strip().lower()
        if alphabet not in ALPHABETS:
            allowed = ", ".join(ALPHABETS)
            raise InvalidParameter(
                f"{element.where}: alphabet is {shown(alphabet)}; allowed: {allowed}"
            )
        content = _BLANKS.sub(" ", _content(element).strip())
        sounds = Sounds(alphabet, element.attributes["ph"].strip())
        if self._speaks(sounds):
            self._speak(content or sounds.written, content, sounds)
            return
        self._notice(
            f"<phoneme>: this engine cannot speak {shown(sounds.written)} in {alphabet};"
            " the text inside was read instead"
        )
        self._speak(content, content)

    # Runs, and the pauses between them

    def _open_run(self) -> Run:
        """The run that takes the next text: another one if the prosody has changed."""
        run = self._run
        if run is not None and run.prosody == self._prosody:
            return run
        self._close()
        before = self._before
        pause, continues = self._gap or 0.0, False
        if before is not None and self._gap is None:
            flushed = before.flushes[-1:] == [before.length]
            pause = SENTENCE_PAUSE if flushed else before.pause
            continues = pause < SENTENCE_PAUSE
        if pause:
            pace = min(max(SLOWEST, self._prosody.rate), FASTEST)
            self._parts.append(Silence(pause / pace, natural=True))
        self._gap = None
        self._run = Run(self._prosody, continues)
        return self._run

    def _close(self) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        if speakable(run.text):
            self._parts.append(run)
            self._before = run
        else:  # it makes no sound, but its marks count
            self._parts += [MarkPlace(name) for _, name in run.marks]

    def _break(self, seconds: float) -> None:
        self._separate()
        if self._run is not None and not seconds and not self._run.pause:
            return
        self._close()
        self._gap = 0.0
        if seconds:
            self._parts.append(Silence(seconds))

    def _end_sentence(self, pause: float) -> None:
        self._separate()
        fresh, self._fresh = self._fresh, True
        if pause:
            self._close()
            if self._before is not None and self._gap != 0.0:  # 0: a break has just ended
                self._gap = max(pause, self._gap or 0.0)
        elif fresh:
            return
        elif self._run is not None:
            self._run.flushes.append(self._run.length)
        elif self._before is not None and self._gap is None:
            self._gap = SENTENCE_PAUSE

    def _mark(self, name: str) -> None:
        if self._run is None:
            self._parts.append(MarkPlace(name))
        else:
            self._run.marks.append((self._run.length, name))

    def _notice(self, text: str) -> None:
        self._notices[text] = None


def _emphasis(attributes: Mapping[str, str], where: str) -> Prosody:
    level = attributes.get("level", "moderate").strip()
    if level not in EMPHASES:
        allowed = ", ".join(EMPHASES)
        raise InvalidParameter(f"{where}: level is {shown(level)}; allowed: {allowed}")
    return EMPHASES[level]


def _content(element: Element) -> str:
    """The text of an element that holds only text."""
    return "".join(child for child in element.children if isinstance(child, str))


def _has_han(nodes: Sequence[str | Element]) -> bool:
    return any(
        any(map(is_cjk, node)) if isinstance(node, str) else _has_han(node.children)
        for node in nodes
    )

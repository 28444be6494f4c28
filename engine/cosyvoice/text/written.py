"""Written forms to the words that are read out: numbers, dates, units, addresses.

WrittenForms finds each stretch that is not written as it is read, with as much around it as matters. Only
such a stretch is held back, until the text itself decides where it ends; so its reading cannot depend on
how the text comes. engine.written reads it, on both engines alike; what that leaves (addresses, and
numbers in Japanese) a Normalizer reads: wetext where it is installed, weighted transducers for Chinese,
English and Japanese, all of them in its package. Without it, or where it fails, text stays as it is
written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Protocol

from ...segmentation.characters import is_spoken
from ...segmentation.scripts import Script, is_cjk, script_of
from ...written import THIN, Expression, SentenceContext, expressions, opens
from .sentences import Atom, AtomKind

LANGUAGES: Final = ("zh", "en", "ja")


class Normalizer(Protocol):
    """Must be safe to call from several threads at once."""

    @property
    def notice(self) -> str | None:
        """A notice for the operator of what is missing; None if nothing is."""

    def __call__(self, text: str, language: str) -> str:
        """`text` as it is read out. `language` is one of LANGUAGES. Never raises."""


class PlainNormalizer:
    """Leaves text as it is: the model reads it as best it can."""

    def __init__(self, reason: str = "text normalisation is off") -> None:
        self._reason = reason

    @property
    def notice(self) -> str | None:
        return f"{self._reason}: addresses, and numbers in Japanese, reach the model as they are written"

    def __call__(self, text: str, language: str) -> str:
        return text


class WetextNormalizer:
    """By wetext's transducers. Takes about 0.3 s and 50 MB to make. Raises ImportError without wetext."""

    def __init__(self) -> None:
        make = import_module("wetext").Normalizer
        self._read: Mapping[str, Callable[[str], str]] = {
            language: make(lang=language, operator="tn").normalize for language in LANGUAGES
        }

    @property
    def notice(self) -> str | None:
        return None

    def __call__(self, text: str, language: str) -> str:
        # Its parser takes rows of blanks, quotes and backslashes for its own.
        plain = " ".join(text.replace('"', " ").replace("\\", " ").split())
        try:
            return self._read[language](plain) or text
        except Exception:  # assertions and transducer errors: nothing narrower
            return text


def load_normalizer() -> Normalizer:
    """The best one that is installed."""
    try:
        return WetextNormalizer()
    except ImportError:
        return PlainNormalizer("wetext is not installed")


_ROOM: Final = 4
"""How far after the last digit a unit may reach: 2 words or 4 characters of Chinese."""
_WORD_COST: Final = 2
_LONGEST: Final = 64
"""Characters of a stretch; the transducers' worst case grows with it."""
_ADDRESS: Final = re.compile(
    r"(?i)(?:https?://|www\.)\S|[\w.+-]+@[\w-]+\.\w|[\w-]+\.(?:com|org|net|cn|io|ai)\b"
)
_JOINERS: Final = frozenset("：～－–—．·、，（）′″")
"""Marks that numbers may go on after: 10：30, 3～5."""
_PREFIXES: Final = frozenset("－–−＃（‘’")
"""Marks that may begin what is written: －5, ＃1, ’90s."""
_DASHES: Final = ("–", "—")
"""Mon–Fri."""
_HALVES: Final = ("a.m.", "p.m.")
_PRIMES: Final = ("′", "″")
_AND: Final = ("and", "or", "&")
"""Mr. and Mrs. Smith."""
_BLANK_BESIDE_WIDE: Final = re.compile(
    r"(?<=[\u2e80-\u9fff\uff00-\uffef]) +| +(?=[\u2e80-\u9fff\uff00-\uffef])"
)
_CLAUSE_ENDS: Final = (",", ";", ":", "!", "?")
_UNREAD: Final = frozenset({"So", "Cs", "Co", "Cn", "Cf", "Cc"})


@dataclass(frozen=True, slots=True)
class WrittenSegment:
    """Text as it is read out, of whole[begin:end]. spaced: blanks came before.

    markup: a special token. sounds: a row of them that spells a word.
    """

    text: str
    begin: int
    end: int
    spaced: bool
    markup: bool = False
    sounds: bool = False


class WrittenForms:
    """Turns atoms into pieces, those that need it into the words that are spoken.

    language: that of numbers without any letters around them, before any sentence had some.
    """

    def __init__(self, normalizer: Normalizer, language: str = "zh") -> None:
        self._normalizer = normalizer
        self._span: list[Atom] = []
        self._room = 0
        self._written = False
        self._sentence_language: str | None = None
        self._language: str | None = language
        self._context = SentenceContext(language)

    def feed(self, atoms: Sequence[Atom], *, ends: bool) -> list[WrittenSegment]:
        """ends: a sentence ends after `atoms`."""
        pieces: list[WrittenSegment] = []
        for atom in atoms:
            pieces += self._take(atom)
        if ends:
            pieces += self._close()
            self._sentence_language = None
            self._take_default()
            self._context.sentence_ended()
        return pieces

    def _take(self, atom: Atom) -> list[WrittenSegment]:
        if atom.kind in (AtomKind.MARKUP, AtomKind.SOUNDS):
            kind = {"markup": True} if atom.kind is AtomKind.MARKUP else {"sounds": True}
            piece = WrittenSegment(atom.text, atom.begin, atom.end, atom.spaced, **kind)
            return [*self._close(), piece]
        self._note_language(atom.text)
        if atom.kind is AtomKind.BORDER:
            self._take_default()
            return self._close()
        if self._span:
            return self._go_on(atom)
        return self._begin(atom)

    def _take_default(self) -> None:
        """Numbers without letters around them are read in the language of the letters last noted."""
        self._context.default = self._language if self._language in ("zh", "en") else None

    def _begin(self, atom: Atom) -> list[WrittenSegment]:
        """Take an atom that goes on no stretch."""
        written = _is_written(atom)
        if not written and not self._may_open(atom):
            self._context.note(_spelled(atom))
            return [_plain(atom)]
        self._span = [atom]
        self._written = written
        self._room = _ROOM if written else _WORD_COST
        return self._close() if _closes(atom) else []

    def _go_on(self, atom: Atom) -> list[WrittenSegment]:
        if sum(len(other.text) for other in self._span) + len(atom.text) > _LONGEST:
            return [*self._close(), *self._begin(atom)]
        if _is_written(atom):
            self._written = True
            self._room = _ROOM
            self._span.append(atom)
            return self._close() if _closes(atom) else []
        last = self._span[-1]
        if atom.kind is AtomKind.SIGN and not is_cjk(atom.text[0]):
            if atom.text not in _JOINERS or not (
                _is_written(last) or self._may_open(last) or last.text.lower() in _HALVES
            ):
                return [*self._close(), *self._begin(atom)]
            self._span.append(atom)
            return []
        apart = last.kind is AtomKind.SIGN and last.text not in _PRIMES and not is_cjk(last.text[0])
        if apart and not (last.text in _DASHES and self._may_open(atom)):
            return [*self._close(), *self._begin(atom)]
        self._span.append(atom)
        if atom.text not in _AND:
            self._room -= _WORD_COST if atom.kind is AtomKind.WORD else 1
        if self._may_open(atom):
            self._room = max(self._room, _WORD_COST)
        return self._close() if self._room <= 0 or _closes(atom) else []

    def _may_open(self, atom: Atom) -> bool:
        """Whether what is written may begin with an atom, though no number is in it."""
        if atom.kind is AtomKind.SIGN:
            return atom.text in _PREFIXES
        return opens(atom.text, self._context.tail)

    def _close(self) -> list[WrittenSegment]:
        span, self._span = self._span, []
        if not span:
            return []
        text = "".join(map(_spelled, span))
        found = list(expressions(text, self._context))
        if found or not self._written:
            return list(self._worded(span, text, found))
        trailing = []
        while _is_mark(span[-1]):
            trailing.append(_plain(span.pop()))
        read = self._normalized("".join(map(_spelled, span)).lstrip())
        return [
            WrittenSegment(read, span[0].begin, span[-1].end, span[0].spaced),
            *reversed(trailing),
        ]

    def _worded(
        self, span: Sequence[Atom], text: str, found: Sequence[Expression]
    ) -> Iterator[WrittenSegment]:
        """The atoms of a stretch, spelled `text`, with what was found in it as words."""
        index = at = 0
        begin = at
        ends = _Ends(span)
        for atom in span:
            begin += atom.spaced
            end = begin + len(atom.text)
            at = max(at, begin)
            spaced = atom.spaced and at == begin
            while at < end:
                expression = found[index] if index < len(found) else None
                if expression is not None and expression.begin <= at:
                    last, read = expression.end, expression.words
                    index += 1
                else:
                    last = min(end, expression.begin) if expression is not None else end
                    part = text[at:last]
                    read = self._normalized(part) if _ADDRESS.match(part) else readable(part)
                if read:
                    yield WrittenSegment(
                        read, ends.source(at), ends.source(last, ending=True), spaced
                    )
                    spaced = False
                at = last
            begin = end

    def _normalized(self, text: str) -> str:
        """`text` as the normaliser reads it."""
        language = self._sentence_language or self._language
        text = readable(text)
        if language:
            text = readable(unicodedata.normalize("NFC", self._normalizer(text, language)))
        return _BLANK_BESIDE_WIDE.sub("", text)

    def _note_language(self, text: str) -> None:
        """Han makes a sentence Chinese, kana Japanese; else its last letters tell."""
        for char in text:
            script = script_of(char) if char.isalpha() else None
            if script is None:
                continue
            if script is Script.KANA or (script is Script.HAN and self._sentence_language != "ja"):
                self._sentence_language = "ja" if script is Script.KANA else "zh"
            elif self._sentence_language not in ("zh", "ja"):
                self._sentence_language = "en" if script is Script.LATIN else ""
            self._language = self._sentence_language


class _Ends:
    """Where the characters of a stretch lie in the task's text."""

    def __init__(self, span: Sequence[Atom]) -> None:
        self._places: list[tuple[int, int, Atom]] = []
        begin = 0
        for atom in span:
            begin += atom.spaced
            self._places.append((begin, begin + len(atom.text), atom))
            begin += len(atom.text)

    def source(self, place: int, *, ending: bool = False) -> int:
        """The place of a character, or the end of what ends at `place`."""
        for begin, end, atom in self._places:
            if place < end or (ending and place == end):
                if len(atom.text) == atom.end - atom.begin:
                    return atom.begin + place - begin
                return atom.end if ending and place > begin else atom.begin
        return self._places[-1][2].end


def _spelled(atom: Atom) -> str:
    return f"{THIN if atom.thin else ' '}{atom.text}" if atom.spaced else atom.text


def _is_written(atom: Atom) -> bool:
    if atom.kind is not AtomKind.WORD:
        return False
    text = atom.text
    if any(char.isnumeric() or unicodedata.category(char) == "Sc" for char in text):
        return True
    return _ADDRESS.match(text) is not None


def _is_mark(atom: Atom) -> bool:
    """Whether `atom` is punctuation alone."""
    if atom.kind is AtomKind.SIGN:
        return not is_cjk(atom.text[0])
    return all(char in ".,;:!?\"'" for char in atom.text)


def _closes(atom: Atom) -> bool:
    return atom.kind is AtomKind.WORD and atom.text.endswith(_CLAUSE_ENDS)


def _plain(atom: Atom) -> WrittenSegment:
    return WrittenSegment(readable(atom.text), atom.begin, atom.end, atom.spaced)


def readable(text: str) -> str:
    """`text` without pictures, controls and code points that are not characters."""
    return text if text.isascii() else "".join(char for char in text if not _is_unread(char))


def _is_unread(char: str) -> bool:
    return unicodedata.category(char) in _UNREAD and not is_spoken(char)

"""Finds what is not written as it is read, and has it normalised with as much around it as matters.

Only such a stretch is held back, until it is decided by the text itself where it ends; so its reading
cannot depend on how the text comes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...characters import is_spoken
from ...scripts import Script, is_cjk, script_of
from .atoms import Atom, Kind
from .normalizer import MONTH, Normalizer

_ROOM: Final = 4
"""How far after the last digit a unit may reach: 2 words or 4 characters of Chinese."""
_WORD_COST: Final = 2
_LONGEST: Final = 64
"""Characters of a stretch; the transducers' worst case grows with it."""
_ADDRESS: Final = re.compile(
    r"(?i)(?:https?://|www\.)\S|[\w.+-]+@[\w-]+\.\w|[\w-]+\.(?:com|org|net|cn|io|ai)\b"
)
_JOINERS: Final = frozenset("：～－–—．·、")
"""Marks that numbers may go on after: 10：30, 3～5."""
_BLANK_BESIDE_WIDE: Final = re.compile(
    r"(?<=[\u2e80-\u9fff\uff00-\uffef]) +| +(?=[\u2e80-\u9fff\uff00-\uffef])"
)
_CLAUSE_ENDS: Final = (",", ";", ":", "!", "?")
_UNREAD: Final = frozenset({"So", "Cs", "Co", "Cn", "Cf", "Cc"})


@dataclass(frozen=True, slots=True)
class Piece:
    """Text as it is read out, of whole[begin:end]. spaced: blanks came before. markup: a special token."""

    text: str
    begin: int
    end: int
    spaced: bool
    markup: bool = False


class WrittenForms:
    """Turns atoms into pieces, those that need it through the normaliser."""

    def __init__(self, normalizer: Normalizer, language: str = "zh") -> None:
        self._normalizer = normalizer
        self._span: list[Atom] = []
        self._room = 0
        self._written = False
        self._sentence_language: str | None = None
        self._language: str | None = language

    def feed(self, atoms: Sequence[Atom], *, ends: bool) -> list[Piece]:
        """ends: a sentence ends after `atoms`."""
        pieces: list[Piece] = []
        for atom in atoms:
            pieces += self._take(atom)
        if ends:
            pieces += self._close()
            self._sentence_language = None
        return pieces

    def _take(self, atom: Atom) -> list[Piece]:
        if atom.kind is Kind.MARKUP:
            piece = Piece(atom.text, atom.begin, atom.end, atom.spaced, markup=True)
            return [*self._close(), piece]
        self._note_language(atom.text)
        if atom.kind is Kind.BORDER:
            return self._close()
        if self._span:
            return self._go_on(atom)
        if _is_written(atom):
            return self._open(atom, written=True)
        if atom.kind is Kind.WORD and MONTH.fullmatch(atom.text):
            return self._open(atom, written=False)
        return [_plain(atom)]

    def _open(self, atom: Atom, *, written: bool) -> list[Piece]:
        self._span = [atom]
        self._written = written
        self._room = _ROOM if written else _WORD_COST
        return self._close() if _closes(atom) else []

    def _go_on(self, atom: Atom) -> list[Piece]:
        if sum(len(other.text) for other in self._span) + len(atom.text) > _LONGEST:
            return [*self._close(), *self._take(atom)]
        if _is_written(atom):
            day = not self._written and atom.text.endswith(",")
            self._written = True
            self._span.append(atom)
            self._room = _WORD_COST if day else _ROOM
            return self._close() if _closes(atom) and not day else []
        if atom.kind is Kind.SIGN and not is_cjk(atom.text[0]):
            if atom.text not in _JOINERS or not _is_written(self._span[-1]):
                return [*self._close(), _plain(atom)]
            self._span.append(atom)
            self._room = 1
            return []
        self._span.append(atom)
        self._room -= _WORD_COST if atom.kind is Kind.WORD else 1
        return self._close() if self._room <= 0 or _closes(atom) else []

    def _close(self) -> list[Piece]:
        span, self._span = self._span, []
        if not self._written or not span:
            return [_plain(atom) for atom in span]
        self._written = False
        trailing = []
        while _is_mark(span[-1]):
            trailing.append(_plain(span.pop()))
        text = "".join(" " * atom.spaced + atom.text for atom in span).lstrip()
        language = self._sentence_language or self._language
        text = readable(text)
        if language:
            text = readable(unicodedata.normalize("NFC", self._normalizer(text, language)))
        text = _BLANK_BESIDE_WIDE.sub("", text)
        return [Piece(text, span[0].begin, span[-1].end, span[0].spaced), *reversed(trailing)]

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


def _is_written(atom: Atom) -> bool:
    if atom.kind is not Kind.WORD:
        return False
    text = atom.text
    if any(char.isdigit() or unicodedata.category(char) == "Sc" for char in text):
        return True
    return _ADDRESS.match(text) is not None


def _is_mark(atom: Atom) -> bool:
    """Whether `atom` is punctuation alone."""
    if atom.kind is Kind.SIGN:
        return not is_cjk(atom.text[0])
    return all(char in ".,;:!?\"'" for char in atom.text)


def _closes(atom: Atom) -> bool:
    return atom.kind is Kind.WORD and atom.text.endswith(_CLAUSE_ENDS)


def _plain(atom: Atom) -> Piece:
    return Piece(readable(atom.text), atom.begin, atom.end, atom.spaced)


def readable(text: str) -> str:
    """`text` without pictures, controls and what is no character at all."""
    return text if text.isascii() else "".join(char for char in text if not _is_unread(char))


def _is_unread(char: str) -> bool:
    return unicodedata.category(char) in _UNREAD and not is_spoken(char)

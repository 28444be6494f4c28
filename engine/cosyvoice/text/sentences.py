"""The text as it comes, in sentences (SentenceStream) and in atoms (AtomScanner).

Both hand on at once what no later text can change. An atom is the smallest stretch of text that is certain by
itself: a word, a single sign, or a special token that users may write.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ...segmentation.boundaries import Verdict
from ...segmentation.characters import cluster_start, is_blank, is_extender
from ...segmentation.layout import Layout
from ...segmentation.lookahead import NeedMoreText
from ...segmentation.scripts import is_cjk
from ...segmentation.segmenter import OpenSegment
from ...written import THIN_BLANKS
from .sounds import SoundTokens
from .tokenizer import MARKUP

_LONGEST_WORD: Final = 64
_MARKUP_STARTS: Final = frozenset(markup[0] for markup in MARKUP)


class AtomKind(Enum):
    """The kind of an atom.

    WORD: letters, digits and ASCII signs with no blank between, of a script that has blanks.
    SIGN: one Han or kana character, or one mark of punctuation that is not ASCII.
    MARKUP: one of the special tokens that users may write.
    SOUNDS: a row of special tokens that spell a word.
    BORDER: nothing to say; what comes before is read apart from `text`, which comes after.
    """

    WORD = "word"
    SIGN = "sign"
    MARKUP = "markup"
    SOUNDS = "sounds"
    BORDER = "border"


@dataclass(frozen=True, slots=True)
class Atom:
    """whole[begin:end] in NFC. spaced: blanks come before.

    thin: that is one blank, a thin or no-break one, as within a number.
    """

    kind: AtomKind
    text: str
    begin: int
    end: int
    spaced: bool
    thin: bool = False


class AtomScanner:
    """Cuts a text into atoms as it comes; which they are depends on the text and its ends alone.

    sounds: the special tokens that spell words, if the model has such.
    """

    def __init__(self, sounds: SoundTokens | None = None) -> None:
        self._sounds = sounds
        self._buffer = ""
        self._begin = 0
        self._spaced = self._thin = False

    def feed(self, text: str, *, begin: int, ends: bool) -> list[Atom]:
        """Take whole[begin:...], which follows what came before. ends: what follows is another sentence."""
        if not self._buffer:
            self._begin = begin
        self._buffer += text
        atoms = []
        at = 0
        while at < len(self._buffer):
            if is_blank(self._buffer[at]):
                self._thin = not self._spaced and self._buffer[at] in THIN_BLANKS
                self._spaced = True
                at += 1
                continue
            end, kind = self._atom_end(at, ends)
            if end == 0:
                break
            atoms.append(self._atom(at, end, kind))
            at = end
        self._buffer = self._buffer[at:]
        self._begin += at
        return atoms

    def _atom(self, at: int, end: int, kind: AtomKind) -> Atom:
        text = self._buffer[at:end]
        if kind not in (AtomKind.MARKUP, AtomKind.SOUNDS):
            text = unicodedata.normalize("NFC", text)
        atom = Atom(kind, text, self._begin + at, self._begin + end, self._spaced, self._thin)
        self._spaced = self._thin = False
        return atom

    def _atom_end(self, at: int, final: bool) -> tuple[int, AtomKind]:
        """Where the atom at `at` ends, 0 if the text so far does not tell."""
        markup = self._markup_length(at, final)
        if markup != 0:
            return (at + markup if markup > 0 else 0), AtomKind.MARKUP
        sounds = self._sounds_length(at, final)
        if sounds != 0:
            return (at + sounds if sounds > 0 else 0), AtomKind.SOUNDS
        if _stands_alone(self._buffer[at]):
            end = at + 1
            while end < len(self._buffer) and is_extender(self._buffer[end]):
                if end - at >= _LONGEST_WORD:
                    return end, AtomKind.SIGN
                end += 1
            return (end if final or end < len(self._buffer) else 0), AtomKind.SIGN
        return self._word_end(at, final), AtomKind.WORD

    def _word_end(self, at: int, final: bool) -> int:
        end = at + 1
        while end < len(self._buffer):
            char = self._buffer[end]
            if end - at >= _LONGEST_WORD:
                return cluster_start(self._buffer, end, at) or end
            if is_blank(char) or _stands_alone(char):
                return end
            special = self._markup_length(end, final) or self._sounds_length(end, final)
            if special != 0:
                return end if special > 0 else 0
            end += 1
        return end if final else 0

    def _markup_length(self, at: int, final: bool) -> int:
        """Characters of the markup at `at`; 0 if it is none, -1 if that depends on what follows."""
        if self._buffer[at] not in _MARKUP_STARTS:
            return 0
        ahead = self._buffer[at : at + _LONGEST_WORD]
        for markup in MARKUP:
            if ahead.startswith(markup):
                return len(markup)
        return -1 if not final and any(markup.startswith(ahead) for markup in MARKUP) else 0

    def _sounds_length(self, at: int, final: bool) -> int:
        """Characters of the row of sounds at `at`; 0 if it is none, -1 if that depends on what follows."""
        if self._sounds is None:
            return 0
        try:
            return self._sounds.row_length(self._buffer, at, final)
        except NeedMoreText:
            return -1


def _stands_alone(char: str) -> bool:
    if is_cjk(char):
        return True
    return not char.isascii() and unicodedata.category(char)[0] == "P"


_LONGEST: Final = 2000
"""Characters of a sentence after which what is known of it is forgotten, so that memory is bounded."""
_SLICE: Final = 1024


@dataclass(frozen=True, slots=True)
class SentencePart:
    """whole[begin:begin + len(text)], in code points. ends: a sentence ends with it; then `text` may be "".

    Blanks between sentences begin the part after them.
    """

    text: str
    begin: int
    ends: bool


class SentenceStream:
    """Finds sentence ends by the same rules as TextSegmenter, but does not hold sentences back.

    A character is handed on as soon as it is certain that no sentence ends before it. Where
    sentences end depends on the text and on where it was flushed alone. The cost is linear in the
    text.
    """

    def __init__(self) -> None:
        self._buffer = ""
        self._begin = 0
        self._handed = 0
        self._open = OpenSegment()
        self._layout = Layout()
        self._quote_open = False

    def feed(self, text: str) -> list[SentencePart]:
        parts = []
        for start in range(0, len(text), _SLICE):
            self._buffer += text[start : start + _SLICE]
            parts += self._advance()
        return parts

    def flush(self) -> list[SentencePart]:
        """The rest of what has come; the last part ends a sentence. More text may follow."""
        parts = self._advance(final=True)
        if self._buffer:
            parts.append(self._cut(len(self._buffer), ends=True))
        self._layout = Layout()
        return parts

    def _advance(self, *, final: bool = False) -> list[SentencePart]:
        """final: nothing that may follow the text so far belongs to it."""
        self._layout.read(self._buffer, final)
        parts = []
        while (part := self._next_cut(final)) is not None:
            parts.append(part)
        settled = self._open.visible_end
        if settled > self._handed:
            text = self._buffer[self._handed : settled]
            parts.append(SentencePart(text, self._begin + self._handed, ends=False))
            self._handed = settled
        return parts

    def _next_cut(self, final: bool) -> SentencePart | None:
        """The part up to the next sentence end, None if the text so far decides none."""
        segment = self._open
        while True:
            try:
                verdict, end = segment.judge(self._buffer, self._layout, final)
            except NeedMoreText:
                return None
            if verdict is Verdict.SENTENCE and segment.spoken:
                return self._cut(end, ends=True)
            if verdict is not Verdict.NOTHING:
                segment.pass_over(end)
            if segment.at >= len(self._buffer):
                return None
            if not segment.read(self._buffer, self._layout, _LONGEST):
                return self._cut(segment.visible_end or segment.at, ends=False)

    def _cut(self, end: int, *, ends: bool) -> SentencePart:
        part = SentencePart(self._buffer[self._handed : end], self._begin + self._handed, ends)
        line = self._buffer[:end].rpartition("\n")
        self._quote_open = (self._quote_open and not line[1]) ^ (line[2].count('"') % 2 == 1)
        self._open = OpenSegment(fresh=ends, quote_open=self._quote_open)
        self._buffer = self._buffer[end:]
        self._layout.drop(end)
        self._begin += end
        self._handed = 0
        return part

"""Japanese in katakana as it is pronounced, a blank between words: how CosyVoice 3 learned it.

Han may be Chinese. It is read as Japanese where kana stands in the same sentence before it or within
_HELD characters after the sentence's beginning, or where the sentence before was Japanese. So a sentence of
Chinese is held back by a few characters at its beginning, Japanese up to the next mark, blank or foreign
word; what comes out depends on the text and its ends alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from threading import Lock
from typing import Any, Final

from ...segmentation.scripts import Script, script_of
from .written import WrittenSegment

Words = Callable[[str], Sequence[tuple[str, str]]]
"""Cuts Japanese into words, each as (written, pronounced in katakana). Safe to call from several threads."""

_HELD: Final = 8
"""Han at the beginning of a sentence that wait for kana: more of it in a row is Chinese."""
_LONGEST: Final = 64
"""Characters that are cut into words together."""
_TO_KATAKANA: Final = {code: code + 0x60 for code in (*range(0x3041, 0x3097), 0x309D, 0x309E)}
"""Hiragana's letters."""
_WITHIN: Final = frozenset("ー")
"""Signs of no script of their own that stand within words."""


def load_words() -> Words | None:
    """By janome's dictionary, where it is installed."""
    try:
        tokenize: Callable[[str], Any] = import_module("janome.tokenizer").Tokenizer().tokenize
    except ImportError:
        return None

    lock = Lock()  # the dictionary reads a file from wherever the last look-up has left off

    def words(text: str) -> list[tuple[str, str]]:
        with lock:
            found = [(word.surface, word.phonetic) for word in tokenize(text)]
        return [(surface, surface if sound == "*" else sound) for surface, sound in found]

    return words


class KatakanaForms:
    """Turns pieces of Japanese into katakana; others pass.

    words: None without a dictionary: then hiragana becomes katakana letter by letter, and Han stays.
    """

    def __init__(self, words: Words | None) -> None:
        self._words = words
        self._run: list[WrittenSegment] = []
        """Pieces of Han and kana that follow each other."""
        self._japanese: bool | None = None
        """Of the sentence, None as long as it has shown neither kana nor much Han."""
        self._before: bool = False
        """Whether the last sentence that showed either was Japanese."""

    def feed(self, pieces: Sequence[WrittenSegment], *, ends: bool) -> list[WrittenSegment]:
        """ends: a sentence ends after `pieces`."""
        if self._words is None:
            return [_in_katakana(piece) for piece in pieces]
        found: list[WrittenSegment] = []
        for piece in pieces:
            found += self._take(piece)
        if ends:
            found += self._close()
            if self._japanese is not None:
                self._before = self._japanese
            self._japanese = None
        return found

    def _take(self, piece: WrittenSegment) -> list[WrittenSegment]:
        scripts = _scripts(piece)
        if scripts is None:
            return [*self._close(), piece]
        if Script.KANA in scripts:
            self._japanese = True
        if self._japanese is False:
            return [piece]
        self._run.append(piece)
        length = sum(len(each.text) for each in self._run)
        if self._japanese is None and length > _HELD:
            self._japanese = False
        return self._close() if self._japanese is False or length > _LONGEST else []

    def _close(self) -> list[WrittenSegment]:
        run, self._run = self._run, []
        japanese = self._before if self._japanese is None else self._japanese
        if not run or not japanese:
            return run
        return list(self._read(run))

    def _read(self, run: Sequence[WrittenSegment]) -> Iterator[WrittenSegment]:
        begin = 0
        for end in (*(i for i, piece in enumerate(run) if i and piece.spaced), len(run)):
            part = run[begin:end]
            for index, word in enumerate(self._pronounced(part)):
                # The blank goes with the word: else none stands beside signs that do without.
                yield replace(word, text=f" {word.text}", spaced=False) if begin + index else word
            begin = end

    def _pronounced(self, part: Sequence[WrittenSegment]) -> Iterator[WrittenSegment]:
        """Pieces without a blank between them, word by word. What is in katakana already stays one word."""
        text = "".join(piece.text for piece in part)
        owners = [piece for piece in part for _ in piece.text]
        given = text.translate(_TO_KATAKANA) == text and not _has_han(text)
        at = 0
        for written, sound in [(text, text)] if given or not self._words else self._words(text):
            first, last = owners[at], owners[at + len(written) - 1]
            spaced = part[0].spaced and at == 0
            sound = sound.translate(_TO_KATAKANA)
            yield WrittenSegment(sound, first.begin, last.end, spaced)
            at += len(written)


def _in_katakana(piece: WrittenSegment) -> WrittenSegment:
    text = piece.text if piece.markup or piece.sounds else piece.text.translate(_TO_KATAKANA)
    return piece if text == piece.text else replace(piece, text=text)


def _has_han(text: str) -> bool:
    return any(script_of(char) is Script.HAN for char in text)


def _scripts(piece: WrittenSegment) -> set[Script] | None:
    """Han and kana in a piece, None if there is anything else in it."""
    if piece.markup or piece.sounds or not piece.text:
        return None
    found: set[Script] = set()
    for char in piece.text:
        script = script_of(char)
        if script in (Script.HAN, Script.KANA):
            found.add(script)
        elif char not in _WITHIN:
            return None
    return found

"""Segments of text to utterances: where one ends, what is joined to what, and its tokens as they come.

An utterance closes
    at the end of a sentence, if it has min_tokens by then; else the next sentence joins it;
    at the end of a clause, once it has soft_tokens;
    before the word that would take it beyond max_tokens;
    at a flush, and at the end of the text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...segmentation.characters import speakable
from ...segmentation.scripts import is_cjk
from ..options import UtterancePolicy
from .tokenizer import TextToken, TextTokenizer, TextTokenStream
from .written import WrittenSegment

_OPENERS: Final = "\"'([{<“‘«‹「『《〈¿¡"
_CLOSERS: Final = "\"')]}>”’»›」』》〉"
_DROPPED: Final = frozenset("（）【】〔〕〖〗")
"""Brackets around Chinese, which the model reads as odd pauses."""
_CHINESE_MARKS: Final = str.maketrans(".,!?;:", "。，！？；：")
_CLAUSE_ENDS: Final = tuple(",;:，、；：。！？.!?…—")


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next tokens of an utterance, of the task's text[begin:end].

    utterance: counts from 0. done: the utterance is complete; then `text` is the whole of it as it is
    read out, else "". `ids` may be empty if it is done.
    """

    utterance: int
    ids: tuple[int, ...]
    begin: int
    end: int
    done: bool
    text: str = ""


class UtteranceBuilder:
    """Joins pieces and finds where utterances end; what it decides depends on the pieces alone."""

    def __init__(self, tokenizer: TextTokenizer, policy: UtterancePolicy) -> None:
        self._tokenizer = tokenizer
        self._policy = policy
        self._number = 0
        self._stream = TextTokenStream(tokenizer)
        self._special: list[TextToken] = []
        self._lead: list[WrittenSegment] = []
        self._speakable = False
        """Whether the sentence, as far as it is in this utterance, has something to say."""
        self._end = 0

    def feed(self, pieces: Sequence[WrittenSegment], *, ends: bool) -> list[TextDelta]:
        """ends: a sentence ends after `pieces`."""
        deltas = []
        for piece in pieces:
            deltas += self._take(piece)
        if ends and self._speakable:
            deltas += self._end_sentence()
        return deltas

    def pending(self) -> list[TextDelta]:
        """The tokens that have become certain since the last call."""
        tokens = [*self._special, *self._stream.take()]
        self._special = []
        if not tokens:
            return []
        return [self._delta(tokens, done=False)]

    def flush(self) -> list[TextDelta]:
        """End the utterance, if there is something to say in it."""
        self._lead = []
        return [self._close()] if self._stream.text else []

    def _end_sentence(self) -> list[TextDelta]:
        self._speakable = False
        last = self._stream.text.rstrip(_CLOSERS)[-1:]
        if last.isalnum():
            self._stream.push("。" if is_cjk(last) else ".", self._end, self._end)
        return [self._close()] if self._stream.count() >= self._policy.min_tokens else []

    def _take(self, piece: WrittenSegment) -> list[TextDelta]:
        if self._speakable:
            return self._add(piece)
        if piece.markup:
            self._lead.append(piece)
        elif piece.sounds or speakable(piece.text):
            self._speakable = True
            lead, self._lead = self._lead, []
            return [delta for part in (*lead, _without_lead(piece)) for delta in self._add(part)]
        elif piece.text and all(char in _OPENERS for char in piece.text):
            self._lead.append(piece)
        return []

    def _add(self, piece: WrittenSegment) -> list[TextDelta]:
        if piece.markup or piece.sounds:
            return self._add_special(piece)
        text = _in_place(piece.text, self._stream.text[-1:])
        if not text:
            return []
        text = self._blank(piece.spaced, text) + text
        if self._is_full(text):
            self._speakable = False
            return [self._close(), *self._take(piece)]
        self._stream.push(text, piece.begin, piece.end)
        self._end = piece.end
        soft = self._policy.soft_tokens
        if text.endswith(_CLAUSE_ENDS) and self._stream.most() >= soft <= self._stream.count():
            self._speakable = False
            return [self._close()]
        return []

    def _add_special(self, piece: WrittenSegment) -> list[TextDelta]:
        names = [piece.text]
        sounds = self._tokenizer.sounds
        if piece.sounds and sounds is not None:
            names = sounds.split(piece.text)
            if self._is_full(special=len(names)):
                self._speakable = False
                return [self._close(), *self._take(piece)]
            if self._blank(piece.spaced, piece.text):
                self._stream.push(" ", piece.begin, piece.begin)
        self._end = piece.end
        self._special += self._stream.push_special(names, piece.begin, piece.end)
        return []

    def _is_full(self, text: str = "", special: int = 0) -> bool:
        """Whether these would take the utterance, which has something to say, beyond its limit.

        special: a count of special tokens.
        """
        limit = self._policy.max_tokens - special
        full = self._stream.most(text) > limit and self._stream.count(text) > limit
        return full and speakable(self._stream.text)

    def _blank(self, spaced: bool, text: str) -> str:
        """The blank before `text`: none first in an utterance nor beside signs that stand without."""
        before = self._stream.text[-1:]
        if not spaced or not before or _is_wide(before) or _is_wide(text[0]):
            return ""
        return " "

    def _close(self) -> TextDelta:
        tokens = [*self._special, *self._stream.flush()]
        delta = self._delta(tokens, done=True)
        self._number += 1
        self._stream = TextTokenStream(self._tokenizer)
        self._special = []
        return delta

    def _delta(self, tokens: Sequence[TextToken], *, done: bool) -> TextDelta:
        return TextDelta(
            self._number,
            tuple(token.id for token in tokens),
            tokens[0].begin if tokens else self._end,
            tokens[-1].end if tokens else self._end,
            done,
            self._stream.text if done else "",
        )


def _without_lead(piece: WrittenSegment) -> WrittenSegment:
    """`piece` without marks before its first word, but for opening ones."""
    skip = 0
    while not piece.text[skip].isalnum() and not speakable(piece.text[skip]):
        if piece.text[skip] in _OPENERS:
            break
        skip += 1
    if not skip:
        return piece
    return WrittenSegment(piece.text[skip:], piece.begin, piece.end, piece.spaced)


def _in_place(text: str, before: str) -> str:
    """`text` with its marks as they stand after `before`: after Chinese, Chinese ones and no brackets."""
    if not before or not _is_wide(before):
        return text
    if all(char in ".,!?;:" for char in text):
        return text.translate(_CHINESE_MARKS)
    if text in _DROPPED:
        return ""
    if text in "—―⸺":
        return "" if before in "，。！？：；、" else "，"
    return text


def _is_wide(char: str) -> bool:
    """Whether `char` stands without blanks: Han, kana, and full-width marks."""
    if is_cjk(char):
        return True
    return char >= "\u2e80" and unicodedata.category(char)[0] == "P"

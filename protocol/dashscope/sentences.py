"""A task's sentences as this dialect tells of them, on its WebSocket and over HTTP."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Self

from ..breaks import Break, BreakScanner, begins_markup, spoken_text
from ..cosyvoice.codec import milliseconds, spoken_output
from ..fields import JsonObject
from ..messages import ResultGenerated, Sentence, Word
from ..parameters import SpeechParameters
from ..surrogates import join
from ..text import GrowingText, count_characters

_Kind = Literal["sentence-begin", "sentence-synthesis", "sentence-end"]

_BRACKET: Final = re.compile("([<>])")


@dataclass(slots=True)
class TaskSentences:
    """A task's text so far, and the sentence that is being spoken.

    is_markup: whether the text is SSML; None while undecided. breaks: finds the breaks of a plain text;
    None if they count as text. text: without breaks. half: the high surrogate that the text ends with.
    characters: usage, without tags, as far as it is known what is a tag. undecided: text that may begin
    markup. tag: characters from the last `<` on that no `>` has followed.
    sentence: the one being spoken; words: those of it that were spoken.
    """

    is_markup: bool | None
    breaks: BreakScanner | None = None
    text: GrowingText = field(default_factory=GrowingText)
    half: str = ""
    characters: int = 0
    undecided: str = ""
    tag: int = 0
    sentence: Sentence | None = None
    words: list[Word] = field(default_factory=list)

    @classmethod
    def of(cls, parameters: SpeechParameters) -> Self:
        """Those of a task that begins."""
        return cls(None, BreakScanner()) if parameters.enable_ssml else cls(False)

    def take(self, text: str, *, flush: bool = False, last: bool = False) -> str:
        """Add the next piece; returns it with surrogate pairs joined that were cut in two."""
        taken, self.half = join(self.half, text, last=last)
        text = self.undecided + taken
        if self.is_markup is None:
            self.is_markup = begins_markup(text, final=flush or last)
        self.undecided = text.lstrip() if self.is_markup is None else ""
        self._count(text.removesuffix(self.undecided), last)
        return taken

    def _count(self, text: str, last: bool) -> None:
        if self.is_markup:
            self.text.append(text)
            self._count_outside_tags(text)
            return
        parts: list[str | Break] = [text]
        if self.breaks is not None:
            parts = self.breaks.feed(text) + (self.breaks.finish() if last else [])
        plain = spoken_text(parts)
        self.text.append(plain)
        self.characters += count_characters(plain)

    def _count_outside_tags(self, text: str) -> None:
        for part in _BRACKET.split(text):
            if part == "<":
                self.characters += self.tag  # the one before began no tag
                self.tag = 1
            elif part == ">" and self.tag:
                self.tag = 0
            elif self.tag:
                self.tag += count_characters(part)
            else:
                self.characters += count_characters(part)

    def _sentence_text(self, end: int | None) -> str:
        """The current sentence's, up to `end`; None: as far as it goes."""
        assert self.sentence is not None
        if self.is_markup:
            return self.sentence.text
        return self.text.part(self.sentence.text_begin, end)

    def heard(self, event: ResultGenerated) -> list[JsonObject]:
        """The payloads that tell of the next sound; the last of them is the sound's own."""
        payloads: list[JsonObject] = []
        begun = list(event.sentences)
        if self.sentence is None and not begun:
            begun = [Sentence(0, 0, len(self.text), self.text.part(0))]
        words = list(event.words)
        for sentence in begun:
            while words and words[0].text_begin < sentence.text_begin:
                self.words.append(words.pop(0))
            payloads += self._sentence_ends(sentence.text_begin)
            self.sentence = sentence
            payloads.append(self._payload("sentence-begin", original_text=sentence.text))
        self.words += words
        payloads.append(self._payload("sentence-synthesis", **spoken_output(marks=event.marks)))
        return payloads

    def end(self, notices: Sequence[str], *, whole: bool) -> list[JsonObject]:
        """The payloads after the last sound. whole: whether all was spoken."""
        payloads = self._sentence_ends(None) if whole else []
        output = {"sentence": {"words": []}, **spoken_output(notices=notices)}
        return [*payloads, {"output": output, "usage": self.usage}]

    @property
    def usage(self) -> JsonObject:
        return {"characters": self.characters}

    def _sentence_ends(self, end: int | None) -> list[JsonObject]:
        if self.sentence is None:
            return []
        text, first = self._sentence_text(end), self.sentence.text_begin
        words = [_word(word, first) for word in self.words]
        payload = self._payload("sentence-end", words, original_text=text)
        self.sentence, self.words = None, []
        return [payload]

    def _payload(
        self, kind: _Kind, words: list[JsonObject] | None = None, **more: object
    ) -> JsonObject:
        index = 0 if self.sentence is None else self.sentence.number
        output = {"type": kind, "sentence": {"index": index, "words": words or []}, **more}
        return {"output": output, "usage": self.usage}


def _word(word: Word, sentence_begin: int) -> JsonObject:
    """Indices count within the sentence."""
    return {
        "text": word.text,
        "begin_index": word.text_begin - sentence_begin,
        "end_index": word.text_end - sentence_begin,
        "begin_time": milliseconds(word.begin),
        "end_time": milliseconds(word.end),
    }

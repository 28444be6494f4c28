"""When each character of a text is heard, from the times of its words."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from ..fields import JsonObject
from ..text import GrowingText

_NOTHING = 1e-6
"""Seconds; times summed in a different order may differ by less."""


class TimedWord(Protocol):
    """protocol.messages.Word and the engines' own: seconds of the speech, code points of the text."""

    @property
    def begin(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def text_begin(self) -> int: ...
    @property
    def text_end(self) -> int: ...


@dataclass(frozen=True, slots=True)
class CharacterSpans:
    """Characters that follow each other: when each begins, in seconds; `end` is the last one's end."""

    characters: str
    starts: tuple[float, ...]
    end: float

    @property
    def ends(self) -> tuple[float, ...]:
        return (*self.starts[1:], self.end)


class CharacterTimes:
    """Assigns each character of a growing text, in order, to the chunk of sound in which it begins.

    Within a word the characters share its time evenly. What stands between words begins where the word
    before it ends; the last of it lasts until the next word, or to the end of the chunk.
    """

    def __init__(self) -> None:
        self._text = GrowingText()
        self._placed = 0  # code points that have a time
        self._time = 0.0  # where the last of these ends
        self._waiting: deque[tuple[str, float]] = deque()  # have a time, but no chunk yet

    def feed(self, text: str) -> None:
        """Add the next piece of the text."""
        self._text.append(text)

    def __len__(self) -> int:
        """Code points of the text so far."""
        return len(self._text)

    def take(self, words: Iterable[TimedWord], until: float) -> CharacterSpans | None:
        """The characters that begin before `until`, the end of a chunk with these words; None if none do."""
        for word in words:
            self._place(word)
        given: list[tuple[str, float]] = []
        while self._waiting and self._waiting[0][1] <= until + _NOTHING:
            given.append(self._waiting.popleft())
        return _joined(given, until)

    def remainder(self) -> CharacterSpans | None:
        """The characters left once the speech is over. None as well if no word had a time."""
        if self._placed:
            self._spread(len(self._text), self._time, self._time)
        given = list(self._waiting)
        self._waiting.clear()
        return _joined(given, self._time)

    def _place(self, word: TimedWord) -> None:
        if word.text_end <= self._placed:
            return
        begin = max(word.begin, self._time)
        self._spread(word.text_begin, self._time, begin)
        self._spread(word.text_end, begin, max(word.end, begin))
        while (after := self._text.part(self._placed, self._placed + 1)) and not after.isalnum():
            self._spread(self._placed + 1, self._time, self._time)

    def _spread(self, text_end: int, begin: float, end: float) -> None:
        """The text up to there is heard from `begin` to `end`."""
        piece = self._text.part(self._placed, text_end)
        step = (end - begin) / max(1, len(piece))
        self._waiting.extend(
            (character, begin + number * step) for number, character in enumerate(piece)
        )
        self._placed = max(self._placed, text_end)
        self._time = end


def _joined(given: list[tuple[str, float]], end: float) -> CharacterSpans | None:
    if not given:
        return None
    starts = tuple(start for _, start in given)
    return CharacterSpans(
        "".join(character for character, _ in given), starts, max(end, starts[-1])
    )


def joined(parts: Iterable[CharacterSpans | None]) -> CharacterSpans | None:
    """The characters of several parts as one."""
    found = [part for part in parts if part is not None]
    if not found:
        return None
    starts = tuple(start for part in found for start in part.starts)
    return CharacterSpans("".join(part.characters for part in found), starts, found[-1].end)


def in_milliseconds(found: CharacterSpans, origin: int) -> JsonObject:
    """As the WebSockets tell it: `origin`, in ms of the speech, is their 0."""
    starts = [max(0, round(start * 1000) - origin) for start in found.starts]
    ends = [*starts[1:], max(starts[-1], round(found.end * 1000) - origin)]
    return {
        "chars": list(found.characters),
        "charStartTimesMs": starts,
        "charDurationsMs": [end - start for start, end in zip(starts, ends, strict=True)],
    }


def in_seconds(found: CharacterSpans) -> JsonObject:
    """As HTTP answers tell it: seconds of the whole speech."""
    return {
        "characters": list(found.characters),
        "character_start_times_seconds": [round(start, 4) for start in found.starts],
        "character_end_times_seconds": [round(end, 4) for end in found.ends],
    }

"""Lines and list items of a text, found in one pass ahead of the segmenter."""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import lru_cache
from typing import Final

from .boundaries import Verdict
from .characters import NEWLINES, is_blank, is_newline
from .line_ends import KEPT, EndedLine, LineJudge
from .line_words import goes_on, takes_number
from .lookahead import Lookahead, NeedMoreText
from .markers import Marker, find_marker, follows
from .scripts import is_cjk

_FIRSTS: Final = "1(（①一第S"
"""First characters of the first marker of a list inside a line."""
_AFTER_MARK: Final = frozenset(":：.!?。！？；;")
_COMMAS: Final = frozenset(",，、;；(（")
_NUMERALS: Final = frozenset("第一二三四五六七八九十")
_LAST_WORD: Final = re.compile(r"([^\W\d_]+\.?)\s*$")
_TAIL: Final = 32


class Layout:
    """Finds where lines and list items begin in a text as it arrives, and what ends before them.

    Places count in the text given to `read`, less what was dropped since; they depend on the text
    alone. Only the first and last columns of the open line are kept, and the places not yet dropped.
    """

    def __init__(self) -> None:
        self._at = 0
        """The next character to read."""
        self._known = 0
        """The first place that is not decided."""
        self._places: list[int] = []
        """Places where a line or an item begins, in order."""
        self._verdicts: list[Verdict] = []
        """The verdict on the end before each of the places."""
        self._judge = LineJudge()
        self._line = ""
        """The open line: all of it, or its first and last columns."""
        self._begun = False
        """Whether the open line has a visible character."""
        self._ended: EndedLine | None = None
        """The line before, until its end is judged."""
        self._goes_on = False
        """Whether the open line continues the sentence of the one before."""
        self._successor = ""
        """The marker that the next item of the open list has, "" if there is none."""

    def before(self, place: int) -> Verdict | None:
        """Tell what ends right before `place`, None if no line or item begins there. Raises NeedMoreText."""
        if place >= self._known:
            raise NeedMoreText
        index = bisect_left(self._places, place)
        found = index < len(self._places) and self._places[index] == place
        return self._verdicts[index] if found else None

    def stop(self, place: int) -> int:
        """The first place after `place` that `before` must be asked about."""
        index = bisect_left(self._places, place + 1)
        return self._places[index] if index < len(self._places) else self._known

    def drop(self, count: int) -> None:
        """Forget the first `count` characters of the text."""
        self._at -= count
        self._known -= count
        index = bisect_left(self._places, count)
        self._places = [place - count for place in self._places[index:]]
        del self._verdicts[:index]

    def read(self, text: str, final: bool) -> None:
        """Read as far as the text decides. final: whether no text follows `text`."""
        try:
            while self._at < len(text) or (self._ended is not None and final):
                self._step(text, final)
        except NeedMoreText:
            return

    def _step(self, text: str, final: bool) -> None:
        """Read one line end, marker or stretch of plain text. Raises NeedMoreText, which changes nothing."""
        if self._ended is not None:
            verdict = self._judge.judge(self._ended, Lookahead(text, self._at, final))
            self._ended = None
            self._goes_on = verdict is Verdict.NOTHING
            self._note(verdict)
        elif not self._begun:
            self._begin_line(text, final)
        else:
            found = _candidates(self._successor[:1]).search(text, self._at)
            self._take(text, found.start() if found else len(text))
            if found and is_newline(found.group()):
                self._end_line(text)
            elif found:
                self._find_item(Lookahead(text, self._at, final))
                self._take(text, self._at + 1)

    def _begin_line(self, text: str, final: bool) -> None:
        char = text[self._at]
        if is_newline(char):
            self._end_line(text)
        elif is_blank(char):
            self._take(text, self._at + 1)
        else:
            marker = find_marker(Lookahead(text, self._at, final), self._successor)
            if not self._goes_on:
                self._successor = marker.successor if marker else ""
            self._begun = True
            self._take(text, self._at + 1)

    def _end_line(self, text: str) -> None:
        self._take(text, self._at + 1)
        self._ended = EndedLine(self._line, self._successor)
        self._line = ""
        self._begun = False

    def _find_item(self, ahead: Lookahead) -> None:
        """Note a sentence end before the next character if an item begins there. Raises NeedMoreText."""
        before = self._line.rstrip()
        if self._successor and follows(ahead, self._successor):
            if _parts_items(self._line, self._successor):
                marker = find_marker(ahead, self._successor)
                self._note(Verdict.SENTENCE)
                self._successor = marker.successor if marker else ""
        elif ahead.char() in _FIRSTS and (before != self._line or not before[-1:].isalnum()):
            marker = find_marker(ahead)
            if marker is None or marker.number != 1:
                return
            if before[-1:] not in _AFTER_MARK:
                if not self._begins_small_items(ahead, marker):
                    return
                self._note(Verdict.SENTENCE)
            self._successor = marker.successor

    def _begins_small_items(self, ahead: Lookahead, marker: Marker) -> bool:
        """Whether a list begins without a mark before it: "You need 1. milk 2. eggs"."""
        if marker.text not in {"1.", "1)"} or not _parts_items(self._line, marker.text):
            return False
        return ahead.after(len(marker.text)).visible().islower()

    def _note(self, verdict: Verdict) -> None:
        self._places.append(self._at)
        self._verdicts.append(verdict)
        self._known = self._at + 1

    def _take(self, text: str, end: int) -> None:
        self._line += text[self._at : end]
        if len(self._line) > KEPT:
            self._line = self._line[: KEPT - _TAIL] + self._line[-_TAIL:]
        self._at = end
        self._known = max(self._known, end)


@lru_cache(64)
def _candidates(first: str) -> re.Pattern[str]:
    """A pattern for where a line ends or an item may begin."""
    return re.compile(f"[{NEWLINES}{_FIRSTS}{re.escape(first)}]")


def _parts_items(line: str, marker: str) -> bool:
    """Whether `marker` may begin an item after `line`, not after a comma or a word like "page"."""
    before = line.rstrip()
    if not before or before[-1] in _COMMAS:
        return False
    if before == line:  # no blank
        return (is_cjk(before[-1]) and before[-1] not in _NUMERALS) or not marker[0].isalnum()
    word = _LAST_WORD.search(line)
    if word is None:
        return True
    return not (goes_on(word.group(1)) or takes_number(word.group(1)))

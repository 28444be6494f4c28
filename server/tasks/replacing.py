"""Text that is spoken in place of another, found before anything else reads the text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from cosyserve.engine.origins import Origins
from cosyserve.protocol.breaks import Break, BreakScanner, begins_markup
from cosyserve.protocol.errors import InvalidParameter, TextTooLong

MOST_REPLACEMENTS: Final = 10_000
"""In one task: their places stay in memory."""
_PLAIN_ALONE: Final = "allowed: plain text; SSML has <sub alias=...>"


class Replacer:
    """Replaces wherever one of its phrases stands: the leftmost first, of those the longest.

    A piece is held back only as far as a phrase may still become of it, so that the cuts of the text change
    nothing.
    """

    def __init__(self, replacements: Mapping[str, str], *, markup: bool = False) -> None:
        """At least one; no phrase is empty. markup: whether SSML counts as such; it is refused then."""
        self._plain = _PlainText() if markup else None
        self._replacements = replacements
        self._longest = max(map(len, replacements))
        self._pattern = re.compile(_any_of(replacements))
        self._begins = {word[:size] for word in replacements for size in range(1, len(word))}
        self._held = ""
        self._origins = Origins()
        self._made = 0

    def feed(self, text: str, *, whole: bool = False) -> str:
        """What is to be spoken of the next piece. whole: a phrase does not go on after it.

        Raises TextTooLong, and InvalidParameter for markup.
        """
        if self._plain is not None:
            self._plain.check(text, whole=whole)
        text = self._held + text
        spoken: list[str] = []
        at = 0
        while (found := self._pattern.search(text, at)) is not None:
            near_end = found.start() > len(text) - self._longest
            if near_end and not whole and self._undecided(text, at) <= found.start():
                break
            spoken += self._copied(text[at : found.start()]), self._replaced(found[0])
            at = found.end()
        hold = len(text) if whole else self._undecided(text, at)
        self._held = text[hold:]
        return "".join([*spoken, self._copied(text[at:hold])])

    def source(self, begin: int, end: int) -> tuple[int, int]:
        """Where in the text as it was fed that stands which is spoken from `begin` to `end`."""
        return self._origins.source(begin, end)

    def _undecided(self, text: str, at: int) -> int:
        """Where the first phrase begins, from `at` on, that may go on after the text."""
        for begin in range(max(at, len(text) - self._longest + 1), len(text)):
            if text[begin:] in self._begins:
                return begin
        return len(text)

    def _copied(self, text: str) -> str:
        self._origins.copy(len(text))
        return text

    def _replaced(self, phrase: str) -> str:
        self._made += 1
        if self._made > MOST_REPLACEMENTS:
            raise TextTooLong(f"the text has more than {MOST_REPLACEMENTS} replacements")
        spoken = self._replacements[phrase]
        self._origins.replace(len(phrase), len(spoken))
        return spoken


class _PlainText:
    """A text that may be no markup: a phrase could stand within a tag, and places would not count tags."""

    def __init__(self) -> None:
        self._begin: str | None = ""  # None once it is known to begin no document
        self._breaks = BreakScanner()

    def check(self, text: str, *, whole: bool) -> None:
        """Raises InvalidParameter."""
        if self._begin is not None:
            self._begin = (self._begin + text).lstrip()
            match begins_markup(self._begin, final=whole):
                case True:
                    raise InvalidParameter(f"hot_fix.replace: the text is SSML; {_PLAIN_ALONE}")
                case False:
                    self._begin = None
        if any(isinstance(part, Break) for part in self._breaks.feed(text)):
            raise InvalidParameter(f"hot_fix.replace: the text has a break; {_PLAIN_ALONE}")


def _any_of(words: Iterable[str]) -> str:
    """A pattern of the longest of these words, which reads no character twice."""
    tails: dict[str, list[str]] = {}
    for word in words:
        tails.setdefault(word[:1], []).append(word[1:])
    ends = tails.pop("", None) is not None
    branches = [re.escape(first) + _any_of(rest) for first, rest in tails.items()]
    if not branches:
        return ""
    return f"(?:{'|'.join(branches)})" + ("?" if ends else "")

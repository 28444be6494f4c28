"""Phrases that are spoken otherwise than they are written, found in a text that comes in pieces."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cosyserve.engine.interface import Sounds
from cosyserve.engine.origins import Origins
from cosyserve.engine.segmentation.scripts import ALL_IDEOGRAPHS
from cosyserve.protocol.errors import TextTooLong
from cosyserve.protocol.phrases import Pronunciation, Rule

MOST_REPLACEMENTS: Final = 10_000
"""In one session: their places stay in memory."""

_UNSPACED: Final = (
    f"{ALL_IDEOGRAPHS}\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
)
"""Scripts that put no blanks between words, or attach particles to them."""
_LETTER: Final = rf"(?:[^\W{_UNSPACED}]|[\u0300-\u036f])"
_NO_LETTER_BEFORE: Final = rf"(?<![^\W{_UNSPACED}])(?<![\u0300-\u036f])"
_NO_LETTER_AFTER: Final = rf"(?!{_LETTER})(?!['’](?!s(?!{_LETTER})){_LETTER})"
"""An apostrophe goes on with a word (don't), unless it is the possessive's."""
_ENDINGS: Final = ("'s\0", "’s\0")
"""As far as one must look to know whether a word is over."""
_IS_LETTER: Final = re.compile(_LETTER)


@dataclass(frozen=True, slots=True)
class Said:
    """A word of the text that is spoken with these sounds."""

    word: str
    sounds: Sounds


Spoken = str | Said


class PhraseFinder:
    """Finds phrases wherever they stand: the leftmost first, of those the longest.

    A piece is held back only as far as a phrase may still become of it, so that the cuts of the text change
    nothing. What is spoken for a phrase is not searched again.
    """

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        """At least one; no phrase is empty. Of several for the same phrase, the first counts."""
        self._lexicon = lexicon_of(rules)
        self._held = ""
        self._before = ""  # the last character that was given out, unless a sentence ended there
        self._origins = Origins()
        self._made = 0

    def feed(self, text: str, *, whole: bool = False) -> list[Spoken]:
        """What is to be spoken of the next piece. whole: neither a phrase nor a word goes on after it.

        Raises TextTooLong.
        """
        before, text = len(self._before), self._before + self._held + text
        found: list[Spoken] = []
        at = before
        hold = len(text) if whole else self._lexicon.undecided(text, at)
        while (match := self._lexicon.search(text, at)) is not None:
            begin, end, spoken = match
            if begin >= hold:
                break
            self._copy(found, text[at:begin])
            self._replace(found, text[begin:end], spoken)
            at = end
            if hold < at:
                hold = len(text) if whole else self._lexicon.undecided(text, at)
        self._copy(found, text[at:hold])
        self._held = text[hold:]
        self._before = "" if whole else text[:hold][-1:]
        return found

    def take(self, word: str, sounds: Sounds) -> list[Spoken]:
        """What is to be spoken if a word with its sounds comes next."""
        found = self.feed("", whole=True)
        self._origins.copy(len(word))
        self._before = word[-1:]
        return [*found, Said(word, sounds)]

    def source(self, begin: int, end: int) -> tuple[int, int]:
        """Where in the text as it was fed that stands which is spoken from `begin` to `end`."""
        return self._origins.source(begin, end)

    def _copy(self, found: list[Spoken], text: str) -> None:
        if text:
            self._origins.copy(len(text))
            _add(found, text)

    def _replace(self, found: list[Spoken], phrase: str, spoken: str | Sounds) -> None:
        if isinstance(spoken, Sounds):
            self._origins.copy(len(phrase))
            found.append(Said(phrase, spoken))
            return
        self._made += 1
        if self._made > MOST_REPLACEMENTS:
            raise TextTooLong(f"the text has more than {MOST_REPLACEMENTS} replacements")
        self._origins.replace(len(phrase), len(spoken))
        _add(found, spoken)


def _add(found: list[Spoken], text: str) -> None:
    if found and isinstance(found[-1], str):
        found[-1] += text
    elif text:
        found.append(text)


class Lexicon:
    """Rules in the form in which a text is searched for them."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        exact: dict[str, Rule] = {}
        folded: dict[str, Rule] = {}
        for rule in rules:
            if rule.match_case:
                exact.setdefault(rule.phrase, rule)
            else:
                folded.setdefault(_folded(rule.phrase), rule)
        self._parts = [
            part for part in (_Phrases(exact, _as_written), _Phrases(folded, _folded)) if part.rules
        ]
        self._longest = max(part.longest for part in self._parts)

    def search(self, text: str, at: int) -> tuple[int, int, str | Sounds] | None:
        """The first phrase from `at` on: its begin, its end, and what is spoken for it."""
        found = [match for part in self._parts if (match := part.search(text, at)) is not None]
        return min(found, key=lambda match: (match[0], -match[1]), default=None)

    def undecided(self, text: str, at: int) -> int:
        """Where the first phrase begins, from `at` on, that may go on, or be none, with what comes."""
        for begin in range(max(at, len(text) - self._longest - len(_ENDINGS[0])), len(text)):
            if any(part.may_begin(text, begin) for part in self._parts):
                return begin
        return len(text)


class _Phrases:
    """Those rules of a lexicon that see the text alike. sight: how, character by character."""

    def __init__(self, rules: Mapping[str, Rule], sight: Callable[[str], str]) -> None:
        self.rules = rules
        self.longest = max(map(len, rules), default=0)
        self._sight = sight
        # One pattern each for phrases that are whole words at their begin, and for the others.
        bounded = [phrase for phrase, rule in rules.items() if _begins_word(phrase, rule)]
        others = [phrase for phrase in rules if phrase not in frozenset(bounded)]
        self._patterns = [
            re.compile(before + _any_of([(phrase, self._ending(phrase)) for phrase in phrases]))
            for before, phrases in ((_NO_LETTER_BEFORE, bounded), ("", others))
            if phrases
        ]
        self._bounded = _Beginnings(self._decided(bounded))
        self._others = _Beginnings(self._decided(others))

    def search(self, text: str, at: int) -> tuple[int, int, str | Sounds] | None:
        seen = self._sight(text)
        found = [match for each in self._patterns if (match := each.search(seen, at)) is not None]
        if not found:
            return None
        match = min(found, key=lambda each: (each.start(), -each.end()))
        return match.start(), match.end(), _spoken(self.rules[match[0]])

    def may_begin(self, text: str, begin: int) -> bool:
        rest = self._sight(text[begin:])
        if self._others.of(rest):
            return True
        return self._bounded.of(rest) and _IS_LETTER.match(text[max(0, begin - 1) : begin]) is None

    def _ending(self, phrase: str) -> str:
        return _NO_LETTER_AFTER if _ends_word(phrase, self.rules[phrase]) else ""

    def _decided(self, phrases: Iterable[str]) -> list[str]:
        """Each phrase as far as one must have read to know that it is one."""
        return [
            phrase + ending
            for phrase in phrases
            for ending in (_ENDINGS if self._ending(phrase) else ("",))
        ]


class _Beginnings:
    """Words, to be asked whether something is the beginning of one."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = sorted(words)

    def of(self, text: str) -> bool:
        """Whether a word goes on after `text`."""
        place = bisect_left(self._words, text)
        # The word itself sorts before all that go on with it.
        return any(
            len(word) > len(text) and word.startswith(text)
            for word in self._words[place : place + 2]
        )


@lru_cache(16)
def lexicon_of(rules: tuple[Rule, ...]) -> Lexicon:
    """The lexicon of these rules: clients send the same ones again and again."""
    return Lexicon(rules)


def _spoken(rule: Rule) -> str | Sounds:
    if isinstance(rule, Pronunciation):
        return Sounds(rule.alphabet, rule.sounds)
    return rule.spoken


def _begins_word(phrase: str, rule: Rule) -> bool:
    return rule.whole_words and _IS_LETTER.match(phrase) is not None


def _ends_word(phrase: str, rule: Rule) -> bool:
    return rule.whole_words and _IS_LETTER.match(phrase[-1]) is not None


def _as_written(text: str) -> str:
    return text


def _folded(text: str) -> str:
    """Without capitals, as long as before."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


def _any_of(words: Sequence[tuple[str, str]]) -> str:
    """A pattern of the longest of these words, each with what must follow it; it reads no character twice."""
    tails: dict[str, list[tuple[str, str]]] = {}
    ends = [follows for word, follows in words if not word]
    for word, follows in words:
        if word:
            tails.setdefault(word[0], []).append((word[1:], follows))
    branches = [re.escape(first) + _any_of(rest) for first, rest in tails.items()]
    branches += ends[:1]
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"

"""Phrases that are spoken otherwise than they are written, found in a text that comes in pieces."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
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
_IS_LETTER: Final = re.compile(_LETTER)
_GOES_ON: Final = re.compile(rf"{_LETTER}|['’](?!s(?!{_LETTER})){_LETTER}")
"""What makes a word before it a longer one. An apostrophe does (don't), unless it is the possessive's."""
_ENDINGS: Final = ("'s\0", "’s\0")
"""As far as one must look to know whether a word is over."""


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
        at, text = len(self._before), self._before + self._held + text
        hold = len(text) if whole else self._lexicon.undecided(text, at)
        found: list[Spoken] = []
        for begin, end, spoken in self._lexicon.phrases(text, at, hold):
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
        self._exact, self._folded = _Phrases(exact), _Phrases(folded)
        self._longest = max(self._exact.longest, self._folded.longest)
        firsts = self._exact.firsts | self._folded.firsts
        firsts |= {first.upper() for first in self._folded.firsts}
        self._first = re.compile("|".join(map(re.escape, sorted(firsts))))

    def phrases(self, text: str, at: int, hold: int) -> Iterator[tuple[int, int, str | Sounds]]:
        """The phrases that begin from `at` on, before `hold`, in order: begin, end, what is spoken."""
        seen = _folded(text) if self._folded.longest else text
        while (first := self._first.search(text, at, hold)) is not None:
            begin = at = first.start()
            inside = begin > 0 and _IS_LETTER.match(text, begin - 1) is not None
            ends = (
                self._exact.end(text, begin, inside=inside),
                self._folded.end(seen, begin, inside=inside),
            )
            at = max(*ends, begin + 1)
            if ends[0] and ends[0] >= ends[1]:
                yield begin, at, _spoken(self._exact.rules[text[begin:at]])
            elif ends[1]:
                yield begin, at, _spoken(self._folded.rules[seen[begin:at]])

    def undecided(self, text: str, at: int) -> int:
        """Where the first phrase begins, from `at` on, that may go on, or be none, with what comes."""
        at = max(at, len(text) - self._longest - len(_ENDINGS[0]))
        for first in self._first.finditer(text, at):
            begin = first.start()
            inside = begin > 0 and _IS_LETTER.match(text, begin - 1) is not None
            rest = text[begin:]
            if self._exact.may_go_on(rest, inside=inside) or (
                self._folded.longest and self._folded.may_go_on(_folded(rest), inside=inside)
            ):
                return begin
        return len(text)


class _Phrases:
    """Those rules of a lexicon that see a text alike: as it is written, or without capitals."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self.rules = rules
        self.longest = max(map(len, rules), default=0)
        self.firsts = {phrase[0] for phrase in rules}
        bounded = {phrase for phrase, rule in rules.items() if _begins_word(phrase, rule)}
        others = rules.keys() - bounded
        self._all, self._within = _Words(rules), _Words(others)
        self._bounded = _Beginnings(self._decided(bounded))
        self._others = _Beginnings(self._decided(others))

    def end(self, text: str, begin: int, *, inside: bool) -> int:
        """Where the longest phrase ends that begins here, 0 if none does. inside: a letter is before it."""
        words = self._within if inside else self._all
        for phrase in words.beginnings_of(text[begin : begin + self.longest]):
            end = begin + len(phrase)
            if not (_ends_word(phrase, self.rules[phrase]) and _GOES_ON.match(text, end)):
                return end
        return 0

    def may_go_on(self, rest: str, *, inside: bool) -> bool:
        """Whether more text may make this, the end of a text, a phrase or another one."""
        return self._others.of(rest) or (not inside and self._bounded.of(rest))

    def _decided(self, phrases: Iterable[str]) -> list[str]:
        """Each phrase as far as one must have read to know that it is one."""
        return [
            phrase + ending
            for phrase in phrases
            for ending in (_ENDINGS if _ends_word(phrase, self.rules[phrase]) else ("",))
        ]


class _Words:
    """Words, to be asked which of them a text begins with."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = sorted(words)
        self._shorter: dict[str, str] = {}  # the longest other word that one begins with
        around: list[str] = []
        for word in self._words:
            while around and not word.startswith(around[-1]):
                around.pop()
            if around:
                self._shorter[word] = around[-1]
            around.append(word)

    def beginnings_of(self, text: str) -> Iterator[str]:
        """The words that the text begins with, the longest first."""
        # The last word up to the text begins with all that are sought, or is one of them.
        place = bisect_right(self._words, text)
        word = self._words[place - 1] if place else ""
        while word:
            if text.startswith(word):
                yield word
            word = self._shorter.get(word, "")


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


def _folded(text: str) -> str:
    """Without capitals, as long as before."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)

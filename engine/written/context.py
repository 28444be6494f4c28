"""The language of a number: that of the letters around it in its sentence."""

from __future__ import annotations

import re
from typing import Final

from ..segmentation.scripts import IDEOGRAPHS, Script, script_of
from .money import SUFFIX
from .place import REACH
from .units import SPACED_UNIT

_LATIN_WORDS: Final = re.compile(r"[A-Za-zÀ-ÖØ-öø-ɏ]{2,}")
_ANY_LETTER: Final = re.compile(r"[^\W\d_]")
_WORD_SCRIPTS: Final = frozenset({Script.HAN, Script.KANA, Script.BOPOMOFO, Script.HANGUL})
_KANA: Final = re.compile("[\u3041-\u3096\u30a1-\u30fa\uff66-\uff9d]")
_TOKEN: Final = re.compile(r"[!-~¢-¿×÷²³°℃℉…–—‰′″€₩₹₽₺₫฿≤≥≈≠①-⑳½⅓⅔¼¾Ⅰ-ⅿ]{0,40}")
"""A number and what is attached to it without a blank."""
_OWN_LETTERS: Final = re.compile(rf"(?:[ \u202f]{SUFFIX}|{SPACED_UNIT})?")
"""Letters that belong to the number."""
_AHEAD: Final = 24
_ROOM: Final = 4
"""Extent of the text after a number that counts: 2 Latin words or 4 Han characters."""
_WORD_COST: Final = 2
_ONE_HAN: Final = re.compile(f"[{IDEOGRAPHS}]")


class SentenceContext:
    """The letters of the sentence so far, which decide the language of its numbers.

    default: the language ("en", "zh" or None) of a number without letters around it. latin, han: the
    language of those letters, None if numbers beside them are left as they are.
    tail: the last REACH characters.
    """

    __slots__ = ("_han", "_japanese", "_languages", "_last", "_words", "default", "tail")

    def __init__(
        self, default: str | None, *, latin: str | None = "en", han: str | None = "zh"
    ) -> None:
        self.default = default
        self._languages = {Script.LATIN: latin, Script.HAN: han}
        self.sentence_ended()

    def sentence_ended(self) -> None:
        """Begin a sentence."""
        self._han = self._words = 0
        self._japanese = False
        self._last: Script | None = None
        self.tail = ""

    def note(self, text: str, letters: str | None = None) -> None:
        """Add `text` to the sentence. letters: what is spoken in its place, None for itself."""
        if not text:
            return
        self.tail = (self.tail + text)[-REACH:]
        text = text if letters is None else letters
        words = len(_LATIN_WORDS.findall(text))
        self._words += words
        if text.isascii():
            self._last = Script.LATIN if words else self._last
            return
        self._han += len(_ONE_HAN.findall(text))
        self._japanese = self._japanese or _KANA.search(text) is not None
        places = reversed(range(len(text)))
        self._last = next(filter(None, (_letter(text, place) for place in places)), self._last)

    def language(self, text: str, begin: int) -> str | None:
        """The language of the expression at text[begin], before which everything is noted; None: leave it."""
        token = _TOKEN.match(text, begin)
        assert token is not None
        own = _OWN_LETTERS.match(text, token.end())
        end = own.end() if own else token.end()
        if self._japanese or _KANA.search(text, end, end + _AHEAD):
            return None
        beside = (text[begin - 1 : begin], text[end : end + 1])
        if any(_ONE_HAN.match(char) for char in beside):
            return self._languages[Script.HAN]
        han, words, first = _ahead(text, end)
        near = {script for script in (self._last, first) if script is not None}
        if not near:
            return self.default
        if not near <= {Script.HAN, Script.LATIN}:
            return None
        han, words = han + self._han, words + self._words
        if near == {Script.LATIN}:
            words *= 2
        chinese = near == {Script.HAN} or han > words
        return self._languages[Script.HAN if chinese else Script.LATIN]


def _ahead(text: str, at: int) -> tuple[int, int, Script | None]:
    """Count Han characters and Latin words after `at`, and find the script of the first letter."""
    han = words = 0
    first = previous = None
    if _ANY_LETTER.search(text, at, at + _AHEAD) is None:
        return 0, 0, None
    for place in range(at, min(at + _AHEAD, len(text))):
        script = _letter(text, place)
        first = first or script
        han += script is Script.HAN
        words += script is Script.LATIN and previous is not Script.LATIN
        if han + _WORD_COST * words > _ROOM:
            break
        previous = script
    return han, words, first


def _letter(text: str, place: int) -> Script | None:
    """The script of the letter at `place`, None for a lone letter of an alphabet: a sign of any language."""
    script = _script(text[place])
    if script is None or script in _WORD_SCRIPTS:
        return script
    beside = (text[place - 1 : place], text[place + 1 : place + 2])
    return script if any(char and _script(char) is script for char in beside) else None


def _script(char: str) -> Script | None:
    if char.isascii():
        return Script.LATIN if char.isalpha() else None
    return script_of(char) if char.isalpha() else None

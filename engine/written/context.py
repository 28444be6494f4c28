"""Which language a number is read in: that of the letters around it in its sentence."""

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
"""What a number is written with, and what hangs on it without a blank."""
_OWN_LETTERS: Final = re.compile(rf"(?:[ \u202f]{SUFFIX}|{SPACED_UNIT})?")
"""Letters that belong to the number."""
_AHEAD: Final = 24
_ROOM: Final = 4
"""How much of what follows counts: 2 words of Latin letters or 4 characters of Han."""
_WORD_COST: Final = 2
_ONE_HAN: Final = re.compile(f"[{IDEOGRAPHS}]")


class SentenceContext:
    """The letters of the sentence so far.

    default: the language ("en", "zh" or None) of a number without any letters around it. latin, han:
    the language that those letters are read in, None for one whose numbers are left as they are.
    """

    __slots__ = ("_han", "_japanese", "_languages", "_last", "_words", "default", "tail")

    def __init__(
        self, default: str | None, *, latin: str | None = "en", han: str | None = "zh"
    ) -> None:
        self.default = default
        self._languages = {Script.LATIN: latin, Script.HAN: han}
        self.sentence_ended()

    def sentence_ended(self) -> None:
        """A sentence begins."""
        self._han = self._words = 0
        self._japanese = False
        self._last: Script | None = None
        self.tail = ""

    def note(self, text: str, letters: str | None = None) -> None:
        """The sentence goes on with `text`. letters: what is spoken in its place, if not itself."""
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
        """The language of the expression that begins at text[begin]; what is before it is noted."""
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
    """Han and words after `at`, as far as they count, and the script of the first letter."""
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
    """The script of a letter of a word there; a lone letter of an alphabet is a sign of any language."""
    script = _script(text[place])
    if script is None or script in _WORD_SCRIPTS:
        return script
    beside = (text[place - 1 : place], text[place + 1 : place + 2])
    return script if any(char and _script(char) is script for char in beside) else None


def _script(char: str) -> Script | None:
    if char.isascii():
        return Script.LATIN if char.isalpha() else None
    return script_of(char) if char.isalpha() else None

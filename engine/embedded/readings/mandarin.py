"""What of a Mandarin text is given to espeak-ng in pinyin, because it would read the characters wrongly.

espeak-ng knows many characters' readings from its own phrases, but not all, and it spells out a few
syllables in English. What it reads rightly stays as it is written, so that it sounds as ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from ...origins import Origins
from .contexts import CONTEXTS
from .phonemes import spelled
from .phrases import load_phrases, phrases_in, syllables

__all__ = ["Mandarin", "load_phrases"]

_HAN: Final = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]+")

_TONES: Final = {"55": "1", "35": "2", "214": "3", "51": "4", "11": "5"}
_TONE: Final = re.compile("(55|35|214|51|11)")
_NO_SOUND: Final = re.compile(r"[',|% ]|_[:!|]?")
_GARBLED: Final = "("
"""Stands where espeak-ng changes to its English voice."""
_CODAS: Final = ("", "n", "N")
_SANDHI: Final = "一不"
"""Their tones go with what follows, which espeak-ng knows."""

_SPELLED_OUT: Final = {
    char: reading
    for reading, chars in {
        "xiong1": "兄凶匈汹胸芎讻恟兇洶",
        "xiong2": "雄熊",
        "xiong4": "诇敻",
        "qiong2": "穷琼穹邛茕筇蛩跫窮瓊",
        "jiong1": "扃坰駉",
        "jiong3": "窘炯迥炅泂",
    }.items()
    for char in chars
}
_SUFFIX: Final = "儿"
_SUFFIX_SOUND: Final = "er5"


class _Change(NamedTuple):
    """text[begin:end] is to be said as `pinyin`."""

    begin: int
    end: int
    pinyin: str


class _Syllable(NamedTuple):
    """Names of phonemes: what comes before the tone, and what after."""

    onset: str
    tone: str
    coda: str


class Mandarin:
    """phonemes: what espeak-ng would say for a text, as names of phonemes. phrases: of load_phrases."""

    def __init__(self, phonemes: Callable[[str], str], phrases: Mapping[str, str]) -> None:
        self._phonemes = phonemes
        self._phrases = phrases
        self._syllables: dict[str, _Syllable | None] = {}

    def respelled(self, text: str) -> tuple[str, Origins]:
        """The text for espeak-ng, and how its places are places in `text`."""
        origins, parts, at = Origins(), [], 0
        for run in _HAN.finditer(text):
            for begin, end, pinyin in self._changes(run[0]):
                begin, end = begin + run.start(), end + run.start()
                before, after = text[begin - 1 : begin], text[end : end + 1]
                put = " " * before.isalnum() + spelled(pinyin) + " " * after.isalnum()
                parts += [text[at:begin], put]
                origins.copy(begin - at)
                origins.replace(end - begin, len(put))
                at = end
        origins.copy(len(text) - at)
        return "".join([*parts, text[at:]]), origins

    def _changes(self, run: str) -> list[_Change]:
        """What is to be changed in a row of Han, in order."""
        if len(run) < 2 and run not in _SPELLED_OUT:
            return []
        forced = self._spelled_out(run) if _GARBLED in self._phonemes(run) else []
        found, at = list(forced), 0
        wanted = list(self._wanted(run))
        for border in (*forced, _Change(len(run), len(run), "")):
            part = run[at : border.begin]
            own = _TONE.split(self._sounds(part)) if part else []
            if len(own) == 2 * len(part) + 1:
                inside = [c for c in wanted if at <= c.begin and c.end <= border.begin]
                found += filter(None, (self._checked(run, change, own, at) for change in inside))
            at = border.end
        return sorted(found)

    def _wanted(self, run: str) -> Iterator[_Change]:
        """What contexts and phrases say of a row of Han; apart, in any order."""
        taken: set[int] = set()
        for pattern, reading in CONTEXTS:
            for match in pattern.finditer(run):
                begin, end = match.span(match.lastindex or 0)
                if taken.isdisjoint(range(begin, end)):
                    taken.update(range(begin, end))
                    yield _Change(begin, end, reading)
        for begin, end in phrases_in(run, self._phrases):
            if taken.isdisjoint(range(begin, end)):
                yield _Change(begin, end, " ".join(syllables(self._phrases[run[begin:end]])))

    def _checked(self, run: str, change: _Change, own: list[str], at: int) -> _Change | None:
        """The change, if espeak-ng would say something else.

        A neutral tone is no difference: phrases are written without, and espeak-ng knows of many.
        own: of run[at:], what comes between tones, and the tones.
        """
        readings = change.pinyin.split()
        if len(readings) != change.end - change.begin:
            return None
        differs, said, coda = False, [], None
        for place, reading in enumerate(readings, change.begin):
            syllable = self._syllable(reading)
            if syllable is None:
                return None
            sound, tone, rest = own[2 * (place - at) : 2 * (place - at) + 3]
            before = sound.removesuffix(syllable.onset)
            alike = sound.endswith(syllable.onset) and (
                before in _CODAS if coda is None else before == coda
            )
            alike = alike and rest.startswith(syllable.coda)
            if (
                alike
                and tone != syllable.tone
                and ("11" in (tone, syllable.tone) or run[place] in _SANDHI)
            ):
                reading = reading[:-1] + _TONES[tone]
            elif not alike or tone != syllable.tone:
                differs = True
            said.append(reading)
            coda = syllable.coda
        return change._replace(pinyin="".join(said)) if differs else None

    def _spelled_out(self, run: str) -> list[_Change]:
        """The characters of the row that espeak-ng spells out in English."""
        found = []
        for place, char in enumerate(run):
            if char in _SPELLED_OUT:
                found.append(_Change(place, place + 1, _SPELLED_OUT[char]))
            elif char == _SUFFIX and any(
                _GARBLED in self._phonemes(run[max(0, begin) : end])
                for begin, end in (
                    (place - 1, place + 1),
                    (place - 2, place + 1),
                    (place - 1, place + 2),
                )
            ):
                found.append(_Change(place, place + 1, _SUFFIX_SOUND))
        return found

    def _syllable(self, reading: str) -> _Syllable | None:
        """The sounds of a syllable, None if espeak-ng has none for it."""
        if reading not in self._syllables:
            parts = _TONE.split(self._sounds(spelled(reading)))
            good = len(parts) == 3 and _GARBLED not in parts[0] and reading[-1:] == _TONES[parts[1]]
            self._syllables[reading] = _Syllable(*parts) if good else None
        return self._syllables[reading]

    def _sounds(self, text: str) -> str:
        return _NO_SOUND.sub("", self._phonemes(text))

"""Special tokens that are sounds: pinyin and the phonemes of the CMU dictionary, written in brackets.

A text spells a word by them, as in `他把计划[zh][òng]新写了一遍。` or `[R][EH1][D]`. Brackets stand in other
texts too (`x[i][j]`, `[a]`), so tokens are sounds only in a row of them in which one has a tone mark or a
stress digit; any other row is text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from ...segmentation.lookahead import NeedMoreText

ALPHABETS: Final = frozenset({"py", "cmu"})
LONGEST_ROW: Final = 160
"""Characters of one row of tokens; a longer one is two."""

_VOWELS: Final = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
_CONSONANTS: Final = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"
_INITIALS: Final = "b c ch d f g h j k l m n p q r s sh t w x y z zh"
_TONELESS: Final = "a ai an ang ao e ei en eng i ian in ing iu o ong ou u uang ue un uo"
_TONED: Final = (
    "ià iàn iàng iào iá ián iáng iáo iè ié iòng ióng iù iú iā iān iāng iāo iē iě iōng iū iǎ iǎn iǎng iǎo "
    "iǒng iǔ uà uài uàn uàng uá uái uán uáng uè ué uì uí uò uó uā uāi uān uāng uē uě uī uō uǎ uǎi uǎn "
    "uǎng uǐ uǒ vè à ài àn àng ào á ái án áng áo è èi èn èng èr é éi én éng ér ì ìn ìng í ín íng ò òng "
    "òu ó óng óu ù ùn ú ún ā āi ān āng āo ē ēi ēn ēng ě ěi ěn ěng ěr ī īn īng ō ōng ōu ū ūn ǎ ǎi ǎn ǎng "
    "ǎo ǐ ǐn ǐng ǒ ǒng ǒu ǔ ǔn ǘ ǚ ǜ"
)
PHONEMES: Final = tuple(
    f"[{name}]"
    for name in sorted(
        [
            *_CONSONANTS.split(),
            *(vowel + digit for vowel in _VOWELS.split() for digit in ("", *"012")),
        ]
    )
)
"""In the order of their token numbers."""
PINYIN: Final = tuple(f"[{name}]" for name in sorted(f"{_INITIALS} {_TONELESS} {_TONED}".split()))
"""In the order of their token numbers."""

_MARKS: Final = ("", "\u0304", "\u0301", "\u030c", "\u0300")
"""The combining marks of the tones 1 to 4."""
_SYLLABLE: Final = re.compile(r"(zh|ch|sh|[bcdfghjklmnpqrstwxyz])?([aeiouv]+(?:ng?|r)?)")
_TONE_DIGIT: Final = re.compile(r"([1-5])$")


class SoundTokens:
    """The tokens of these names, each in brackets. Immutable."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        spellings = {unicodedata.normalize(form, n) for n in self.names for form in ("NFC", "NFD")}
        self._longest = max(map(len, spellings))
        self._starts = {name[:size] for name in spellings for size in range(1, len(name))}
        row = "|".join(map(re.escape, sorted(spellings, key=len, reverse=True)))
        self._row = re.compile(f"(?:{row})+")

    def row_length(self, text: str, at: int, final: bool) -> int:
        """The length of the row of sounds at `at`, 0 if there is none. Raises NeedMoreText.

        final: nothing follows the text.
        """
        if text[at] != "[":
            return 0
        found = self._row.match(text, at, at + LONGEST_ROW)
        end = at if found is None else found.end()
        ahead = text[end : end + self._longest]
        goes_on = ahead in self._starts or (not ahead and end > at)
        at_the_end = end + len(ahead) == len(text) and end - at + self._longest <= LONGEST_ROW
        if not final and goes_on and at_the_end:
            raise NeedMoreText
        return end - at if found is not None and _is_marked(found[0]) else 0

    def split(self, row: str) -> list[str]:
        """The names of a row's tokens, in composed form."""
        return [f"[{name}" for name in unicodedata.normalize("NFC", row).split("[")[1:]]

    def spelled(self, alphabet: str, sounds: str) -> str | None:
        """A row for a word's sounds in one of ALPHABETS, None if there is none for them.

        py: syllables of pinyin with tone digits or marks (`zhong4 xin1`); cmu: phonemes of the CMU
        dictionary with stress digits (`R EH1 D`).
        """
        names: list[str] = []
        for part in sounds.split():
            found = _of_syllable(part) if alphabet == "py" else [f"[{part.upper()}]"]
            if not found or not self.names.issuperset(found):
                return None
            names += found
        row = "".join(names)
        return row if _is_marked(row) else None


def _is_marked(row: str) -> bool:
    """Whether a token of the row has a tone mark or a stress digit."""
    plain = unicodedata.normalize("NFD", row)
    return any(char.isdigit() or char in _MARKS[1:] for char in plain)


def _of_syllable(syllable: str) -> list[str] | None:
    """Initial and final of a syllable of pinyin, None if it is none."""
    plain = unicodedata.normalize("NFD", syllable.lower()).replace("u\u0308", "v")
    digit = _TONE_DIGIT.search(plain)
    marks = [mark for mark in _MARKS[1:] if mark in plain]
    if len(marks) > 1 or (marks and digit):
        return None
    tone = int(digit[1]) % 5 if digit else _MARKS.index(marks[0]) if marks else 0
    for mark in marks:
        plain = plain.replace(mark, "")
    match = _SYLLABLE.fullmatch(plain.replace("ü", "v")[: digit.start() if digit else None])
    if match is None:
        return None
    initial, final = match[1] or "", match[2]
    if initial in ("j", "q", "x", "y"):
        final = final.replace("v", "u")
    toned = _with_tone(final, tone)
    return [f"[{part}]" for part in (initial, toned) if part]


def _with_tone(final: str, tone: int) -> str:
    """The final with its tone's mark where pinyin puts it: on a or e, on the o of ou, else the last vowel."""
    vowels = [at for at, char in enumerate(final) if char in "aeiouv"]
    at = next((at for at in vowels if final[at] in "ae"), vowels[-1])
    if "ou" in final:
        at = final.index("o")
    marked = final[: at + 1] + _MARKS[tone] + final[at + 1 :]
    if final == "v":
        marked = marked.replace("v", "u\u0308")
    return unicodedata.normalize("NFC", marked)

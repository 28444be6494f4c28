"""List markers: what an item begins with, and the marker that its successor will have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .characters import is_blank
from .lookahead import Lookahead
from .scripts import is_cjk

_BULLETS: Final = frozenset("-*+–—#>·→")
"""A bullet only before a blank."""
_SIGNS: Final = frozenset("•‣▪◦●○■□◆◇★☆※►▶✓✔✅➤")
_OPENERS: Final = {"(": ")", "（": "）", "[": "]", "【": "】"}
_GLUED: Final = frozenset(".,)）、，。-/")
"""Characters after a point which show that number and point are part of something longer."""
_POINTS: Final = frozenset(".．)）、:：")
LABELS: Final = (
    *("Step", "Part", "Phase", "Stage", "Day", "Week", "Tip", "Rule", "Option", "Scene"),
)
"""Words before the number of a marker: Step 1:"""
_HAN_NUMERALS: Final = frozenset("一二三四五六七八九十")
_HAN_DIGITS: Final = ("", *"一二三四五六七八九")
_HAN_NUMBERS: Final = tuple(
    ten + one for ten in ("", "十", "二十", "三十") for one in _HAN_DIGITS if ten + one
)
_HAN_UNITS: Final = frozenset("步条章节点项课天")
_CIRCLED: Final = tuple(map(chr, range(0x2460, 0x2474)))
"""① to ⑳."""
_ROMAN: Final = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")


@dataclass(frozen=True, slots=True)
class Marker:
    """A list marker, without the blank after it.

    number: its value, 0 for a bullet. successor: the text of the next item's marker, "" if it has none.
    """

    text: str
    number: int = 0
    successor: str = ""


def find_marker(line: Lookahead, successor: str = "") -> Marker | None:
    """Find the marker that `line` begins with, None if there is none.

    successor: the marker that would continue the open list, "" if there is none. A capital letter is a
    marker only there or as the first of a list, since "J." and "C." begin names.
    Raises NeedMoreText.
    """
    first = line.char()
    if first in _SIGNS:
        return Marker(first)
    if first in _CIRCLED:
        number = _CIRCLED.index(first) + 1
        return Marker(first, number, _CIRCLED[number] if number < len(_CIRCLED) else "")
    if first in _BULLETS:
        return _bullet(line, first)
    if first == "第":
        return _han_label(line)
    if first in _OPENERS:
        found = _body(line.after(1))
        if found is None or line.char(1 + len(found[0])) != _OPENERS[first]:
            return None
        return _enumerator(first, found, _OPENERS[first])
    found = _body(line)
    if found is None:
        return _label(line) if first.isupper() else None
    body = found[0]
    point = line.char(len(body))
    if point not in _POINTS or not _stands_alone(line.after(len(body)), body, point):
        return _label(line) if first.isupper() else None
    marker = _enumerator("", found, point)
    if body.isupper() and point == "." and marker.text != successor and body not in {"A", "I"}:
        return None if len(body) == 1 else marker
    return marker


def numbers_item(word: str) -> bool:
    """Whether a word before a full stop, first on its line, is a marker: 1. a. ii."""
    return len(word) == 1 or (word.isdigit() and len(word) <= 3) or word.lower() in _ROMAN[1:]


def follows(line: Lookahead, marker: str) -> bool:
    """Whether the next item, whose marker is `marker`, begins at `line`. Raises NeedMoreText."""
    if not starts_with(line, marker):
        return False
    after = line.char(len(marker))
    if not is_blank(after or " "):
        return is_cjk(after) or marker[-1] not in ".:" or not after.isascii()
    following = line.after(len(marker))
    blanks = following.blanks()
    visible = following.char(blanks)
    newline = any(following.char(place) in "\r\n" for place in range(blanks))
    return bool(visible) and not newline and not visible.isdigit()


def starts_with(line: Lookahead, text: str) -> bool:
    """Whether `line` begins with `text`. Raises NeedMoreText."""
    return all(line.char(offset) == char for offset, char in enumerate(text))


def _bullet(line: Lookahead, first: str) -> Marker | None:
    length = 1
    while first == "#" and length < 6 and line.char(length) == "#":
        length += 1
    return Marker(first * length) if is_blank(line.char(length) or " ") else None


def _body(line: Lookahead) -> tuple[str, int, str] | None:
    """Read a number or letter, its value and the one that follows it; None if there is none."""
    first = line.char()
    count = 0
    if first.isdigit():
        while count < 4 and line.char(count).isdigit():
            count += 1
        body = _text(line, count)
        if count > 3 or not body.isdecimal():
            return None
        return body, int(body), str(int(body) + 1)
    if first in _HAN_NUMERALS:
        while count < 4 and line.char(count) in _HAN_NUMERALS and line.char(count):
            count += 1
        body = _text(line, count)
        if body not in _HAN_NUMBERS:
            return None
        number = _HAN_NUMBERS.index(body) + 1
        return body, number, "".join(_HAN_NUMBERS[number : number + 1])
    if not (first.isascii() and first.isalpha()):
        return None
    count = 1
    if first.lower() in "ivx":
        while count < 5 and line.char(count).lower() in {"i", "v", "x"}:
            count += 1
    body = _text(line, count)
    if (
        body.lower() in _ROMAN
        and (body.islower() or body.isupper())
        and (count > 1 or first in "iI")
    ):
        number = _ROMAN.index(body.lower())
        following = "".join(_ROMAN[number + 1 : number + 2])
        return body, number, following.upper() if body.isupper() else following
    if count != 1:
        return None
    following = "" if first in "zZ" else chr(ord(first) + 1)
    return body, ord(first.lower()) - ord("a") + 1, following


def _stands_alone(following: Lookahead, body: str, point: str) -> bool:
    """Whether number and point are not part of something else: 1.5, 10:30, i.e., 三、四."""
    after = following.char(1)
    if is_blank(after or " "):
        return point != ":" or body.isdigit()
    if after.isdigit() or after in _HAN_NUMERALS or after in _GLUED:
        return False
    if point in ")）":
        return True
    if body.isdigit():
        return point in "、．：" or is_cjk(after) or (point == "." and after.isalpha())
    return point in "、．" and is_cjk(after)


def _label(line: Lookahead) -> Marker | None:
    """Find `Step 1:` and the like."""
    label = next((f"{label} " for label in LABELS if starts_with(line, f"{label} ")), None)
    if label is None:
        return None
    found = _body(line.after(len(label)))
    if found is None or not found[0].isdigit():
        return None
    length = len(label) + len(found[0])
    point = line.char(length)
    if point not in {":", ".", "："} or not is_blank(line.char(length + 1) or " "):
        return None
    return _enumerator(label, found, point)


def _han_label(line: Lookahead) -> Marker | None:
    """Find `第一步：` and the like."""
    found = _body(line.after(1))
    if found is None:
        return None
    unit = line.char(1 + len(found[0]))
    if unit not in _HAN_UNITS:
        return None
    point = line.char(2 + len(found[0]))
    return _enumerator("第", found, unit + point) if point in {"：", ":", "、"} else None


def _enumerator(before: str, found: tuple[str, int, str], point: str) -> Marker:
    body, number, following = found
    successor = f"{before}{following}{point}" if following else ""
    return Marker(f"{before}{body}{point}", number, successor)


def _text(line: Lookahead, count: int) -> str:
    return line.text[line.at : line.at + count]

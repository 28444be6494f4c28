"""Numbers in words, in English ("en") and Chinese ("zh")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_ONES: Final = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
_TENS: Final = (
    "",
    "",
    *["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"],
)
_THOUSANDS: Final = ("", "thousand", "million", "billion", "trillion")
_IRREGULAR: Final = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_HAN: Final = "零一二三四五六七八九"
_HAN_UNITS: Final = ("", "十", "百", "千")
_HAN_MYRIADS: Final = ("", "万", "亿", "万亿")
_ROMAN: Final = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
MOST_DIGITS: Final = 15
"""Most digits of a number that is said as one; a longer one is said digit by digit."""


def digits(text: str, language: str, *, telephone: bool = False) -> str:
    """ASCII digits one by one. telephone: 1 is "yao" in Chinese, which does not sound like 7."""
    if language == "zh":
        said = "".join(_HAN[int(char)] for char in text)
        return said.replace("一", "幺") if telephone else said
    return " ".join(_ONES[int(char)] for char in text)


def cardinal(text: str, language: str) -> str:
    """ASCII digits as a number."""
    number = text.lstrip("0") or "0"
    if len(number) > MOST_DIGITS:
        return digits(text, language)
    return _han(int(number)) if language == "zh" else _english(int(number))


def decimal(whole: str, part: str, language: str) -> str:
    """A number. part: the digits after the point, "" if there are none."""
    if not part:
        return cardinal(whole, language)
    if language == "zh":
        return f"{cardinal(whole, language)}点{digits(part, language)}"
    return f"{cardinal(whole, language)} point {digits(part, language)}"


def count(whole: str, part: str, language: str) -> str:
    """A number of things with a measure word: two of them are "liang" in Chinese."""
    if language == "zh" and not part and whole.lstrip("0") == "2":
        return "两"
    return decimal(whole, part, language)


def digit_groups(groups: Iterable[str], language: str, *, telephone: bool = False) -> str:
    """Groups of ASCII digits, one by one, with short pauses between the groups."""
    said = [digits(group, language, telephone=telephone) for group in groups]
    return ("，" if language == "zh" else ", ").join(said)


def times_ten(whole: str, part: str, zeros: int) -> tuple[str, str]:
    """A number times ten to the power of `zeros`."""
    moved = part[:zeros].ljust(zeros, "0")
    return (whole + moved).lstrip("0") or "0", part[zeros:].rstrip("0")


def ordinal(text: str, language: str) -> str:
    """ASCII digits as an ordinal number."""
    said = cardinal(text, language)
    if language == "zh":
        return "第" + said
    at = max(said.rfind(" "), said.rfind("-")) + 1
    last = said[at:]
    if last in _IRREGULAR:
        return said[:at] + _IRREGULAR[last]
    return said[:at] + (last[:-1] + "ieth" if last.endswith("y") else last + "th")


def year(text: str, language: str) -> str:
    """A year of up to four digits."""
    if language == "zh":
        return digits(text, language)
    number = int(text)
    century, years = divmod(number, 100)
    if number < 1000 or number > 9999 or (century % 10 == 0 and years < 10):
        return _english(number)
    if years == 0:
        return f"{_english(century)} hundred"
    return f"{_english(century)} {'oh ' if years < 10 else ''}{_english(years)}"


def roman_number(numeral: str) -> int:
    """The value of a Roman numeral, in letters of either case."""
    values = [_ROMAN[letter] for letter in numeral.upper()]
    following = [*values[1:], 0]
    return sum(-one if one < after else one for one, after in zip(values, following, strict=True))


def _english(number: int) -> str:
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")
    if number < 1000:
        hundreds, below = divmod(number, 100)
        return f"{_ONES[hundreds]} hundred" + (f" {_english(below)}" if below else "")
    parts = []
    for name in _THOUSANDS:
        number, group = divmod(number, 1000)
        if group:
            parts.append(f"{_english(group)} {name}".rstrip())
    return " ".join(reversed(parts))


def _han(number: int) -> str:
    if number == 0:
        return _HAN[0]
    groups = []
    while number:
        number, group = divmod(number, 10_000)
        groups.append(group)
    said = ""
    for place in reversed(range(len(groups))):
        group = groups[place]
        if not group:
            continue
        # A zero is said where digits are skipped.
        skipped = said and (group < 1000 or groups[place + 1] == 0)
        unit = _HAN_MYRIADS[place]
        if place == 3 and len(groups) > 2 and groups[2]:
            unit = "万"
        said += (_HAN[0] if skipped else "") + _han_group(group) + unit
    if said[0] == "二" and said[1:2] not in ("", "十"):
        said = "两" + said[1:]
    return said.removeprefix("一") if said.startswith("一十") else said


def _han_group(number: int) -> str:
    said, zero = "", False
    for place in reversed(range(4)):
        digit = number // 10**place % 10
        if digit == 0:
            zero = bool(said)
            continue
        said += (_HAN[0] if zero else "") + _HAN[digit] + _HAN_UNITS[place]
        zero = False
    return said

"""A number with its sign, currency, scale and unit, in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .money import Currency, money
from .numbers import MOST_DIGITS, count, decimal, digits, times_ten
from .place import Place
from .units import Unit, measured

_SCALES: Final = {
    "k": ("thousand", 3),
    "thousand": ("thousand", 3),
    "m": ("million", 6),
    "mn": ("million", 6),
    "million": ("million", 6),
    "b": ("billion", 9),
    "bn": ("billion", 9),
    "billion": ("billion", 9),
    "t": ("trillion", 12),
    "tn": ("trillion", 12),
    "trillion": ("trillion", 12),
}
_YUAN_AFTER: Final = re.compile(r"[ ]?[\u4e00-\u9fff]{0,2}[元块]")
_MEGA_AFTER: Final = re.compile("[ ]?的?(?:宽带|流量|内存|带宽|网速|光纤|网络|空间)")
_HOURLY: Final = re.compile("时速[为是约达]?[ ]?$")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as it is written, up to `end`, with what belongs to it.

    sign: "-", "+" or "". number_end: where the number ends, with its scale.
    """

    end: int
    sign: str
    whole: str
    part: str
    scale: str = ""
    currency: Currency | None = None
    unit: Unit | None = None
    hyphen: bool = False
    percent: str = ""
    number_end: int = 0

    @property
    def bare(self) -> bool:
        return not (self.scale or self.currency or self.unit or self.percent)

    @property
    def value(self) -> float:
        size = float(f"0{self.whole[:MOST_DIGITS]}.{self.part[:MOST_DIGITS] or 0}")
        return -size if self.sign == "-" else size


def quantity_words(read: Quantity, place: Place) -> str:
    """What is said for `read` there."""
    sign = place.pick(
        {"-": "minus ", "+": "plus "}.get(read.sign, ""), _CHINESE_SIGN.get(read.sign, "")
    )
    return sign + (_chinese(read, place) if place.zh else _english(read))


_CHINESE_SIGN: Final = {"-": "负", "+": "正"}


def unit_words(read: Quantity, words: str) -> str:
    """The end of the English `words` for `read` that is said for what follows the number, "" if none is."""
    if read.currency:
        names = (read.currency.one, read.currency.many)
        return next((name for name in names if words.endswith(f" {name}")), "")
    if read.percent:
        return words[words.rindex(" per") + 1 :]
    if read.unit:
        names = (read.unit.english(one=True), read.unit.english(one=False))
        return next((name for name in names if words.endswith(f" {name}")), "")
    return ""


def _chinese(read: Quantity, place: Place) -> str:
    whole, part, scale = read.whole, read.part, read.scale
    if _YUAN_AFTER.match(place.text, read.end):
        part = part.rstrip("0")
    if scale == "M" and _MEGA_AFTER.match(place.text, read.end):
        return decimal(whole, part, "zh") + "兆"
    if scale.lower() in _SCALES:
        whole, part = times_ten(whole, part, _SCALES[scale.lower()][1])
        scale = ""
    if read.currency:
        said = money(read.currency._replace(chinese=""), whole, part, "zh") or decimal(
            whole, part, "zh"
        )
        said += scale + read.currency.chinese
        return f"{said}每{read.unit.chinese}" if read.unit else said
    if read.percent:
        number = (
            "百" if (whole, part, read.percent) == ("100", "", "%") else decimal(whole, part, "zh")
        )
        return ("百分之" if read.percent == "%" else "千分之") + number
    if read.unit:
        said = count(whole, part, "zh") if read.unit.liang else decimal(whole, part, "zh")
        if read.unit.per and _HOURLY.search(place.before):
            return said + read.unit.chinese
        return read.unit.said_in_chinese(said)
    if measured(place.text, read.end) and not place.before.endswith("第"):
        return count(whole, part, "zh")
    return decimal(whole, part, "zh")


def _english(read: Quantity) -> str:
    scale = _SCALES[read.scale.lower()][0] if read.scale.lower() in _SCALES else ""
    point = f"point {digits(read.part, 'en')}"
    number = decimal(read.whole, read.part, "en") if read.whole else point
    if read.currency:
        if scale or len(read.whole) > MOST_DIGITS:
            said = f"{number} {scale}".rstrip() + f" {read.currency.many}"
        else:
            said = money(read.currency, read.whole or "0", read.part, "en") or number
        return f"{said} per {read.unit.one}" if read.unit else said
    if scale:
        number = f"{number} {scale}"
    if read.percent:
        return number + (" percent" if read.percent == "%" else " per thousand")
    if read.unit:
        one = read.hyphen or (read.whole.lstrip("0") == "1" and not read.part and not scale)
        return f"{number} {read.unit.english(one=one)}"
    return number

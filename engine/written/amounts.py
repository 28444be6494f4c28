"""Amounts: a number with its sign, currency, scale and unit, alone or in a range."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from ..segmentation.scripts import IDEOGRAPHS
from .money import CURRENCIES, PREFIX, SUFFIX, Currency, money
from .numbers import MOST_DIGITS, count, decimal, digits, times_ten
from .place import Found, Place
from .units import INCH, Unit, measured, per_at, unit_at

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
_YUAN_AFTER: Final = re.compile(rf"[ ]?[{IDEOGRAPHS}]{{0,2}}[元块]")
_MEGA_AFTER: Final = re.compile("[ ]?的?(?:宽带|流量|内存|带宽|网速|光纤|网络|空间)")
_HOURLY: Final = re.compile("时速[为是约达]?[ ]?$")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as it is written, with what belongs to it; the whole ends at `end`.

    sign: "-", "+" or "". whole, part: the digits before and after the point. hyphen: whether one joins
    the unit ("a 10-km run"). number_end: where the number ends, its scale included.
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
    """The words for `read` at `place`."""
    sign = place.pick(
        {"-": "minus ", "+": "plus "}.get(read.sign, ""), _CHINESE_SIGN.get(read.sign, "")
    )
    return sign + (_chinese(read, place) if place.zh else _english(read))


_CHINESE_SIGN: Final = {"-": "负", "+": "正"}


def unit_words(read: Quantity, words: str) -> str:
    """The end of the English `words` for `read` that stands for what follows the number, "" if none does."""
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


_GROUPS: Final = (
    r"\d{1,3}(?:,\d{3})+(?!\d)|\d{1,2}(?:,\d{2})+,\d{3}(?!\d)|\d{1,3}(?:[\u202f'_]\d{3})+(?!\d)"
    r"|[1-9]\d{0,2}(?: \d{3}){2,}(?![ ]?\d)|[1-9]\d{0,2} 000(?![ ]?\d)"
)
NUMBER: Final = re.compile(rf"({_GROUPS}|\d+)?(?:\.(\d+)(?!\.?\d))?")
_EUROPEAN: Final = re.compile(r"(\d{1,3}(?:\.\d{3})+|\d+),(\d\d)(?!\d|,\d)")
_COMPARISON: Final = re.compile(r"(<=|>=|!=|[<>≤≥≈≠~]|±)[ \u202f]?")
COMPARED: Final = {
    ">": ("greater than", "大于"),
    "<": ("less than", "小于"),
    "≥": ("greater than or equal to", "大于等于"),
    "≤": ("less than or equal to", "小于等于"),
    ">=": ("greater than or equal to", "大于等于"),
    "<=": ("less than or equal to", "小于等于"),
    "≈": ("approximately", "约等于"),
    "~": ("about", "约"),
    "≠": ("not equal to", "不等于"),
    "!=": ("not equal to", "不等于"),
    "±": ("plus or minus", "正负"),
}
_SIGN: Final = re.compile(r"[-–+](?=[\d.]|" + PREFIX + r"[ ]?[\d.])")
_CURRENCY: Final = re.compile(rf"({PREFIX})[ \u202f]?(-?)(?=\.?\d)")
_SUFFIX: Final = re.compile(rf"[ \u202f]?({SUFFIX})(?!\.?\d)")
_SCALE: Final = re.compile(
    r"([ \u202f](?:thousand|million|billion|trillion)|[万亿千百]+|[ ]?(?:bn|mn|tn)|[kKMBmTb])(?![A-Za-z0-9])"
)
_PERCENT: Final = re.compile(r"[ \u202f]?([%‰])")
_TO: Final = re.compile(r"([ \u202f]?)([-–—~])([ \u202f]?)(?=[-+]?(?:" + PREFIX + r"[ ]?)?\.?\d)")
_UNTIL: Final = re.compile(r"[-–—~](?=\d)")
_COUNT_BEFORE: Final = re.compile(rf"\d[{IDEOGRAPHS}]{{1,3}}$")
_SPACED_INCHES: Final = re.compile(r"[ ]in(?:\.(?= [a-z0-9])|(?![A-Za-z]))")
_FEET_BEFORE: Final = re.compile(r"(?:ft|feet|foot)[.,]? $")
_YUAN: Final = re.compile("元")
_SUM: Final = re.compile(r"[ ]?=")
_SCORE_BEFORE: Final = re.compile("(?:比分|以|[战大险惜]?胜|负|战平|击败|赢|输|总分)[为是]?[ ]?$")
_ROOM_BEFORE: Final = re.compile(
    r"(?i)(?<![a-z])(?:apt|apartment|suite|ste|unit|room|rm|flat|gate|seat|row|platform|building|bldg|hall"
    r"|section|exhibit|question|option)\.? $|(?:座位|登机口|房间)[号是为:：]?[ ]?$"
)
_STREET_AFTER: Final = re.compile(
    r" (?:[A-Z][a-z]{1,20} ){1,3}"
    r"(?:St|Street|Ave|Avenue|Rd|Road|Ln|Lane|Dr|Drive|Blvd|Way|Court|Place)(?![a-z])"
)
_TAG_BEFORE: Final = re.compile(r"<[/A-Za-z][^<> ]*$")
_SIGNED_MEASURE: Final = re.compile(r"[-+]\d{1,9}(?:\.\d{1,9})?[ ]?[%‰°℃℉元度]")
"""After Han this is a minus sign, not a hyphen."""
_MINUS_BEFORE: Final = re.compile("[是为到至在约达于降升低高外内温从零近负减差跌涨得即和与或、]$")


def until(place: Place) -> Found | None:
    """The dash of 3月-5月 and 5元~6元."""
    found = place.match(_UNTIL)
    return (
        Found(found.end(), "到")
        if found and place.zh and _COUNT_BEFORE.search(place.before)
        else None
    )


def amount(place: Place) -> Found | None:
    """>3, -12℃, $2,375.40, 1.5M, 50km/h, 10-20%, 3,500,000, .5."""
    compared, at = "", place.at
    found = place.match(_COMPARISON)
    arrow = place.before[-1:] in ("-", "=", "<", ">") or _TAG_BEFORE.search(place.before)
    if found and not (found[1] in "<>" and arrow):
        compared, at = place.pick(*COMPARED[found[1]]), found.end()
    elif found:
        return None
    first = _one(place, at, signed=bool(compared) or _sign_stands(place))
    if first is None:
        return None
    said = _range(place, first) or _alone(place, first)
    if not compared:
        return said
    parts: tuple[Found, ...] = ()
    if place.text[at - 1].isspace():
        parts = (Found(at - 1, compared), *(said.parts or (said,)))
    return Found(said.end, f"{compared}{place.pick(' ', '')}{said.words}", parts)


def _alone(place: Place, read: Quantity) -> Found:
    words = quantity_words(read, place)
    if place.zh or not place.text[read.number_end : read.number_end + 1].isspace():
        return Found(read.end, words)
    unit = unit_words(read, words)
    if read.end == read.number_end or not unit:
        return Found(read.end, words)
    number = words.removesuffix(unit).rstrip()
    return Found(read.end, words, (Found(read.number_end, number), Found(read.end, unit)))


def _sign_stands(place: Place) -> bool:
    """Whether a sign here belongs to the number after it, and is no hyphen or operator."""
    before = place.before[-1:]
    if not before or before in " \u202f([{\"'“‘（【「:=,，：、；。<>≤≥≈~/|":
        return True
    if before.isascii() or not before.isalpha():
        return not before.isascii() and not before.isdigit() and before not in "–—"
    return bool(_MINUS_BEFORE.search(before)) or bool(place.match(_SIGNED_MEASURE))


def _one(
    place: Place, at: int, *, signed: bool, currency: Currency | None = None
) -> Quantity | None:
    """Read one amount. currency: its currency, unless it names one itself."""
    text = place.text
    sign = ""
    if found := _SIGN.match(text, at):
        if not signed:
            return None
        sign, at = found[0].replace("–", "-"), found.end()
    if found := _CURRENCY.match(text, at):
        currency, at, sign = CURRENCIES[found[1]], found.end(), found[2] or sign
    number = _EUROPEAN.match(text, at)
    if number is None or not (currency or _SUFFIX.match(text, number.end())):
        number = NUMBER.match(text, at)
    if number is None or not number[0] or number[0] == ".":
        return None
    whole = re.sub(r"\D", "", number[1] or "")
    end = number.end()
    read = Quantity(end, sign, whole, number[2] or "", currency=currency, number_end=end)
    return _with_unit(place, read)


def _with_unit(place: Place, read: Quantity) -> Quantity:
    """`read` with the scale and the currency, unit or percent sign that follow the number."""
    text = place.text
    if found := _SCALE.match(text, read.end):
        name = found[1].strip(" \u202f")
        if _is_scale(place, read, name):
            read = replace(read, end=found.end(), number_end=found.end(), scale=name)
    if read.currency:
        again = _SUFFIX.match(text, read.end) or _YUAN.match(text, read.end)
        same = again and CURRENCIES.get(again[0].strip()) == read.currency
        end = again.end() if again and same else read.end
        if per := per_at(text, end):
            return replace(read, unit=per[0], end=per[1])
        return replace(read, end=end)
    if found := _PERCENT.match(text, read.end):
        return replace(read, percent=found[1], end=found.end())
    if found := _SUFFIX.match(text, read.end):
        return replace(read, currency=CURRENCIES[found[1]], end=found.end())
    inches = _SPACED_INCHES.match(text, read.end)
    if inches and (inches[0].endswith(".") or _FEET_BEFORE.search(place.before)):
        return replace(read, unit=INCH, end=inches.end())
    if unit := unit_at(text, read.end):
        return replace(read, unit=unit[0], end=unit[1], hyphen=unit[2])
    return read


def _is_scale(place: Place, read: Quantity, name: str) -> bool:
    if name in "BKM" and not read.currency and not read.part and _is_place(place, read.end + 1):
        return False
    if name[0] in "万亿千百":
        return place.zh and bool(read.currency)
    if len(name) > 1 or read.currency:
        return len(name) < 4 or bool(read.currency)
    return (name in "MB" and not (name == "B" and read.part == "" and place.zh)) or (
        name in "kK" and (name == "k" or read.part != "" or len(read.whole) > 1)
    )


def _is_place(place: Place, end: int) -> bool:
    """Whether a number with a letter, up to `end`, names a house, a flat, a gate or a seat."""
    return bool(_ROOM_BEFORE.search(place.before) or _STREET_AFTER.match(place.text, end))


def _range(place: Place, first: Quantity) -> Found | None:
    joint = _TO.match(place.text, first.end)
    if joint is None or (joint[1] and not joint[3]) or (first.hyphen and first.unit):
        return None
    last = _one(place, joint.end(), signed=joint[2] != "-" or not joint[1], currency=first.currency)
    if last is None or _SUM.match(place.text, last.end) or per_at(place.text, last.end):
        return None
    spaced = bool(joint[1])
    if spaced and joint[2] == "-" and last.value <= first.value:
        return None
    if joint[2] == "-" and last.sign == "-" and not first.sign:
        return None
    if not first.bare and last.bare and not first.currency and not last.unit:
        return None
    said = _range_words(place, first, last)
    parts: tuple[Found, ...] = ()
    if spaced and len(said) == 3:
        ends = (first.end, joint.end(2), last.end)
        parts = tuple(Found(end, words.strip()) for end, words in zip(ends, said, strict=True))
    return Found(last.end, "".join(said), parts)


def _range_words(place: Place, first: Quantity, last: Quantity) -> tuple[str, ...]:
    """The first amount, the word between and the last amount, or all in one if they are said as one."""
    if last.percent and first.bare:
        first = replace(first, percent=last.percent)
    same = (first.unit, first.currency) in (
        (None, None),
        (last.unit, last.currency),
        (None, last.currency),
    )
    score = (
        place.zh
        and first.bare
        and last.bare
        and (_SCORE_BEFORE.search(place.before) or (last.value < first.value))
    )
    to = place.pick(" to ", "比" if score else "到")
    if not same or (first.currency and last.unit):
        return quantity_words(first, place), to, quantity_words(last, place)
    if first.percent == last.percent and first.percent and place.zh:
        return quantity_words(first, place), to, quantity_words(last, place)
    scale = first.scale if first.scale != last.scale else ""
    shown = replace(first, currency=None, unit=None, percent="", scale=scale)
    begun = quantity_words(shown, place)
    numbered = place.before.endswith("第")
    if place.zh and not numbered and first.bare and last.bare and measured(place.text, last.end):
        begun = count(first.whole, first.part, "zh")
    if last.unit and place.zh:
        ended = quantity_words(replace(last, unit=None), place)
        return (last.unit.said_in_chinese(f"{begun}{to}{ended}"),)
    if last.currency and not place.zh and last.part:
        return quantity_words(first, place), to, quantity_words(last, place)
    return begun, to, quantity_words(last, place)

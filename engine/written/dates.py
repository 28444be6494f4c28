"""Dates and years in words, and the rules that find them."""

from __future__ import annotations

import re
from typing import Final

from .clock import CLOCK, clock_words
from .numbers import cardinal, ordinal, year
from .place import Found, Place

MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
_SHORT: Final = {month[:3]: month for month in MONTHS if month != "May"} | {"Sept": "September"}
MONTH_NAMES: Final = {**{month: month for month in MONTHS}, **_SHORT}
MONTH: Final = "|".join(sorted(MONTH_NAMES, key=len, reverse=True))
_MONTH_BEFORE: Final = re.compile(rf"(?<![A-Za-z])(?:{MONTH})\.?[ \u202f]?$")
_DAY_BEFORE: Final = re.compile(rf"(?<![A-Za-z])(?:{MONTH})\.? \d\d?(?:st|nd|rd|th)?,? $")

_YMD: Final = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?!\d|\2\d)")
_MDY: Final = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|(?<=/)\d\d)(?![\d/])")
_YM: Final = re.compile(r"((?:19|20)\d\d)([-/])(0[1-9]|1[0-2])(?![\d/.%:]|-\d)")
"""In English "2010-12" is more likely a span of years."""
_CLOCK_AFTER: Final = re.compile(r"T(?=\d{1,2}:\d\d)")
_ZONE: Final = re.compile(r"Z(?![A-Za-z0-9])|([+-])(\d\d):?(\d\d)(?!\d)")
_DAY: Final = re.compile(r"(\d{1,2})(st|nd|rd|th)?(?![\d%/日号]|[.,:]\d)")
_DAY_RANGE: Final = re.compile(r"[ ]?[-–~][ ]?(\d{1,2})(?:st|nd|rd|th)?(?![\d:%/]|[.,]\d)")
_DAY_OF: Final = re.compile(rf"(\d{{1,2}})(?:st|nd|rd|th)?(?= (?:of )?(?:{MONTH})(?![A-Za-z]))")
_DAY_MONTH: Final = re.compile(r"(\d{1,2})/(\d{1,2})(?![\d/])")
_ON_A_DAY: Final = re.compile(
    r"(?i)(?<![a-z])(?:on|until|till|thru|through|by|due|dated?|since|expires|starting) $"
)

_YEAR: Final = re.compile(r"(\d{4})(?![\d:%/]|[.,]\d|[A-Za-z])")
_YEAR_RANGE: Final = re.compile(
    r"([12]\d{3})[ ]?[-–~][ ]?([12]\d{3}|\d\d)(?![\d:%/-]|[.,]\d|[A-Za-z])"
)
_YEAR_BEFORE: Final = re.compile(
    r"(?i)(?<![a-z])(?:in|since|until|till|during|year|years|circa|ca\.|c\.|early|late|mid|spring|summer|fall"
    r"|autumn|winter|christmas|copyright|class of|born|died|founded)[ -]$|©[ ]?$"
)
_YEAR_LOOSE: Final = re.compile(r"(?i)(?<![a-z])(?:by|of|from|to|after|before|around|the|and) $")
_AGES: Final = re.compile(r"[ ]?(?:BCE?|CE|AD)(?![A-Za-z])")
_DECADE: Final = re.compile(r"(1\d|20)?(\d)0'?s(?![A-Za-z0-9])")
_SHORT_DECADE: Final = re.compile(r"'([1-9])0'?s(?![A-Za-z0-9])")
_SHORT_YEAR: Final = re.compile(r"'(\d\d)(?![\dA-Za-z:.,']\w|\d|')")
_DECADE_BEFORE: Final = re.compile(
    r"(?i)(?<![a-z])(?:the|his|her|their|my|our|your|early|late|mid)[ -]$"
)
_TENS: Final = (
    *("hundreds", "tens", "twenties", "thirties", "forties", "fifties", "sixties", "seventies"),
    *("eighties", "nineties"),
)
_HAN_YEAR: Final = re.compile(r"(\d{2,4})(?=年)")
_HAN_YEARS: Final = re.compile(r"([12]\d{3})年?[ ]?[-–~—至到][ ]?([12]\d{3})(?=年)")
_LONG_AGO: Final = re.compile(r"年(?:前|来|历史|以上|以前)")
_SEASON: Final = re.compile(r"((?:19|20)\d\d)(?=[届级版款]|赛季)")


def date_words(parts: dict[str, str], language: str) -> str | None:
    """A date in words, from any of "y", "m" and "d"; None if there is no such date."""
    if max(map(len, parts.values())) > 4:
        return None
    month, day = int(parts.get("m", "1")), int(parts.get("d", "1"))
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    if language == "zh":
        said = year(parts["y"], language) + "年" if "y" in parts else ""
        said += cardinal(str(month), language) + "月" if "m" in parts else ""
        return said + (cardinal(str(day), language) + "日" if "d" in parts else "")
    words = [MONTHS[month - 1]] if "m" in parts else []
    words += [ordinal(str(day), language)] if "d" in parts else []
    said = " ".join(words)
    if "y" not in parts:
        return said
    between = ", " if "d" in parts else " "
    return f"{said}{between}{year(parts['y'], language)}" if said else year(parts["y"], language)


def date(place: Place) -> Found | None:
    """2024-05-01, 5/12/2024, 12.05.2024, 2024-05, with a time after a T."""
    if found := place.match(_YMD):
        parts = {"y": found[1], "m": found[3], "d": found[4]}
    elif found := place.match(_MDY):
        first, second = found[1], found[3]
        if (found[2] == "." or int(first) > 12) and int(second) <= 12:
            first, second = second, first
        short = len(found[4]) == 2
        parts = {"y": f"20{found[4]}" if short else found[4], "m": first, "d": second}
        if found[2] == "." and not 1000 <= int(found[4]) < 3000:
            return None
    elif (found := place.match(_YM)) and (place.zh or found[3][0] == "0"):
        parts = {"y": found[1], "m": found[3]}
    elif (found := place.match(_DAY_MONTH)) and _ON_A_DAY.search(place.before):
        parts = {"m": found[1], "d": found[2]}
    else:
        return None
    if not 1000 <= int(parts.get("y", "2000")) < 3000:
        return None
    said = date_words(parts, place.language)
    if said is None:
        return None
    return _with_clock(place, found.end(), said) or Found(found.end(), said)


def _with_clock(place: Place, end: int, said: str) -> Found | None:
    joint = _CLOCK_AFTER.match(place.text, end)
    if joint is None:
        return None
    found = CLOCK.match(place.text, joint.end())
    words = clock_words(found, place.language) if found else None
    if found is None or words is None:
        return None
    end, said = found.end(), said + place.pick(", ", "") + words
    if zone := _ZONE.match(place.text, end):
        end, said = zone.end(), said + place.pick(" ", "，") + "UTC"
        if zone[1]:
            sign = place.pick(
                " plus " if zone[1] == "+" else " minus ", "加" if zone[1] == "+" else "减"
            )
            said += sign + cardinal(zone[2], place.language)
    return Found(end, said)


def month_day(place: Place) -> Found | None:
    """The 3 of "May 3" and of "3 May", always in English."""
    if _MONTH_BEFORE.search(place.before):
        found = place.match(_DAY)
        if found is None or not 1 <= int(found[1]) <= 31:
            return None
        end, said = found.end(), ordinal(found[1], "en")
        last = _DAY_RANGE.match(place.text, end)
        if last and int(found[1]) < int(last[1]) <= 31:
            end, said = last.end(), f"{said} to {ordinal(last[1], 'en')}"
        return Found(end, said)
    found = place.match(_DAY_OF)
    if found is None or not 1 <= int(found[1]) <= 31:
        return None
    the = "" if place.before.lower().endswith(("the ", "happy ")) else "the "
    of = "" if place.text.startswith(" of ", found.end()) else " of"
    return Found(found.end(), f"{the}{ordinal(found[1], 'en')}{of}")


def years(place: Place) -> Found | None:
    """1984, 1914-1918, 1990s, '90s, '08; 2024 before 年."""
    english = not place.zh or _MONTH_BEFORE.search(place.before) or _DAY_BEFORE.search(place.before)
    return _english_years(place) if english else _han_years(place)


def _han_years(place: Place) -> Found | None:
    if found := place.match(_HAN_YEARS):
        return Found(found.end(), f"{year(found[1], 'zh')}到{year(found[2], 'zh')}")
    if found := place.match(_HAN_YEAR):
        digits = found[1]
        long = _LONG_AGO.match(place.text, found.end()) and int(digits) % 100 == 0
        if len(digits) == 4 and 1000 < int(digits) < 2200 and not long:
            return Found(found.end(), year(digits, "zh"))
        if len(digits) == 2 and (digits[0] == "0" or digits >= "70") and not digits.endswith("0"):
            return Found(found.end(), year(digits, "zh"))
    if found := place.match(_YEAR_RANGE):
        first, last = int(found[1]), int(found[2])
        short = len(found[2]) == 2 and 1900 < first < 2100 and last > first % 100
        if short or (1000 < first < last < 2200 and (first % 100 or last % 100)):
            return Found(found.end(), f"{year(found[1], 'zh')}到{year(found[2], 'zh')}")
    if found := place.match(_SEASON):
        return Found(found.end(), year(found[1], "zh"))
    if found := place.match(_DECADE) or place.match(_SHORT_DECADE):
        if found.re is _DECADE and not found[1]:
            return None
        century = year(found[1], "zh") if found.re is _DECADE else ""
        tens = cardinal(f"{found[found.lastindex or 1]}0", "zh")
        return Found(
            found.end(), (f"{century}{year(found[2] + '0', 'zh')}" if century else tens) + "年代"
        )
    return None


def _english_years(place: Place) -> Found | None:
    if found := place.match(_SHORT_DECADE):
        return _without_apostrophe(place, found.end(), _TENS[int(found[1])])
    if found := place.match(_DECADE):
        century, tens = found[1], int(found[2])
        if not century:
            said = _TENS[tens] if tens > 1 and _DECADE_BEFORE.search(place.before) else None
        elif century == "20" and tens == 0:
            said = "two thousands"
        else:
            said = f"{cardinal(century, 'en')} {_TENS[tens]}"
        return Found(found.end(), said) if said else None
    if (found := place.match(_SHORT_YEAR)) and not place.before[-1:].isalnum():
        spoken = ("oh " if found[1][0] == "0" else "") + cardinal(found[1], "en")
        return _without_apostrophe(place, found.end(), spoken)
    if found := place.match(_YEAR_RANGE):
        first, second = int(found[1]), int(found[2])
        short = len(found[2]) == 2
        last = first // 100 * 100 + second if short else second
        rounded = first % 100 == 0 and last % 100 == 0
        if 1000 < first < last < 2200 and not rounded:
            said = cardinal(found[2], "en") if short and second > 9 else year(str(last), "en")
            return Found(found.end(), f"{year(found[1], 'en')} to {said}")
    found = place.match(_YEAR)
    return Found(found.end(), year(found[1], "en")) if found and _is_year(place, found) else None


def _without_apostrophe(place: Place, end: int, words: str) -> Found:
    return Found(end, words, (Found(place.at + 1, ""), Found(end, words)))


def _is_year(place: Place, found: re.Match[str]) -> bool:
    number = int(found[1])
    if not 1000 < number < 2100:
        return False
    before = place.before
    if (
        _AGES.match(place.text, found.end())
        or _MONTH_BEFORE.search(before)
        or _DAY_BEFORE.search(before)
    ):
        return True
    if _YEAR_BEFORE.search(before):
        return True
    if _YEAR_LOOSE.search(before) and number >= 1700 and number % 100:
        return True
    return number >= 1900 and number % 100 != 0

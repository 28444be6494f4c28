"""Times of day in words, and the rule that finds them."""

from __future__ import annotations

import re
from typing import Final

from .numbers import cardinal, count, decimal
from .place import Found, Place

_HALF: Final = r"[ \u202f]?([AaPp])(?:\.[Mm]|[Mm])(?![A-Za-z])(?:\.(?=[,;:!?)]|[ ]?[-–—~]))?"
CLOCK: Final = re.compile(
    rf"(\d{{1,2}}):([0-5]\d)(?::([0-5]\d)(?:\.(\d{{1,6}}))?)?(?![\d:])(?:{_HALF})?"
)
_HOUR: Final = re.compile(rf"(\d{{1,2}})(?:[ ]?([-–~])[ ]?(\d{{1,2}}))?{_HALF}")
_LASTING: Final = re.compile(
    r"(?:(\d{1,3}) ?(hrs?|h) ?(\d{1,2}) ?(mins?|m)(?: ?(\d{1,2}) ?(secs?|s))?"
    r"|(\d{1,3})(m) ?(\d{1,2})(s))(?![A-Za-z0-9²³/])"
)
_LASTS: Final = {"h": ("hour", "小时"), "m": ("minute", "分钟"), "s": ("second", "秒")}
_RANGE: Final = re.compile(r"[ ]?[-–~—][ ]?(?=\d{1,2}:\d\d|\d{1,2}[ ]?[AaPp]\.?[Mm])")
_HAN_HALF: Final = re.compile("[上下中]午|[早晚]上|凌晨|清晨|傍晚|深夜|半夜|夜里|早晨")
_RATIO_BEFORE: Final = re.compile(
    r"(?i)(?:比例|比分|比|赔率|ratio|scale|odds)(?:[ ]?(?:of|is|为|是|:))?[ ]?$"
)
_RATIO_AFTER: Final = re.compile(r"[ ]?(?:的?比例|比赔|ratio|scale|odds)")


def clock(hour: int, minute: int, second: int | None, half: str, language: str) -> str | None:
    """A time of day in words, None if there is no such time. half: "am", "pm" or ""."""
    if hour > (12 if half else 24) or minute > 59 or (second or 0) > 59:
        return None
    if language == "zh":
        said = {"am": "上午", "pm": "下午", "": ""}[half] + count(str(hour), "", language) + "点"
        if minute or second:
            said += ("零" if minute < 10 else "") + (
                cardinal(str(minute), language) if minute else ""
            )
            said += "分"
        return said + (cardinal(str(second), language) + "秒" if second else "")
    if hour in (0, 24) and not minute and not second and not half:
        return "midnight"
    said = cardinal(str(hour), language)
    if minute:
        said += (" oh " if minute < 10 else " ") + cardinal(str(minute), language)
    elif not half:
        said += " o'clock" if hour <= 12 else " hundred"
    if second:
        said += f" and {cardinal(str(second), language)} second" + ("s" if second != 1 else "")
    # A second stop would be one too many at the end of a sentence; voices read "AM" as a verb.
    return said + {"am": " a.m", "pm": " p.m", "": ""}[half]


def time(place: Place) -> Found | None:
    """6:00, 14:30, 1:02:03, 6pm, 9-11am, 10:30-11:30."""
    first = _one_time(place.text, place.at, place)
    if first is None:
        return None
    if joint := _RANGE.match(place.text, first.end):
        last = _one_time(place.text, joint.end(), place)
        if last is not None:
            return Found(last.end, first.words + place.pick(" to ", "到") + last.words)
    return first


def lasting(place: Place) -> Found | None:
    """1h 30m, 2h30min, 5m 20s: how long something takes."""
    found = place.match(_LASTING)
    if found is None:
        return None
    parts: list[Found] = []
    for group in range(1, _LASTING.groups, 2):
        number, unit = found.group(group, group + 1)
        if number is None:
            continue
        english, chinese = _LASTS[unit[0]]
        if place.zh:
            said = count(number, "", "zh") + chinese
        else:
            said = f"{cardinal(number, 'en')} {english}{'' if int(number) == 1 else 's'}"
        parts.append(Found(found.end(group + 1), said))
    words = place.pick(" ", "").join(part.words for part in parts)
    return Found(found.end(), words, tuple(parts) if " " in found[0] else ())


def _one_time(text: str, at: int, place: Place) -> Found | None:
    if found := CLOCK.match(text, at):
        if _RATIO_BEFORE.search(place.before) or _RATIO_AFTER.match(text, found.end()):
            return None
        words = clock_words(found, place.language, half_known=_half_known(place)) or _duration(
            found, place
        )
        if words and found[5] and words[-4:] in (" a.m", " p.m"):
            blank = found.start(5) - 1
            parts = (Found(blank, words[:-4]), Found(found.end(), words[-3:]))
            return Found(found.end(), words, parts if text[blank].isspace() else ())
        return Found(found.end(), words) if words else None
    found = _HOUR.match(text, at)
    if found is None or not 1 <= int(found[1]) <= 12:
        return None
    half = found[4].lower() + "m"
    last = int(found[3] or found[1])
    if not 1 <= last <= 12:
        return None
    said = clock(last, 0, None, "" if place.zh and _half_known(place) else half, place.language)
    if said and found[3]:
        if place.zh:
            said = f"{said[:2]}{count(found[1], '', 'zh')}到{said[2:]}"
        else:
            said = f"{cardinal(found[1], 'en')} to {said}"
    return Found(found.end(), said) if said else None


def _half_known(place: Place) -> bool:
    return place.zh and _HAN_HALF.search(place.before[-4:]) is not None


def clock_words(found: re.Match[str], language: str, *, half_known: bool = False) -> str | None:
    """A match of CLOCK in words, None if it is no time of day.

    half_known: whether the text before names the half of the day.
    """
    if found[4]:
        return None
    half = "" if half_known or not found[5] else found[5].lower() + "m"
    second = int(found[3]) if found[3] else None
    return clock(int(found[1]), int(found[2]), second, half, language)


def _duration(found: re.Match[str], place: Place) -> str | None:
    """45:30 and 3:45.20: minutes and seconds."""
    if found[3] and not found[4]:
        return None
    language, first, last = place.language, found[1], found[2]
    if found[4]:
        seconds = decimal(found[3], found[4], language)
        middle = clock(int(first), int(last), None, "", language)
        return f"{middle}{place.pick(' ', '')}{seconds}{place.pick('', '秒')}"
    if place.zh:
        return f"{cardinal(first, language)}分{cardinal(last, language)}秒"
    if last == "00":
        return f"{cardinal(first, language)} minutes"
    return (
        f"{cardinal(first, language)} {'oh ' if last[0] == '0' else ''}{cardinal(last, language)}"
    )

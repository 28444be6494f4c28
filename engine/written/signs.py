"""Signs: numbers that signs join (fractions, products, powers, feet and inches), and signs said as words."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from ..segmentation.scripts import IDEOGRAPHS
from .amounts import COMPARED, NUMBER
from .money import PREFIX
from .numbers import cardinal, count, decimal, ordinal
from .place import Found, Place
from .units import per_at, unit_at

_TIMES: Final = re.compile(r"[xX×](?![A-Za-z0-9]|[ ]?[-+=*/^])")
_BY: Final = re.compile(r"[ \u202f]?([xX×*])[ \u202f]?(?=\.?\d)")
_SAID_SO: Final = {
    ("24", "7"): ("twenty-four seven", "二十四七"),
    ("9", "11"): ("nine eleven", "九一一"),
}
_RATIO: Final = re.compile(r"\d{1,9}(?:\.\d{1,9})?(?::\d{1,9}(?:\.\d{1,9})?){1,3}(?![\d:])")
_POWER: Final = re.compile(r"\^([-+]?\d{1,3})(?![\d.])")
_FEET: Final = re.compile(r"(\d)'[ ]?(\d{1,2})(?:\"|''|(?![\d'A-Za-z]))")
_INCHES: Final = re.compile(r"(\d{1,3}(?:\.\d)?)\"(?=[ ][a-z])")
_FRACTION: Final = re.compile(r"(?:(\d{1,4})[ +-])?(\d{1,4})/(\d{1,4})(?![\d/]|\.\d)")
_RATING: Final = re.compile(
    r"(\d{1,3}\.\d{1,2}(?=/(?:5|100?)(?!\d))|\d{1,2}(?=/100?(?!\d)))/(\d{1,3})(?![\d/]|\.\d)"
)
"""4.5/5, 8/10, 95/100: points out of the most there are."""
_RATES: Final = re.compile(
    r"(?i)(?<![a-z])(?:rate[sd]?|rating|scored?|scores|grade|got|gets?|give|gave|gives|review)"
    r"(?: (?:it|is|was|of|him|her|them|this|an?)){0,2}:? $|(?-i:[A-Z][a-z]+): $"
)
_VULGAR: Final = re.compile(r"(\d{1,9})?[ ]?([½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒])")
_VULGAR_PARTS: Final = dict(
    zip(
        "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒",
        (
            *((1, 2), (1, 3), (2, 3), (1, 4), (3, 4), (1, 5), (2, 5), (3, 5), (4, 5), (1, 6)),
            *((5, 6), (1, 8), (3, 8), (5, 8), (7, 8), (1, 7), (1, 9), (1, 10)),
        ),
        strict=True,
    )
)


def fraction(place: Place) -> Found | None:
    """1/2, 1 1/2, ½, 1½, 24/7."""
    if found := place.match(_VULGAR):
        whole, (above, below) = found[1], map(str, _VULGAR_PARTS[found[2]])
    elif (found := place.match(_RATING)) and _is_rating(place, found):
        points, _, part = found[1].partition(".")
        above = decimal(points, part, place.language)
        below = cardinal(found[2], place.language)
        return Found(found.end(), above + place.pick(" out of ", "，满分") + below)
    elif found := place.match(_FRACTION):
        whole, above, below = found.group(1, 2, 3)
        if not whole and (above, below) in _SAID_SO:
            return Found(found.end(), place.pick(*_SAID_SO[above, below]))
        if int(below) == 0 or int(above) >= int(below) or above[0] == "0" or below[0] == "0":
            return None if whole else _over(place, found)
    else:
        return None
    said, end = fraction_words(whole, above, below, place.language), found.end()
    if unit := unit_at(place.text, end):
        end = unit[1]
        if place.zh:
            return Found(end, unit[0].said_in_chinese(said))
        return Found(end, f"{said} {unit[0].english(one=not whole)}")
    return Found(end, said)


def _is_rating(place: Place, found: re.Match[str]) -> bool:
    """Whether it is a rating and no fraction: 8/10 is a fraction except after a word that rates."""
    above, below = found[1], found[2]
    if "." in above or place.zh:
        return "." in above
    return (below == "100" and len(above) > 1) or _RATES.search(place.before) is not None


def _over(place: Place, found: re.Match[str]) -> Found:
    """50/50, 120/80: not a fraction below one."""
    above, below = found[2], found[3]
    joint = place.pick(" " if above == below else " over ", "比")
    said = cardinal(above, place.language) + joint + cardinal(below, place.language)
    unit = unit_at(place.text, found.end())
    if unit is None:
        return Found(found.end(), said)
    if place.zh:
        return Found(unit[1], unit[0].said_in_chinese(said))
    return Found(unit[1], f"{said} {unit[0].english(one=False)}")


def fraction_words(whole: str | None, above: str, below: str, language: str) -> str:
    """A fraction in words, with its whole if it has one. All are ASCII digits, at most MOST_DIGITS."""
    if language == "zh":
        said = f"{cardinal(below, language)}分之{cardinal(above, language)}"
        return f"{cardinal(whole, language)}又{said}" if whole else said
    names = {2: ("half", "halves"), 4: ("quarter", "quarters")}
    part = ordinal(below, language)
    singular, plural = names.get(int(below), (part, part + "s"))
    said = f"{cardinal(above, language)} {singular if int(above) == 1 else plural}"
    return f"{cardinal(whole, language)} and {said}" if whole else said


def ratio(place: Place) -> Found | None:
    """1:3, 16:9, 102:98: not a time of day."""
    found = place.match(_RATIO)
    if found is None:
        return None
    to = place.pick(" to ", "比")
    parts = [decimal(*part.partition(".")[::2], place.language) for part in found[0].split(":")]
    return Found(found.end(), to.join(parts))


def feet(place: Place) -> Found | None:
    """5'10" and 27"."""
    if found := place.match(_FEET):
        if place.zh:
            return Found(
                found.end(), f"{count(found[1], '', 'zh')}英尺{cardinal(found[2], 'zh')}英寸"
            )
        foot = "foot" if found[1] == "1" else "feet"
        inch = "inch" if int(found[2]) == 1 else "inches"
        words = f"{cardinal(found[1], 'en')} {foot} {cardinal(found[2], 'en')} {inch}"
        return Found(found.end(), words)
    found = place.match(_INCHES)
    if found is None or '"' in place.before:
        return None
    whole, _, part = found[1].partition(".")
    return Found(found.end(), decimal(whole, part, place.language) + place.pick(" inch", "英寸"))


def product(place: Place) -> Found | None:
    """3×4, 1920x1080, 10×20cm, 3x, 2^10."""
    first = NUMBER.match(place.text, place.at)
    if first is None or not first[0] or first[0] == ".":
        return None
    said = [decimal(*_parts(first), place.language)]
    end, letters = first.end(), False
    if found := _POWER.match(place.text, end):
        return Found(found.end(), said[0] + power(found[1], place.language))
    if first[0] == "0" and place.text.startswith(("x", "X"), end):
        return None
    if (found := _TIMES.match(place.text, end)) and (found[0] != "X" or first[2]):
        return Found(found.end(), said[0] + place.pick(" times", "倍"))
    while (found := _BY.match(place.text, end)) and len(said) < 4:
        number = NUMBER.match(place.text, found.end())
        if number is None or not number[0] or number[0] == ".":
            break
        said.append(decimal(*_parts(number), place.language))
        letters = letters or found[1] in "xX"
        end = number.end()
    if len(said) == 1:
        return None
    unit = unit_at(place.text, end)
    measure = bool(unit) or letters
    words = place.pick(" by " if measure else " times ", "乘").join(said)
    if unit is None:
        return Found(end, words)
    return Found(unit[1], unit[0].said_in_chinese(words) if place.zh else f"{words} {unit[0].many}")


def _parts(number: re.Match[str]) -> tuple[str, str]:
    return re.sub(r"\D", "", number[1] or "0"), number[2] or ""


def power(exponent: str, language: str) -> str:
    """The words for an exponent, after those for its base."""
    digits = exponent.lstrip("+-").lstrip("0") or "0"
    minus = exponent.startswith("-")
    if language == "zh":
        short = {"2": "平方", "3": "立方"}.get(digits)
        return (
            f"的{short}"
            if short and not minus
            else f"的{'负' if minus else ''}{cardinal(digits, 'zh')}次方"
        )
    if not minus and digits in ("2", "3"):
        return " squared" if digits == "2" else " cubed"
    return f" to the {'minus ' if minus else ''}{ordinal(digits, 'en')} power"


_WORDS: Final = {
    **COMPARED,
    "×": ("times", "乘"),
    "÷": ("divided by", "除以"),
    "∞": ("infinity", "无穷大"),
    "√": ("square root of", "根号"),
    "‰": ("per thousand", "千分号"),
    "§": ("section", "第"),
    "=": ("equals", "等于"),
    "+": ("plus", "加"),
    "-": ("minus", "减"),
    "–": ("minus", "减"),
    "*": ("times", "乘"),
    "==": ("equals", "等于"),
    "℃": ("degrees Celsius", "摄氏度"),
    "°C": ("degrees Celsius", "摄氏度"),
    "°F": ("degrees Fahrenheit", "华氏度"),
    "℉": ("degrees Fahrenheit", "华氏度"),
}
ALWAYS: Final = "≥≤≈≠±×÷∞√‰℃℉"
"""Signs that are read anywhere."""
_ALWAYS: Final = re.compile(rf"[{ALWAYS}]|°[CF](?![A-Za-z])|§(?=[ ]?\d)")
_OPERAND: Final = r"[A-Za-z0-9)\]²³%" + IDEOGRAPHS + "]"
_SPACED: Final = re.compile(rf"(==|!=|<=|>=|[=+<>])(?=[ ]-?{_OPERAND})")
_TIGHT: Final = re.compile(r"(==|!=|<=|>=|[=+*<>])(?=[-(]?[A-Za-z0-9.])")
_TIGHT_EQUALS: Final = re.compile(r"=(?=-?[\d.])")
_VARIABLE_EQUALS: Final = re.compile(r"=(?=-?[A-Za-z0-9])")
_VARIABLE: Final = re.compile(r"(?:(?<![A-Za-z0-9_])[A-Za-z]|[²³)])$")
_MINUS: Final = re.compile(r"[-–](?=[ ]?\d)")
_SCALED: Final = re.compile(r"\d[kKM]$")
_TRAILING_PLUS: Final = re.compile(r"\+(?![A-Za-z0-9+\-=])")
_SUPERSCRIPTS: Final = re.compile("([⁺⁻]?)([⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3})")
_CARET: Final = re.compile(r"\^(?:\{([-+]?\d{1,3})\}|([-+]?\d{1,3}))(?![\d.]\d)")
_PLUS_PLUS: Final = re.compile(r"([CGg])\+\+(?![A-Za-z0-9+])")
_SHARP: Final = re.compile(r"([A-GJMQ])([#♯])(?![A-Za-z0-9#])")
_FLAT: Final = re.compile(r"([A-G])♭(?![A-Za-z0-9])")
_DOT_NAME: Final = re.compile(r"\.(?=NET(?![A-Za-z]))")
_EACH: Final = re.compile(r"/(?=[人月年天日周次个件位小时分秒斤吨平桶瓶杯盒箱袋包晚])")
_COUNTED_BEFORE: Final = re.compile(rf"[{IDEOGRAPHS}]$|(?:{PREFIX})[ ]?[\d,.]+$")
_PRICE_BEFORE: Final = re.compile("[元块角]$")
_OVER: Final = re.compile(rf"\+(?=[{IDEOGRAPHS}])")
"""200+项: more than 200."""
_CIRCLED: Final = re.compile("[①-⑳⑴-⒇⒈-⒛㉑-㉟㊱-㊿]")
_ROMAN: Final = re.compile("[Ⅰ-Ⅻⅰ-ⅻ]")


def sign(place: Place) -> Found | None:
    """A sign by itself, or with the characters that it changes the reading of."""
    before = place.before
    if found := place.match(_ALWAYS):
        return _said(place, found, found[0])
    if found := place.match(_SUPERSCRIPTS):
        return _exponent(place, found)
    if (found := place.match(_CIRCLED)) or (found := place.match(_ROMAN)):
        return Found(found.end(), cardinal(f"{unicodedata.numeric(found[0]):.0f}", place.language))
    if found := place.match(_EACH):
        return Found(found.end(), "每") if place.zh and _COUNTED_BEFORE.search(before) else None
    if place.zh and _PRICE_BEFORE.search(before) and (per := per_at(place.text, place.at)):
        return Found(per[1], f"每{per[0].chinese}")
    if found := place.match(_CARET):
        return _powered(place, found)
    if found := place.match(_DOT_NAME):
        return Found(found.end(), place.pick("dot ", "点"))
    spaced, last = before[-1:] in (" ", ""), before.rstrip(" ")[-1:]
    operand = re.fullmatch(_OPERAND, last) is not None
    if spaced and operand and before and (found := place.match(_SPACED)):
        return _said(place, found, found[1])
    if last.isdigit() and (found := place.match(_MINUS)):
        return _said(place, found, found[0])
    if not spaced and operand:
        variable = _VARIABLE_EQUALS if _VARIABLE.search(before) else _TIGHT_EQUALS
        pattern = _TIGHT if last.isdigit() else variable
        if found := place.match(pattern):
            return _said(place, found, found[0])
        if place.zh and last.isdigit() and (found := place.match(_OVER)):
            return Found(found.end(), "多")
        if (last.isdigit() or last in "ABCD%" or _SCALED.search(before)) and (
            found := place.match(_TRAILING_PLUS)
        ):
            return _said(place, found, "+")
    return None


def _said(place: Place, found: re.Match[str], name: str) -> Found:
    said = place.pick(*_WORDS[name])
    if place.zh:
        return Found(found.end(), said)
    before, after = place.before[-1:], place.text[found.end() : found.end() + 1]
    left = " " if before and before not in " (" else ""
    return Found(found.end(), left + said + (" " if after and after not in " ,.;:!?)" else ""))


def _exponent(place: Place, found: re.Match[str]) -> Found | None:
    before = place.before[-1:]
    if not (before.isalnum() or before in (")", "]")):
        return None
    exponent = unicodedata.normalize("NFKC", found[0]).replace("−", "-")
    return Found(found.end(), power(exponent, place.language))


def _powered(place: Place, found: re.Match[str]) -> Found | None:
    """mc^2, (a+b)^3, 10^{6}."""
    if not (place.before[-1:].isalnum() or place.before[-1:] in (")", "]")):
        return None
    return Found(found.end(), power(found[1] or found[2], place.language))


def named_sign(place: Place) -> Found | None:
    """C#, C++, F♯, B♭."""
    if found := place.match(_PLUS_PLUS):
        return Found(found.end(), found[1] + place.pick(" plus plus", "加加"))
    if found := place.match(_SHARP):
        return Found(found.end(), found[1] + " sharp")
    if found := place.match(_FLAT):
        return Found(found.end(), found[1] + place.pick(" flat", "降"))
    return None

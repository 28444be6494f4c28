"""Signs that are said as words: of comparison and arithmetic, of notes and languages, exponents."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from .amounts import COMPARED
from .figures import power
from .money import PREFIX
from .numbers import cardinal
from .place import HAN, Found, Place
from .units import per_at

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
"""Signs that are read wherever they stand."""
_ALWAYS: Final = re.compile(rf"[{ALWAYS}]|°[CF](?![A-Za-z])|§(?=[ ]?\d)")
_OPERAND: Final = r"[A-Za-z0-9)\]²³%" + HAN + "]"
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
_COUNTED_BEFORE: Final = re.compile(rf"[{HAN}]$|(?:{PREFIX})[ ]?[\d,.]+$")
_PRICE_BEFORE: Final = re.compile("[元块角]$")
_OVER: Final = re.compile(rf"\+(?=[{HAN}])")
"""200+项: more than that many."""
_CIRCLED: Final = re.compile("[①-⑳⑴-⒇⒈-⒛㉑-㉟㊱-㊿]")
_ROMAN: Final = re.compile("[Ⅰ-Ⅻⅰ-ⅻ]")


def sign(place: Place) -> Found | None:
    """A sign of its own, or one that makes something else of what it stands with."""
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

"""Digits that are no amounts: telephone numbers, ids, addresses, versions, names with digits in them."""

from __future__ import annotations

import re
from typing import Final

from .numbers import MOST_DIGITS, cardinal, decimal, digit_groups, digits, ordinal, year
from .place import Found, Place
from .units import unit_at

_ABROAD: Final = re.compile(r"\+\d(?:[ .()\u202f-]{0,2}\d){6,14}(?!\d)")
_PHONES: Final = re.compile(
    r"(?:1[3-9]\d[ -]?\d{4}[ -]?\d{4}"  # Chinese mobiles
    r"|0\d{2,3}[ -]\d{7,8}|\(0\d{2,4}\)[ ]?(?:\d{7,8}|\d{3,4}[ -]\d{3,4})|[48]00-\d{4}-\d{3}"
    r"|(?:1[ .-])?(?:\(\d{3}\)[ ]?|\d{3}[ .-])\d{3}[ .-]\d{4})"  # North American ones
    r"(?![\d%]|[.,-]\d)"
)
_LOCAL: Final = re.compile(r"(\d{3})-(\d{4})(?![\d-]|[.,]\d)")
_DIALLED: Final = re.compile(r"\d{3,12}(?:[ -]\d{2,8}){0,4}(?![\d:/%]|\.\d|[ ]?[年月日元个点时])")
_DIAL_BEFORE: Final = re.compile(
    r"(?i)(?:(?<![a-z])(?:call|dial|phone|text|fax|tel|hotline|pin|code|zip|extension|ext)"
    r"(?: is| was| at| number)?[.:]?|拨打|致电|报警|急救|电话|热线|号码|尾号|验证码|密码|邮编"
    r"|账号|卡号|证号|学号|工号|订单号|编号|房间号|群号)[是为:：]?[ ]?$"
)
_POSTCODE: Final = re.compile(r"\d{5}(?:-\d{4})?(?![\d%]|[.,-]\d)")
_STATE_BEFORE: Final = re.compile(
    r"(?<![A-Za-z])(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI"
    r"|S[CD]|T[NX]|UT|V[AT]|W[AIVY]) $"
)
_REFERENCE: Final = re.compile(r"\d{2,8}-\d{2,8}(?![\d%/-]|[.,]\d)")
_REFERENCE_BEFORE: Final = re.compile(
    r"(?i)(?<![a-z])(?:(?:invoice|order|reference|ref|case|ticket|account|serial|policy|claim|no|nr)\.?"
    r"(?: (?:number|no\.|id))?(?: is)?:? ?#?|(?:单|编|票|案|序列)号[是为:：]?[ ]?)$"
)
_FLAT: Final = re.compile(r"[1-9]\d{2,3}(?!\d)")
_ROOM: Final = re.compile("[1-9]\\d{2,3}(?=室|房间?(?![子价东产地])|号房)")
_CARD: Final = re.compile(r"\d{4}(?:([ -])\d{4})(?:\1\d{4}){1,3}(?:\1\d{1,3})?(?![\d-])")
_HYPHENED: Final = re.compile(r"\d+(?:-\d+){2,}(?![\d%])")
_ADDRESS: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3})(?::(\d{2,5})|/(\d{1,2}))?(?![\d/]|\.\d)")
_VERSION: Final = re.compile(r"\d+(?:\.\d+){2,}(?!\d|,\d\d(?!\d))")
_POINTED_GROUPS: Final = re.compile(r"[1-9]\d{0,2}(?:\.000){2,}(?!\d)")
_LONG: Final = re.compile(r"\d{10,}(?!\d|[.,]\d)")
_MOBILE: Final = re.compile(r"1[3-9]\d{9}")
_COUNTED: Final = re.compile("[ ]?[元人个万亿%块米吨次]|[A-Za-z]{1,3}(?![A-Za-z])")
_ROUND: Final = re.compile(r"[1-9]\d*000")
_ZEROS: Final = re.compile(r"0\d+(?![\d:/]|[.,]\d)")
_DATE_PART: Final = re.compile("[月日号点分秒时天个]")
_SCIENTIFIC: Final = re.compile(r"(\d+)(?:\.(\d+))?[eE]([-+]?)(\d{1,3})(?![A-Za-z0-9])")
_ORDINAL: Final = re.compile(
    r"(\d{1,3}(?:,\d{3})+|\d{1,15})(?:st|nd|rd|th|ST|ND|RD|TH)(?![A-Za-z0-9])"
)
_NUMBERED: Final = re.compile(r"#(\d{1,9})(?![A-Za-z0-9_])")
_MOST_COUNTED: Final = 4
"""Most digits of a # number that is read as a number; an order or a ticket is read digit by digit."""
_SOFTWARE: Final = re.compile(
    r"(?i)(?<![a-z])(?:version|ver\.?|v|release|python|java|node|php|ruby|ubuntu|android|ios|macos|windows|chrome|firefox"
    r"|linux|kernel|swift|go|rust|django|pytorch|cuda|版本号?)[ ]?$"
)
_TWO_PARTS: Final = re.compile(r"(\d{1,3})\.(\d{1,3})(?![\d%]|\.\d)")
NAME: Final = (
    r"(?:[A-Za-z]{1,16}-?\d[A-Za-z0-9]*(?:\.\d+)*(?:-?[A-Za-z0-9]+){0,3}"
    r"|\d{1,6}[A-Za-z][A-Za-z0-9]*)"
)
_NAME: Final = re.compile(NAME)
_PARTS: Final = re.compile(r"[A-Za-z]+|\d+(?:\.\d+)*|-")
_TO: Final = re.compile("[BCDFGMOPV]2[BCDFGMOPV]")
"""B2B, P2P, O2O: their 2 is English in Chinese too."""
_V: Final = re.compile(r"[vV](\d+(?:\.\d+)*)(?![A-Za-z0-9])")


def telephone(place: Place) -> Found | None:
    """+86 138 0013 8000, 13800138000, 400-800-1234, 555-0123, and digits after words such as "dial"."""
    if found := place.match(_ABROAD):
        solid = found[0][1:].isdigit()
        if len(re.sub(r"\D", "", found[0])) >= (11 if solid else 8):
            return _called(place, found)
    if place.before[-1:] == "+":
        return None
    if (found := place.match(_PHONES)) and not _is_counted(place, found):
        return _called(place, found)
    if (found := place.match(_LOCAL)) and not _is_counted(place, found):
        first, last = int(found[1]), int(found[2])
        ranges = found[2][0] != "0" and (last - first < 200 or (first % 50 == 0 == last % 50))
        if not ranges or _DIAL_BEFORE.search(place.before):
            return _called(place, found)
    if (found := place.match(_DIALLED)) and _DIAL_BEFORE.search(place.before):
        return _called(place, found)
    if (found := place.match(_POSTCODE)) and _STATE_BEFORE.search(place.before):
        return _called(place, found)
    if (found := place.match(_REFERENCE)) and _REFERENCE_BEFORE.search(place.before):
        return Found(found.end(), digit_groups(found[0].split("-"), place.language))
    return None


def _is_counted(place: Place, found: re.Match[str]) -> bool:
    """Whether a unit or counted thing follows a number."""
    text, end = place.text, found.end()
    return _COUNTED.match(text, end) is not None or unit_at(text, end) is not None


def _called(place: Place, found: re.Match[str]) -> Found:
    groups = [group for group in re.split(r"\D+", found[0]) if group]
    plus = place.pick("plus ", "加") if found[0][0] == "+" else ""
    return Found(found.end(), plus + digit_groups(groups, place.language, telephone=True))


def digit_rows(place: Place) -> Found | None:
    """Ids and cards, 4-3-3, IP addresses, versions, 007, 1e6."""
    language = place.language
    if found := place.match(_CARD):
        return Found(found.end(), digit_groups(re.findall(r"\d+", found[0]), language))
    if found := place.match(_HYPHENED):
        groups = found[0].split("-")
        if max(map(len, groups)) < 3 and not any(
            len(group) > 1 and group[0] == "0" for group in groups
        ):
            return Found(
                found.end(), place.pick(" ", "").join(cardinal(group, language) for group in groups)
            )
        return Found(found.end(), digit_groups(groups, language))
    if (found := place.match(_ADDRESS)) and all(int(part) < 256 for part in found[1].split(".")):
        said = place.pick(" dot ", "点").join(
            digits(part, language) for part in found[1].split(".")
        )
        if found[2]:
            said += place.pick(" port ", "端口") + digits(found[2], language)
        elif found[3]:
            said += place.pick(" slash ", "斜杠") + cardinal(found[3], language)
        return Found(found.end(), said)
    if found := place.match(_POINTED_GROUPS):
        return Found(found.end(), cardinal(found[0].replace(".", ""), language))
    if (found := place.match(_VERSION)) or (
        (found := place.match(_TWO_PARTS)) and _SOFTWARE.search(place.before)
    ):
        return Found(found.end(), _version(found[0], language))
    if found := place.match(_SCIENTIFIC):
        return Found(found.end(), _scientific(place, found))
    if (found := place.match(_ZEROS)) and not (
        place.zh
        and len(found[0]) == 2
        and _DATE_PART.match(place.text, found.end())
        and not _is_minute(place, found.end())
    ):
        return Found(found.end(), digits(found[0], language))
    if place.zh and (found := place.match(_FLAT if place.before.endswith("单元") else _ROOM)):
        return Found(found.end(), digits(found[0], language))
    if (found := place.match(_LONG)) and not _is_amount(place, found):
        return Found(found.end(), digits(found[0], language))
    return None


def _is_minute(place: Place, end: int) -> bool:
    """Whether a number that ends at `end` is the 05 of 8点05分, whose zero is spoken."""
    return place.before.endswith("点") and place.text.startswith("分", end)


def _is_amount(place: Place, found: re.Match[str]) -> bool:
    row = found[0]
    if len(row) > MOST_DIGITS:
        return False
    if _is_counted(place, found):
        return True
    return _ROUND.fullmatch(row) is not None and not _MOBILE.fullmatch(row)


def _version(text: str, language: str) -> str:
    point = "点" if language == "zh" else " point "
    return point.join(_version_part(part, language) for part in text.split("."))


def _version_part(part: str, language: str) -> str:
    if len(part) > 1 and part[0] == "0":
        return digits(part, language)
    return cardinal(part, language)


def _scientific(place: Place, found: re.Match[str]) -> str:
    whole, part, sign, exponent = found[1], found[2] or "", found[3], found[4]
    said = decimal(whole, part, place.language)
    if place.zh:
        return f"{said}乘以十的{'负' if sign == '-' else ''}{cardinal(exponent, 'zh')}次方"
    minus = "minus " if sign == "-" else ""
    return f"{said} times ten to the {minus}{ordinal(exponent, 'en')}"


def ordinals(place: Place) -> Found | None:
    """1st, 22nd, #1."""
    if found := place.match(_NUMBERED):
        read = digits if len(found[1]) > _MOST_COUNTED else cardinal
        said = read(found[1], place.language)
        return Found(found.end(), place.pick(f"number {said}", f"{said}号"))
    found = place.match(_ORDINAL)
    return Found(found.end(), ordinal(found[1].replace(",", ""), place.language)) if found else None


def name(place: Place) -> Found | None:
    """A4, B2B, H2O, COVID-19, PM2.5, 1080p, v2.0: letters as they are, numbers in words."""
    if found := place.match(_V):
        said = _version(found[1], place.language)
        return Found(found.end(), place.pick("version ", found[0][0]) + said)
    found = place.match(_NAME)
    if found is None:
        return None
    parts = [part for part in _PARTS.findall(found[0]) if part != "-"]
    if place.zh and _TO.fullmatch(found[0]):
        return Found(found.end(), f"{parts[0]} to {parts[2]}")
    said = ""
    for index, part in enumerate(parts):
        if part[0].isdigit():
            counted = place.zh and index == 0 and parts[1] not in ("p", "P", "i")
            many = len(parts) > 3
            part = cardinal(part, "zh") if counted else _in_name(part, place, many=many)
        # A lone "A" before another word is taken for the article.
        joint = "-" if parts[index - 1] in ("A", "a") else " "
        said += (joint if said and not place.zh else "") + part
    return Found(found.end(), said)


def _in_name(part: str, place: Place, *, many: bool) -> str:
    language = place.language
    if "." in part:
        return _version(part, language)
    if part[0] == "0" or len(part) > 4 or (many and len(part) > 2):
        return digits(part, language)
    if place.zh:
        return digits(part, language) if len(part) > 2 else cardinal(part, language)
    return year(part, language) if len(part) == 4 else cardinal(part, language)

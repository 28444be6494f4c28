"""Abbreviations and Roman numerals, in words."""

from __future__ import annotations

import re
from typing import Final

from .dates import MONTH, MONTH_NAMES
from .numbers import cardinal, ordinal, roman_number
from .place import Found, Place

_TITLES: Final = {
    "Dr": "Doctor",
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Miz",
    "Prof": "Professor",
    "Rev": "Reverend",
    "Hon": "Honorable",
    "St": "Saint",
    "Mt": "Mount",
    "Ft": "Fort",
    "Gen": "General",
    "Col": "Colonel",
    "Maj": "Major",
    "Capt": "Captain",
    "Lt": "Lieutenant",
    "Sgt": "Sergeant",
    "Cpl": "Corporal",
    "Pvt": "Private",
    "Gov": "Governor",
    "Sen": "Senator",
    "Rep": "Representative",
    "Pres": "President",
    "Adm": "Admiral",
    "Cmdr": "Commander",
}
"""Before a name."""
_UNDOTTED: Final = ("Dr", "Mr", "Mrs", "Ms", "St", "Mt")
"""British English writes these without a full stop."""
_STREETS: Final = {
    "St": "Street",
    "Dr": "Drive",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Ln": "Lane",
    "Hwy": "Highway",
    "Sq": "Square",
}
"""After a name or an ordinal."""
_AFTER_NAMES: Final = {
    "Jr": "Junior",
    "Sr": "Senior",
    "Inc": "Incorporated",
    "Corp": "Corporation",
    "Ltd": "Limited",
    "Co": "Company",
    "Bros": "Brothers",
}
_NUMBERED: Final = {
    "no": ("number", "第"),
    "nr": ("number", "第"),
    "nos": ("numbers", "第"),
    "fig": ("figure", "图"),
    "figs": ("figures", "图"),
    "tab": ("table", "表"),
    "vol": ("volume", "卷"),
    "vols": ("volumes", "卷"),
    "eq": ("equation", "式"),
    "ch": ("chapter", "chapter"),
    "chap": ("chapter", "chapter"),
    "sec": ("section", "section"),
    "sect": ("section", "section"),
    "art": ("article", "article"),
    "para": ("paragraph", "paragraph"),
    "pt": ("part", "part"),
    "p": ("page", "page"),
    "pp": ("pages", "pages"),
    "ext": ("extension", "extension"),
    "min": ("minimum", "minimum"),
    "max": ("maximum", "maximum"),
    "ca": ("circa", "circa"),
    "bldg": ("building", "building"),
    "apt": ("apartment", "apartment"),
    "tel": ("telephone", "电话"),
}
"""Before a number, with a full stop."""
_COUNTING: Final = ("no", "nr", "nos", "p", "pp", "min", "max", "ca", "tel", "ext")
"""Before digits only, not before letters or Roman numerals."""
_ANYWHERE: Final = {
    "approx": "approximately",
    "vs": "versus",
    "e.g": "for example",
    "i.e": "that is",
    "incl": "including",
    "excl": "excluding",
    "dept": "department",
    "Dept": "Department",
    "govt": "government",
    "avg": "average",
    "est": "estimated",
    "max": "maximum",
    "min": "minimum",
    "hrs": "hours",
    "mins": "minutes",
    "secs": "seconds",
    "yrs": "years",
    "lbs": "pounds",
    "esp": "especially",
    "resp": "respectively",
    "viz": "namely",
    "Approx": "Approximately",
    "Avg": "Average",
    "E.g": "For example",
    "I.e": "That is",
}
"""With a full stop, anywhere."""
_DAYS: Final = {
    **dict.fromkeys(("Mon",), "Monday"),
    **dict.fromkeys(("Tue", "Tues"), "Tuesday"),
    **dict.fromkeys(("Wed",), "Wednesday"),
    **dict.fromkeys(("Thu", "Thur", "Thurs"), "Thursday"),
    **dict.fromkeys(("Fri",), "Friday"),
    **dict.fromkeys(("Sat",), "Saturday"),
    **dict.fromkeys(("Sun",), "Sunday"),
}
_SHORT_MONTHS: Final = "|".join(
    sorted((name for name in MONTH_NAMES if len(name) < 5 and name != "May"), key=len, reverse=True)
)
_DOTTED: Final = (
    "|".join(
        sorted({*_TITLES, *_STREETS, *_AFTER_NAMES, *_ANYWHERE, *_DAYS}, key=len, reverse=True)
    )
    .replace("e.g", r"e\.g")
    .replace("i.e", r"i\.e")
    .replace("E.g", r"E\.g")
    .replace("I.e", r"I\.e")
)
_BEFORE_NUMBERS: Final = "|".join(sorted(_NUMBERED, key=len, reverse=True))
_DAY: Final = "(?:" + "|".join(sorted(_DAYS, key=len, reverse=True)) + ")"
_DAY_RANGE: Final = rf"{_DAY}\.?[ ]?[-–—][ ]?{_DAY}(?![A-Za-z0-9])"
_LABEL: Final = "(?:[IVXL]{1,6}|[A-Z])(?![A-Za-z0-9.'])"
WORD: Final = (
    rf"(?:{_DAY_RANGE}|(?:{_SHORT_MONTHS})(?:\.|(?=[ ]\d))|(?:{_DOTTED}|[Nn]o|[Vv]s)\."
    rf"|(?i:{_BEFORE_NUMBERS})\.(?=[ \u202f]?(?:\d|{_LABEL}))"
    rf"|(?:{'|'.join(_UNDOTTED)})(?=[ ][A-Z])|[Vv]s(?=[ ]\w)"
    r"|[Nn]o(?=[ ]\d)|[IVXL]{1,7}(?![A-Za-z0-9.'-]))"
)
"""Pattern of what the rules here may read, at the beginning of a word."""
_OPENERS: Final = re.compile(
    rf"(?:(?:{MONTH}|[Vv]s|No)\.?|(?:{_DOTTED}|(?i:{_BEFORE_NUMBERS}))\.|{'|'.join(_UNDOTTED)}"
    rf"|{_DAY}\.?(?:[-–—](?:{_DAY})?)?|[IVXL]{{2,7}}|[VX])[,;:)]?"
)

_MONTH_WORD: Final = re.compile(rf"({_SHORT_MONTHS})(\.?)")
_DOTTED_WORD: Final = re.compile(rf"({_DOTTED}|Vs)\.")
_NUMBERED_WORD: Final = re.compile(rf"((?i:{_BEFORE_NUMBERS}))\.?([ \u202f]?)(?=\d|{_LABEL})")
_NAME_AFTER: Final = re.compile(rf"[ ]?[A-Z]|[ ](?:and|or|&)[ ](?:{'|'.join(_TITLES)})(?![a-z])")
_NAME_BEFORE: Final = re.compile(
    r"(?:[A-Z][a-z]+|\d(?:st|nd|rd|th)|[a-z]th|[a-z]rd|first|second),? $"
)
_DIGIT_AFTER: Final = re.compile(rf",|[ ]?(?:\d|(?:{MONTH})(?![a-z]))")
_UNDOTTED_WORD: Final = re.compile(rf"({'|'.join(_UNDOTTED)})(?=[ ][A-Z])")
_VERSUS: Final = re.compile(r"([Vv])s(?![A-Za-z0-9.])")
_DAYS_WORD: Final = re.compile(
    rf"({_DAY})\.?[ ]?[-–—][ ]?({_DAY})(?![A-Za-z0-9])(?:\.(?=[,;:)]|[ ][a-z0-9]))?"
)
_DAY_AFTER: Final = re.compile(r"[ ]\d")
_HOUSE_BEFORE: Final = re.compile(r"\d[A-Za-z]? (?:[A-Z][a-z]+ ){1,2}$")
_ENDS: Final = re.compile(r"[\s\"')\]”’]*$")
_NUMERO: Final = re.compile("№([ \u202f]?)(?=[0-9])")
_ROMAN: Final = re.compile(
    r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?![A-Za-z0-9])"
)
_DIVISION: Final = re.compile(
    r"(?:World War|Chapter|Part|Volume|Vol\.|Ch\.|Fig\.|Sec\.|Art\.|Pt\.|Book|Act|Scene|Section|Article"
    r"|Type|Phase|Stage|Level|Class|Appendix|Figure|Table|Super Bowl|Title|Schedule|Grade|Mark"
    r"|Episode|Season|Apollo|Factor|Tier|Category|Lesson|Unit|Final Fantasy|Rocky|Civil War|Vatican"
    r"|CHAPTER|PART|chapter|part|section|phase|stage|type)[ ]$"
)
_REIGN: Final = re.compile(
    r"(?:Henry|Louis|Charles|George|Elizabeth|Edward|William|Richard|James|Philip|Napoleon|Pius|Paul|Benedict"
    r"|Francis|Leo|Alexander|Catherine|Peter|Frederick|Wilhelm|Otto|Innocent|Gregory|Clement|Mary|Nicholas|Ivan"
    r"|Ferdinand|Alfonso|Carl|Karl|Gustav|Christian|Haakon|Harald|Ramses|Ramesses|Ptolemy|Xerxes|Darius|Leopold"
    r"|Constantine|Justinian|Albert|Emmanuel|Umberto|Urban|Boniface|Julius|Joseph|Maximilian|Robert|Malcolm|Olaf"
    r"|Sigismund|Casimir|Stephen|Rama|Mehmed|Murad|Selim|Mohammed|Hassan|Juan Carlos|Felipe|Pedro|Manuel)[ ]$"
)


def opens(word: str, before: str) -> bool:
    """Whether a rule here may need `word`, which follows the text `before`, and the text after it."""
    if word == "I":
        return _DIVISION.search(before + " ") is not None or _REIGN.search(before + " ") is not None
    return _OPENERS.fullmatch(word) is not None


def word(place: Place) -> Found | None:
    """Feb., Fig. 7, vs., Dr. Smith, Main St., Henry VIII."""
    if roman := place.match(_ROMAN):
        return _roman(place, roman)
    if found := place.match(_DAYS_WORD):
        return Found(found.end(), f"{_DAYS[found[1]]} to {_DAYS[found[2]]}")
    if found := place.match(_NUMBERED_WORD):
        english, chinese = _NUMBERED[found[1].lower()]
        plain_no = found[1].lower() == "no" and found[0][2:3] != "."
        labelled = not place.text[found.end()].isdigit()
        if (labelled and found[1].lower() in _COUNTING) or (plain_no and found[1] == "no"):
            return None
        if place.zh and not chinese.isascii():
            return Found(found.end(), chinese)
        english = english.capitalize() if found[1][0].isupper() else english
        return Found(found.end(), english + (found[2] or " "))
    if found := place.match(_MONTH_WORD):
        return _month(place, found)
    if (found := place.match(_DOTTED_WORD)) and (said := _dotted(place, found)):
        return Found(_without_last_stop(place, found), said)
    if found := place.match(_UNDOTTED_WORD):
        return Found(found.end(), _TITLES[found[1]])
    found = place.match(_VERSUS)
    return Found(found.end(), "Versus" if found[1] == "V" else "versus") if found else None


def numero(place: Place) -> Found | None:
    """№ before a number."""
    found = place.match(_NUMERO)
    if found is None:
        return None
    return Found(found.end(), place.pick("number" + (found[1] or " "), "第"))


def _month(place: Place, found: re.Match[str]) -> Found | None:
    if not found[2] and not _DAY_AFTER.match(place.text, found.end()):
        return None
    month = MONTH_NAMES[found[1]]
    return Found(_without_last_stop(place, found), month)


def _dotted(place: Place, found: re.Match[str]) -> str | None:
    name, end = found[1], found.end()
    named = _NAME_AFTER.match(place.text, end) is not None
    after_name = _NAME_BEFORE.search(place.before) is not None
    if (
        name in _TITLES
        and named
        and not (after_name and name in _STREETS and _address_before(place))
    ):
        return _TITLES[name]
    if name in _STREETS and after_name:
        return _STREETS[name]
    if name in _AFTER_NAMES and after_name:
        return _AFTER_NAMES[name]
    if name in _DAYS and _DIGIT_AFTER.match(place.text, end):
        return _DAYS[name]
    if name in _ANYWHERE:
        return _ANYWHERE[name]
    return {"Vs": "Versus"}.get(name)


def _address_before(place: Place) -> bool:
    """Whether a house number comes before: "12 Main St. Springfield"."""
    return _HOUSE_BEFORE.search(place.before) is not None


def _without_last_stop(place: Place, found: re.Match[str]) -> int:
    """The end of an abbreviation; a full stop that also ends the text is left to it."""
    end = found.end()
    return end - 1 if found[0].endswith(".") and _ENDS.match(place.text, end) else end


def _roman(place: Place, found: re.Match[str]) -> Found | None:
    numeral = found[0]
    if not numeral:
        return None
    number = str(roman_number(numeral))
    if _DIVISION.search(place.before):
        return Found(found.end(), cardinal(number, "en"))
    if (len(numeral) > 1 or numeral in "VX") and _REIGN.search(place.before):
        return Found(found.end(), f"the {ordinal(number, 'en')}")
    return None

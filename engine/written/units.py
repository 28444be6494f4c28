"""Units of measurement: their signs and their names in English and Chinese."""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import MappingProxyType
from typing import Final, NamedTuple

_TIMES: Final = ("小时", "分钟", "秒", "天", "周", "月", "年")
"""Denominators that come first in Chinese: 每小时60公里."""


class Unit(NamedTuple):
    """A unit's names. per: its denominator, None without one. liang: whether two are "liang" in Chinese."""

    one: str
    many: str
    chinese: str
    per: Unit | None = None
    liang: bool = True

    def english(self, *, one: bool) -> str:
        name = self.one if one else self.many
        return f"{name} per {self.per.one}" if self.per else name

    def said_in_chinese(self, number: str) -> str:
        if self.per is None:
            return number + self.chinese
        if self.per.chinese in _TIMES:
            return f"每{self.per.chinese}{number}{self.chinese}"
        return f"{number}{self.chinese}每{self.per.chinese}"


def _plain(one: str, chinese: str, many: str = "") -> Unit:
    return Unit(one, many or one + "s", chinese)


def _words(text: str) -> list[str]:
    return text.split()


_METRIC: Final = {
    "m": _plain("meter", "米"),
    "g": _plain("gram", "克"),
    "L": _plain("liter", "升"),
    "l": _plain("liter", "升"),
    "W": _plain("watt", "瓦"),
    "V": _plain("volt", "伏"),
    "A": _plain("amp", "安"),
    "J": _plain("joule", "焦"),
    "N": _plain("newton", "牛"),
    "Pa": _plain("pascal", "帕"),
    "Hz": Unit("hertz", "hertz", "赫兹"),
    "Ω": _plain("ohm", "欧姆"),
    "F": _plain("farad", "法"),
    "Wh": _plain("watt hour", "瓦时"),
    "Ah": _plain("amp hour", "安时"),
    "cal": _plain("calorie", "卡"),
    "mol": _plain("mole", "摩尔"),
    "s": _plain("second", "秒"),
    "eV": _plain("electronvolt", "电子伏"),
    "Bq": _plain("becquerel", "贝克勒尔"),
    "Sv": _plain("sievert", "西弗"),
    "bar": _plain("bar", "巴"),
}
_PREFIXES: Final = {
    "n": ("nano", "纳"),
    "μ": ("micro", "微"),
    "m": ("milli", "毫"),
    "c": ("centi", "厘"),
    "d": ("deci", "分"),
    "h": ("hecto", "百"),
    "k": ("kilo", "千"),
    "M": ("mega", "兆"),
    "G": ("giga", "吉"),
    "T": ("tera", "太"),
}
_PREFIXED: Final = _words(
    "nm μm mm cm dm km μg mg kg ng μL mL ml dL dl cL cl μl mW kW MW GW TW mV kV μA mA kA kJ MJ kN"
    " kPa hPa MPa GPa kHz MHz GHz THz kΩ MΩ μF nF kWh MWh GWh TWh mAh kcal mmol μmol nmol ms μs ns"
    " keV MeV GeV kBq MBq mSv μSv mbar"
)
_DATA: Final = {
    f"{prefix}{unit}": Unit(f"{name}{noun}", f"{name}{noun}s", f"{prefix}{unit}")
    for prefix, (name, _) in {**_PREFIXES, "K": ("kilo", ""), "P": ("peta", "")}.items()
    for unit, noun in (("B", "byte"), ("b", "bit"))
    if prefix in "kKMGTP"
}
_OTHERS: Final = {
    "km": _plain("kilometer", "公里"),
    "t": _plain("ton", "吨"),
    "h": _plain("hour", "小时"),
    "hr": _plain("hour", "小时"),
    "hrs": _plain("hour", "小时"),
    "min": _plain("minute", "分钟"),
    "mins": _plain("minute", "分钟"),
    "sec": _plain("second", "秒"),
    "secs": _plain("second", "秒"),
    "ha": _plain("hectare", "公顷"),
    "dB": Unit("decibel", "decibels", "分贝"),
    "dBm": Unit("decibel milliwatt", "decibel milliwatts", "分贝毫瓦"),
    "mmHg": Unit("millimeter of mercury", "millimeters of mercury", "毫米汞柱"),
    "rpm": Unit("revolution per minute", "revolutions per minute", "转每分钟"),
    "bpm": Unit("beat per minute", "beats per minute", "次每分钟"),
    "fps": Unit("frame per second", "frames per second", "帧每秒"),
    "ppm": Unit("part per million", "parts per million", "个百万分点"),
    "ppb": Unit("part per billion", "parts per billion", "个十亿分点"),
    "dpi": Unit("dot per inch", "dots per inch", "点每英寸"),
    "px": _plain("pixel", "像素"),
    "MP": _plain("megapixel", "百万像素"),
    "mph": Unit("mile per hour", "miles per hour", "英里每小时"),
    "kph": Unit("kilometer per hour", "kilometers per hour", "公里每小时"),
    "kmh": Unit("kilometer per hour", "kilometers per hour", "公里每小时"),
    "psi": Unit("pound per square inch", "pounds per square inch", "磅每平方英寸"),
    "ft": _plain("foot", "英尺", "feet"),
    "in": _plain("inch", "英寸", "inches"),
    "mi": _plain("mile", "英里"),
    "yd": _plain("yard", "码"),
    "oz": _plain("ounce", "盎司"),
    "lb": _plain("pound", "磅"),
    "lbs": _plain("pound", "磅"),
    "gal": _plain("gallon", "加仑"),
    "tsp": _plain("teaspoon", "茶匙"),
    "tbsp": _plain("tablespoon", "汤匙"),
    "Tbsp": _plain("tablespoon", "汤匙"),
    "hp": Unit("horsepower", "horsepower", "马力"),
    "¢": Unit("cent", "cents", "美分"),
    "K": Unit("kelvin", "kelvins", "开尔文"),
    "℃": Unit("degree Celsius", "degrees Celsius", "摄氏度", liang=False),
    "°C": Unit("degree Celsius", "degrees Celsius", "摄氏度", liang=False),
    "℉": Unit("degree Fahrenheit", "degrees Fahrenheit", "华氏度", liang=False),
    "°F": Unit("degree Fahrenheit", "degrees Fahrenheit", "华氏度", liang=False),
    "°": Unit("degree", "degrees", "度", liang=False),
    "kbps": Unit("kilobit per second", "kilobits per second", "千比特每秒"),
    "Kbps": Unit("kilobit per second", "kilobits per second", "千比特每秒"),
    "Mbps": Unit("megabit per second", "megabits per second", "兆比特每秒"),
    "Gbps": Unit("gigabit per second", "gigabits per second", "吉比特每秒"),
    "MBps": Unit("megabyte per second", "megabytes per second", "兆字节每秒"),
    "GiB": Unit("gibibyte", "gibibytes", "GB"),
    "MiB": Unit("mebibyte", "mebibytes", "MB"),
}


def _prefixed(sign: str) -> Unit:
    prefix, base = _PREFIXES[sign[0]], _METRIC[sign[1:]]
    chinese = "厘米" if sign == "cm" else prefix[1] + base.chinese
    return Unit(prefix[0] + base.one, prefix[0] + base.many, chinese)


_BASES: Final = MappingProxyType(
    {**_METRIC, **{sign: _prefixed(sign) for sign in _PREFIXED}, **_DATA, **_OTHERS}
)
INCH: Final = _BASES["in"]
_LENGTHS: Final = ("m", "cm", "mm", "km", "dm", "nm", "μm", "ft", "in", "mi", "yd")
_ALONE_NO_UNIT: Final = ("A", "F", "N", "J", "K")
"""After a number these are more often part of a name ("4K", "Gate 5A")."""

_SIGNS: Final = MappingProxyType(
    {
        **{sign: unit for sign, unit in _BASES.items() if sign not in _ALONE_NO_UNIT},
        **{
            f"{power}{sign}" if power.isalpha() else f"{sign}{power}": Unit(
                f"{name} {_BASES[sign].one}",
                f"{name} {_BASES[sign].many}",
                chinese + _BASES[sign].chinese,
            )
            for sign in _LENGTHS
            for powers, name, chinese in (("²2", "square", "平方"), ("³3", "cubic", "立方"))
            for power in (*powers, "sq" if name == "square" else "cu")
        },
        "sq. ft": Unit("square foot", "square feet", "平方英尺"),
        "fl. oz": Unit("fluid ounce", "fluid ounces", "液量盎司"),
        "sq ft": Unit("square foot", "square feet", "平方英尺"),
        "sq m": Unit("square meter", "square meters", "平方米"),
        "fl oz": Unit("fluid ounce", "fluid ounces", "液量盎司"),
        "㎡": Unit("square meter", "square meters", "平方米"),
        "㎏": _prefixed("kg"),
        "㎝": _prefixed("cm"),
        "㎜": _prefixed("mm"),
        "㎞": _BASES["km"],
        "㎎": _prefixed("mg"),
    }
)
_DENOMINATORS: Final = MappingProxyType(
    {
        **_SIGNS,
        "d": _plain("day", "天"),
        "day": _plain("day", "天"),
        "week": _plain("week", "周"),
        "month": _plain("month", "月"),
        "mo": _plain("month", "月"),
        "year": _plain("year", "年"),
        "yr": _plain("year", "年"),
        "hour": _plain("hour", "小时"),
        "minute": _plain("minute", "分钟"),
        "second": _plain("second", "秒"),
        "person": _plain("person", "人", "people"),
        "s²": Unit("second squared", "", "二次方秒"),
        "s2": Unit("second squared", "", "二次方秒"),
        "h": _plain("hour", "小时"),
        "min": _plain("minute", "分钟"),
    }
)
_APART: Final = frozenset(_SIGNS) - frozenset(
    # What with a blank before it is more often a word, a name or a number of its own.
    ["V", "W", "in", "t", "s", "l", "MP", "bar"]
)


def _any(signs: Iterable[str]) -> str:
    return "|".join(re.escape(sign) for sign in sorted(signs, key=len, reverse=True))


_END: Final = "(?![A-Za-z0-9²³μΩ])"
_PER: Final = rf"(?:/({_any(_DENOMINATORS)}){_END})?"
_ATTACHED: Final = re.compile(rf"(-?)({_any(_SIGNS)}){_END}{_PER}")
SPACED_UNIT: Final = rf"[ \u202f]({_any(_APART)}){_END}{_PER}"
"""A unit with a blank before it."""
_SPACED: Final = re.compile(SPACED_UNIT)
_WITH_STOP: Final = frozenset(
    _words("hr hrs min mins sec secs ft in mi yd oz lb lbs gal tsp tbsp Tbsp")
) | {"sq ft", "sq. ft", "fl oz", "fl. oz"}
"""Abbreviated with a full stop, which belongs to the unit if the sentence goes on."""
_STOP: Final = re.compile(r"\.(?= [a-z0-9])")
_DEGREES: Final = re.compile(r"[ \u202f]?([°℃℉](?:[CF](?![A-Za-z]))?)")
_PER_ALONE: Final = re.compile(rf"/({_any(_DENOMINATORS)}){_END}")
_MEASURES: Final = re.compile(
    r"[ \u202f]?(?:个|人|位|名|天|周|年(?!级)|次|种|件|只|条|张|本|块|元|家|台|辆|岁|小时|分钟|秒|倍"
    r"|公里|公斤|千克|斤|米|吨|升|层|篇|首|场|杯|瓶|碗|份|部|套|双|对|间|座|棵|句|页|项|类|批|组|群"
    r"|道|根|支|把|点|磅|英|万|千|亿|百)"
)


def unit_at(text: str, at: int) -> tuple[Unit, int, bool] | None:
    """The unit right after a number, where it ends, and whether a hyphen joins it ("a 10-km run")."""
    if found := _DEGREES.match(text, at):
        return _SIGNS[found[1]], found.end(), False
    if found := _ATTACHED.match(text, at):
        unit = _SIGNS[found[2]]
        return _per(unit, found[3]), _past_stop(text, found[2], found.end()), bool(found[1])
    if found := _SPACED.match(text, at):
        return _per(_SIGNS[found[1]], found[2]), _past_stop(text, found[1], found.end()), False
    return None


def _past_stop(text: str, sign: str, end: int) -> int:
    """The end of a unit, with the full stop of its abbreviation: "3 tbsp. sugar"."""
    stop = _STOP.match(text, end) if sign in _WITH_STOP else None
    return stop.end() if stop else end


def per_at(text: str, at: int) -> tuple[Unit, int] | None:
    """The denominator of money or of a number ("$5/month"), and where it ends."""
    found = _PER_ALONE.match(text, at)
    return (_DENOMINATORS[found[1]], found.end()) if found else None


def measured(text: str, at: int) -> bool:
    """Whether a Chinese measure word follows."""
    return _MEASURES.match(text, at) is not None


def _per(unit: Unit, sign: str | None) -> Unit:
    return unit._replace(per=_DENOMINATORS[sign]) if sign else unit

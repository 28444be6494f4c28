"""Currencies, and amounts of money in words."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final, NamedTuple

from .numbers import MOST_DIGITS, cardinal, count, decimal


class Currency(NamedTuple):
    """A currency's names: one, many, a hundredth ("" if it has none), hundredths; in Chinese."""

    one: str
    many: str
    hundredth: str
    hundredths: str
    chinese: str


_DOLLAR: Final = Currency("dollar", "dollars", "cent", "cents", "美元")
_EURO: Final = Currency("euro", "euros", "cent", "cents", "欧元")
_POUND: Final = Currency("pound", "pounds", "penny", "pence", "英镑")
_YUAN: Final = Currency("yuan", "yuan", "fen", "fen", "元")


def _dollars(country: str, chinese: str) -> Currency:
    return Currency(f"{country} dollar", f"{country} dollars", "cent", "cents", chinese)


def _plain(one: str, many: str, chinese: str) -> Currency:
    return Currency(one, many, "", "", chinese)


CURRENCIES: Final = MappingProxyType(
    {
        **dict.fromkeys(("$", "USD", "US$"), _DOLLAR),
        **dict.fromkeys(("€", "EUR"), _EURO),
        **dict.fromkeys(("£", "GBP"), _POUND),
        **dict.fromkeys(("¥", "￥", "元", "CNY", "RMB", "CN¥", "RMB¥"), _YUAN),
        **dict.fromkeys(("JPY", "JP¥", "円"), _plain("yen", "yen", "日元")),
        **dict.fromkeys(("HKD", "HK$"), _dollars("Hong Kong", "港元")),
        **dict.fromkeys(("TWD", "NT$", "NTD"), _dollars("Taiwan", "新台币")),
        **dict.fromkeys(("AUD", "A$", "AU$"), _dollars("Australian", "澳元")),
        **dict.fromkeys(("CAD", "C$", "CA$"), _dollars("Canadian", "加元")),
        **dict.fromkeys(("SGD", "S$"), _dollars("Singapore", "新加坡元")),
        **dict.fromkeys(("NZD", "NZ$"), _dollars("New Zealand", "新西兰元")),
        **dict.fromkeys(("BRL", "R$"), _plain("real", "reais", "雷亚尔")),
        "MXN": _plain("Mexican peso", "Mexican pesos", "墨西哥比索"),
        "CHF": Currency("Swiss franc", "Swiss francs", "centime", "centimes", "瑞士法郎"),
        **dict.fromkeys(("KRW", "₩"), _plain("won", "won", "韩元")),
        **dict.fromkeys(("INR", "₹"), _plain("rupee", "rupees", "卢比")),
        **dict.fromkeys(("RUB", "₽"), _plain("ruble", "rubles", "卢布")),
        **dict.fromkeys(("TRY", "₺"), _plain("lira", "lira", "里拉")),
        **dict.fromkeys(("VND", "₫"), _plain("dong", "dong", "越南盾")),
        **dict.fromkeys(("THB", "฿"), _plain("baht", "baht", "泰铢")),
        **dict.fromkeys(("PHP", "₱"), _plain("peso", "pesos", "比索")),
        **dict.fromkeys(("UAH", "₴"), _plain("hryvnia", "hryvnias", "格里夫纳")),
        **dict.fromkeys(("ILS", "₪"), _plain("shekel", "shekels", "谢克尔")),
        **dict.fromkeys(("BTC", "₿"), _plain("bitcoin", "bitcoins", "比特币")),
        **{
            code: _plain(name, f"{name}s", chinese)
            for code, name, chinese in (
                ("MYR", "ringgit", "林吉特"),
                ("SEK", "Swedish krona", "瑞典克朗"),
                ("NOK", "Norwegian krone", "挪威克朗"),
                ("DKK", "Danish krone", "丹麦克朗"),
                ("PLN", "zloty", "兹罗提"),
                ("CZK", "Czech koruna", "捷克克朗"),
                ("HUF", "forint", "福林"),
                ("IDR", "rupiah", "印尼盾"),
                ("AED", "dirham", "迪拉姆"),
                ("SAR", "riyal", "里亚尔"),
                ("ZAR", "rand", "兰特"),
                ("EGP", "Egyptian pound", "埃及镑"),
                ("NGN", "naira", "奈拉"),
            )
        },
    }
)
"""By signs and ISO 4217 codes."""

SIGNS: Final = "$€£¥₩₹₽₺₫฿₱₴₪₿"
_CODES: Final = "|".join(sorted(code for code in CURRENCIES if code.isascii() and code.isalpha()))
_COMPOUND: Final = "|".join(
    re.escape(code) for code in CURRENCIES if len(code) > 1 and code[-1] in "$¥"
)
PREFIX: Final = rf"(?:(?:{_COMPOUND})|[{SIGNS}]|(?:{_CODES}))"
SUFFIX: Final = rf"(?:[€£₩₹₽₺₫฿₱₴₪₿$]|¥|(?:{_CODES})(?![A-Za-z])|円)"


def money(currency: Currency, whole: str, part: str, language: str) -> str | None:
    """An amount of money in words; None if there are too many digits for a number."""
    if len(whole) > MOST_DIGITS:
        return None
    exact = part.rstrip("0")
    if language == "zh":
        return count(whole, exact, language) + currency.chinese
    if len(exact) > 2 or (exact and not currency.hundredth):
        return f"{decimal(whole, exact, language)} {currency.many}"
    said = f"{cardinal(whole, language)} {currency.one if int(whole) == 1 else currency.many}"
    if not exact:
        return said
    cents = int(exact.ljust(2, "0"))
    name = currency.hundredth if cents == 1 else currency.hundredths
    cents_said = f"{cardinal(str(cents), language)} {name}"
    return cents_said if int(whole) == 0 else f"{said} and {cents_said}"

"""Look-alikes made plain, one character for one, so that places in the text stay what they are."""

from __future__ import annotations

from typing import Final

THIN: Final = "\u202f"
"""Stands for every thin or no-break blank: one that may stand within a number."""

THIN_BLANKS: Final = "\u00a0\u2006\u2007\u2008\u2009\u200a\u202f"

_FOLDED: Final = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    **{0x2080 + digit: ord("0") + digit for digit in range(10)},
    **dict.fromkeys(map(ord, THIN_BLANKS), ord(THIN)),
    **dict.fromkeys(map(ord, "\u3000\t\n\r"), ord(" ")),
    **dict.fromkeys(map(ord, "−﹣‐‑"), ord("-")),
    **dict.fromkeys(map(ord, "〜∼"), ord("~")),
    **dict.fromkeys(map(ord, "’‘′"), ord("'")),
    **dict.fromkeys(map(ord, "″"), ord('"')),
    **dict.fromkeys(map(ord, "⁄∕"), ord("/")),
    **dict.fromkeys(map(ord, "✕✖⨯"), ord("×")),
    **dict(zip(map(ord, "￥￡￠￦≧≦⩾⩽∶µÅ˚"), map(ord, "¥£¢₩≥≤≥≤:μÅ°"), strict=True)),
}


def fold(text: str) -> str:
    """`text`, of the same length, with one spelling for each sign that the rules know."""
    return text if text.isascii() and text.isprintable() else text.translate(_FOLDED)

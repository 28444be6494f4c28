"""`$…$` around a formula, told from money."""

from __future__ import annotations

import re
from typing import Final

from .rewriting import NL, Construct

_WORDS: Final = Construct(
    re.compile(rf"\$([^\s$\d][^${NL}]{{0,78}}+)\$"),
    re.compile(rf"\$(?:[^\s$\d][^${NL}]{{0,78}}+)?"),
    81,
)
_NUMBERS: Final = Construct(
    re.compile(r"\$(\d[^\s$]{0,40}+)\$"), re.compile(r"\$(?:\d[^\s$]{0,40}+)?"), 43
)
_FORMULA: Final = re.compile(r"[\\^_={}+<>]|^[A-Za-z](?:\([A-Za-z]\))?$")


def formula_length(text: str, at: int, final: bool, before: str) -> int:
    """Characters between the dollar sign at `at` and its partner; 0 if it is money. Raises MoreText.

    before: the character before it.
    """
    if before.isalnum():
        return 0
    found = _WORDS.match(text, at, final) or _NUMBERS.match(text, at, final)
    if found is None or found[1][-1].isspace() or not _FORMULA.search(found[1]):
        return 0
    return len(found[1])

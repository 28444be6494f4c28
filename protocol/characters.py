"""Counting text for `usage.characters`."""

from __future__ import annotations

import re
from typing import Final

# The blocks of the Unicode script Han that hold ideographs: with their extensions and compatibility
# forms, and the whole of planes 2 and 3, which are set aside for more of them.
_HAN: Final = re.compile(
    "[\u2e80-\u2fd5\u3005\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003fffd]"
)


def count_characters(text: str) -> int:
    """Every code point counts, blanks included; a Han character counts twice."""
    return len(text) + sum(1 for _ in _HAN.finditer(text))

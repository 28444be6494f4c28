"""Full stops that end no sentence, out of the way of espeak-ng, which pauses at most of them."""

from __future__ import annotations

import re
from typing import Final

_MARKER: Final = re.compile(
    r"""(?x) \s* (?:
        (?:Step|Part|Phase|Stage|Day|Week|Tip|Rule|Option|Scene)[ ]\d{1,3} (?P<a>[.:：])
        | [(（\[]? (?:\d{1,3}|[一二三四五六七八九十]{1,3}) (?P<b>[.．)）\]、:：])
        | [(（\[]? (?:[A-Za-z]|[ivxIVX]{1,4}) (?P<c>[)）\]、]|[.．](?=\s))
        | [\u2460-\u2468]
    ) (?=\s*[^\s\d一二三四五六七八九十.,、])"""
)
_STOP: Final = re.compile(r"(?<=\w)\.(?=\s+[^\W_a-z])")
_CIRCLED: Final = {0x245F + number: str(number) for number in range(1, 10)}


def unmarked(text: str) -> str:
    """A piece of a sentence without the point of its marker. The length stays as it is."""
    marker = _MARKER.match(text)
    if marker is None:
        return text
    begin, end = marker.span(marker.lastgroup or 0)
    point = " " if marker.lastgroup else marker[0].translate(_CIRCLED)
    return text[:begin] + point + text[end:]


def unpaused(text: str) -> str:
    """A piece of a sentence without the full stops before a capital or digit.

    A sentence that goes on after a full stop has it for an abbreviation. The length stays as it is.
    """
    return _STOP.sub(" ", text)

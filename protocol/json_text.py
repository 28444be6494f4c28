"""JSON as clients write it: one decoder for the messages and bodies of all dialects."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import orjson

from .errors import BadFrame

JsonObject = dict[str, Any]

CLOSE_INVALID_DATA: Final = 1007
"""RFC 6455, section 7.4.1."""

_MARK: Final = "\ufeff"
_HALVES: Final = re.compile(
    r"(?<!\\)((?:\\\\)*+)\\u"  # an escape, not what follows one of the backslash
    r"(?:[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|([dD][89a-fA-F][0-9a-fA-F]{2}))"
)
"""Escapes of surrogates: whole pairs, and in group 2 the digits of halves that stand alone."""

_HIDDEN: Final = 0xE000 - 0xD800
"""From a surrogate to a character of the private use area that stands for it."""


def decode(data: bytes | str, text: tuple[str, ...] = ()) -> Any:
    """The value that a whole message is; a byte order mark before it is skipped.

    Half of a surrogate pair, written as an escape, becomes U+FFFD wherever it stands; but the string
    at the path `text` may begin and end with one, for it may be a piece of a longer text.

    Raises BadFrame.
    """
    try:
        return orjson.loads(_without_mark(data))
    except orjson.JSONDecodeError as error:
        # orjson takes no half that stands alone; if there is one, that may be all that is wrong.
        source = _source(_without_mark(data))
        mended = source and _HALVES.sub(_with(lambda half: "fffd"), source)
        if not mended or mended == source:
            # Only the parser's own words go out: its position helps, the document may be huge.
            raise _not_json(error) from None
    try:
        value = orjson.loads(mended)
    except orjson.JSONDecodeError as error:
        raise _not_json(error) from None
    if text and isinstance(found := _at(value, text), str) and found:
        # The same once more, with halves that can be told from what was U+FFFD before.
        hidden = _HALVES.sub(_with(lambda half: f"{int(half, 16) + _HIDDEN:04x}"), source)
        _put(value, text, _with_ends(found, _at(orjson.loads(hidden), text)))
    return value


def _without_mark(data: bytes | str) -> bytes | str:
    match data:
        case str():
            return data.removeprefix(_MARK)
        case bytes():
            return data.removeprefix(_MARK.encode())


def _source(data: bytes | str) -> str:
    """The text that may have halves in it; "" if it has none, or is no text at all."""
    try:
        source = data if isinstance(data, str) else data.decode()
    except UnicodeDecodeError:
        return ""
    return source if "\\ud" in source or "\\uD" in source else ""


def _with(written: Callable[[str], str]) -> Callable[[re.Match[str]], str]:
    """Another escape in the place of one of a half, as long as that is."""
    return lambda match: f"{match[1]}\\u{written(match[2])}" if match[2] else match[0]


def _with_ends(text: str, hidden: str) -> str:
    """The text with the halves that it begins and ends with, from where they are only hidden."""
    first, last = (
        text[at] if text[at] == hidden[at] else chr(ord(hidden[at]) - _HIDDEN) for at in (0, -1)
    )
    return first if len(text) == 1 else first + text[1:-1] + last


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _put(value: Any, path: tuple[str, ...], text: str) -> None:
    _at(value, path[:-1])[path[-1]] = text


def _not_json(error: orjson.JSONDecodeError) -> BadFrame:
    return BadFrame(f"not JSON: {error.msg}", CLOSE_INVALID_DATA)

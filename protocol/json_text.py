"""JSON as clients write it: one decoder for the messages and bodies of all dialects."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

import orjson

from .errors import BadFrame
from .surrogates import well_formed

JsonObject = dict[str, Any]

CLOSE_INVALID_DATA: Final = 1007
"""RFC 6455, section 7.4.1."""

_MARK: Final = "\ufeff"
_MARK_BYTES: Final = _MARK.encode()


def decode(data: bytes | str, text: tuple[str, ...] = ()) -> Any:
    """The value that a whole message is; a byte order mark before it is skipped.

    Half of a surrogate pair, written as an escape, becomes U+FFFD wherever it stands. Only the string
    at the path `text` keeps its halves, for it may be a piece of a longer text: see `surrogates.join`.

    Raises BadFrame.
    """
    data = data.removeprefix(_MARK) if isinstance(data, str) else data.removeprefix(_MARK_BYTES)
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        # orjson takes no half that stands alone; if there may be one, that may be all that is wrong.
        if not _may_have_halves(data):
            raise _not_json(error.msg) from None
        message = error.msg
    try:
        loose = json.loads(data, parse_constant=_refuse)
        whole = well_formed(json.dumps(loose, ensure_ascii=False))
        value = orjson.loads(whole)
    except (ValueError, RecursionError):
        # Only the parser's own words go out: its position helps, the document may be huge.
        raise _not_json(message) from None
    piece = _at(loose, text)
    if text and isinstance(piece, str):
        _at(value, text[:-1])[text[-1]] = piece
    return value


def _may_have_halves(data: bytes | str) -> bool:
    if isinstance(data, str):
        return "\\ud" in data or "\\uD" in data
    return b"\\ud" in data or b"\\uD" in data


def _refuse(constant: str) -> NoReturn:
    """NaN and the infinities, which Python's parser takes, are no JSON."""
    raise ValueError(constant)


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _not_json(reason: str) -> BadFrame:
    return BadFrame(f"not JSON: {reason}", CLOSE_INVALID_DATA)

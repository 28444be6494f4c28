"""Reading the fields of a decoded JSON object, with errors that name what is allowed.

An explicit null means that the field is absent, everywhere. A number or a boolean may be written as
a string, since many clients do: "1.0", "24000", "true".
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

from .errors import BadFrame, InvalidParameter
from .json_text import JsonObject as JsonObject
from .json_text import decode

T = TypeVar("T", str, int, bool, dict[str, Any])

LONGEST_SHOWN: Final = 64
"""Characters of a client's value that an error message repeats, not counting the quotes."""

_NUMBER: Final = re.compile(
    r"[+-]?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,3})?"
)
_EXACT: Final = 2**53
"""A double holds every integer up to this."""
_BOOLEANS: Final = {"true": True, "false": False}

_KINDS: Final[dict[type, str]] = {
    str: "a string",
    int: "an integer",
    bool: "true or false",
    dict: "an object",
}


def shown(value: object) -> str:
    """A JSON value as error messages show it: bounded, on one line, no control characters."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case dict():
            return "an object"
        case list():
            return "an array"
        case str():
            # One more than is shown, so that the cut below is seen; escapes make it longer.
            text = repr(value[: LONGEST_SHOWN + 1])
        case _:
            text = repr(value)
    return text if len(text) <= LONGEST_SHOWN + 2 else f"{text[: LONGEST_SHOWN + 1]}..."


def refusal(where: str, value: object, allowed: str) -> InvalidParameter:
    """The error for the field at path `where`; a value of None is a missing field."""
    what = "missing" if value is None else f"{shown(value)} is not allowed"
    return InvalidParameter(f"{where}: {what}; allowed: {allowed}")


def json_object(data: bytes | str, text: tuple[str, ...] = ()) -> JsonObject:
    """Parse a whole message. text: as in `json_text.decode`.

    Raises BadFrame if it is not JSON, InvalidParameter if it is not an object.
    """
    message = decode(data, text)
    if not isinstance(message, dict):
        raise InvalidParameter(f"message: {shown(message)} is not allowed; allowed: an object")
    return message


def body_object(body: bytes) -> JsonObject:
    """Parse the whole body of an HTTP request. Raises InvalidParameter if it is no JSON object."""
    try:
        return json_object(body)
    except BadFrame as error:
        raise InvalidParameter(f"body: {error.message}") from None


def optional(fields: JsonObject, name: str, kind: type[T], path: str = "") -> T | None:
    """The field `name`, None if absent; `path` is that of `fields` in the message.

    Raises InvalidParameter if it is of another type.
    """
    value = fields.get(name)
    if value is None:
        return None
    value = as_written(value, kind)
    # In Python a bool is an int; in JSON it is not.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise refusal(_join(path, name), value, _KINDS[kind])
    return value


def required(fields: JsonObject, name: str, kind: type[T], path: str = "") -> T:
    """As `optional`, but a missing field raises InvalidParameter as well."""
    value = optional(fields, name, kind, path)
    if value is None:
        raise refusal(_join(path, name), None, _KINDS[kind])
    return value


def number(fields: JsonObject, name: str, path: str, default: float | None = None) -> float:
    """The number `name`. Raises InvalidParameter if it is no number, or missing with no default."""
    value = fields.get(name)
    if value is None and default is not None:
        return default
    value = as_written(value, float)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refusal(_join(path, name), value, "a number")
    return float(value)


def as_written(value: object, kind: type) -> object:
    """A string that spells a boolean or a number (int, float) as what it spells, else the value itself.

    What is no plain decimal (blank, hexadecimal, NaN, infinite, over 20 digits) stays a string, and so
    does one with a fraction where an integer is wanted.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if kind is bool:
        return _BOOLEANS.get(text.lower(), value)
    if kind not in (int, float) or _NUMBER.fullmatch(text) is None:
        return value
    found = float(text)
    if kind is int:
        return int(found) if found.is_integer() and abs(found) <= _EXACT else value
    return found if abs(found) < float("inf") else value


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name

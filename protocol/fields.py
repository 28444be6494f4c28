"""Reading the fields of a decoded JSON object, with errors that name what is allowed.

An explicit null means that the field is absent, everywhere.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import orjson

from .errors import BadFrame, InvalidParameter

T = TypeVar("T", str, int, bool, dict[str, Any])
JsonObject = dict[str, Any]

# RFC 6455, section 7.4.1
CLOSE_INVALID_DATA: Final = 1007

LONGEST_SHOWN: Final = 64
"""Characters of a client's value that an error message repeats, not counting the quotes."""

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


def json_object(data: bytes | str) -> JsonObject:
    """Parse a whole message.

    Raises BadFrame if it is not JSON, InvalidParameter if it is not an object.
    """
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        # Only the parser's own words go out: its position helps, the document it holds may be huge.
        raise BadFrame(f"not JSON: {error.msg}", CLOSE_INVALID_DATA) from None
    if not isinstance(message, dict):
        raise InvalidParameter(f"message: {shown(message)} is not allowed; allowed: an object")
    return message


def optional(fields: JsonObject, name: str, kind: type[T], path: str = "") -> T | None:
    """The field `name`, None if absent; `path` is that of `fields` in the message.

    Raises InvalidParameter if it is of another type.
    """
    value = fields.get(name)
    if value is None:
        return None
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
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refusal(_join(path, name), value, "a number")
    return float(value)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name

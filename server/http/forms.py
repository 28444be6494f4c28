"""Forms with files, multipart/form-data of RFC 7578, parsed in one pass over a body that is in memory.

The work is linear in the body and bounded in parts: each step is a search in C for the next delimiter, and a
form with more parts than are allowed is refused when the first of them too many is seen. For a thread: a
large form still takes a tenth of a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from cosyserve.protocol.errors import InvalidParameter

MAX_PARTS: Final = 32
MAX_PART_HEAD: Final = 8 * 1024
"""Bytes of the headers of one part."""

_STEP: Final = 256 * 1024
_BROKEN: Final = "the body is not valid multipart/form-data"
_BOUNDARY: Final = re.compile(
    r";\s*boundary=(?:\"([^\"\\]{1,70})\"|([^\s;\",]{1,70}))", re.IGNORECASE
)
_HEAD: Final = re.compile(rb"(?:[!#-'*+.^-z|~\-0-9A-Z]+:[\t -~\x80-\xff]*\r\n)*")
_PARAMETER: Final = re.compile(
    r";\s*([a-z]+\*?)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;\"]*))", re.IGNORECASE
)
_ESCAPED: Final = re.compile(r"\\([\"\\])")
_PLAIN: Final = ("binary", "8bit", "7bit")
_DELIMITER_END: Final = re.compile(rb"[ \t]*\r\n")


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form. filename: None for a field that is no file."""

    name: str
    filename: str | None
    data: memoryview


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type names. Raises InvalidParameter if there is none."""
    found = _BOUNDARY.search(content_type)
    boundary = (found[1] or found[2]) if found else ""
    if not boundary.isascii() or not boundary:
        raise InvalidParameter(f"{_BROKEN}: its Content-Type names no boundary")
    return boundary.encode()


def parse_form(body: bytes, boundary: bytes) -> Iterator[Part]:
    """The parts of a form, in their order. Raises InvalidParameter where the body is no form."""
    delimiter = b"\r\n--" + boundary
    first = 0 if body.startswith(delimiter[2:]) else _find(body, delimiter, 0) + 2
    at = first + len(delimiter) - 2
    view = memoryview(body)
    for _ in range(MAX_PARTS):
        if body.startswith(b"--", at):
            return
        line_end = _DELIMITER_END.match(body, at)
        if line_end is None:
            raise InvalidParameter(_BROKEN)
        # The delimiter of an empty part without headers begins with the line end of the one before.
        end = _find(body, delimiter, line_end.end() - 2)
        at = end + len(delimiter)
        yield _part(view[line_end.end() : max(end, line_end.end())])
    if not body.startswith(b"--", at):
        raise InvalidParameter(f"the form has too many parts; allowed: {MAX_PARTS}")


def _find(body: bytes, delimiter: bytes, start: int) -> int:
    """Where the next delimiter begins. Other threads can run between the steps of a long search."""
    while start < len(body):
        found = body.find(delimiter, start, start + _STEP + len(delimiter))
        if found >= 0:
            return found
        start += _STEP
    raise InvalidParameter(_BROKEN)


def _part(part: memoryview) -> Part:
    """A part as it is between two delimiters: its headers, an empty line, its data."""
    start = bytes(part[: MAX_PART_HEAD + 4])
    length = 0 if start.startswith(b"\r\n") else start.find(b"\r\n\r\n") + 2
    head = start[:length]
    if length == 1 or _HEAD.fullmatch(head) is None:
        raise InvalidParameter(f"{_BROKEN}: the headers of a part are malformed or too long")
    disposition = ""
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        match name.lower():
            case "content-disposition":
                disposition = value
            case "content-transfer-encoding" if value.strip().lower() not in _PLAIN:
                raise InvalidParameter(
                    f"Content-Transfer-Encoding: not understood; allowed: {', '.join(_PLAIN)}"
                )
    told: dict[str, str] = {}
    for key, quoted, bare in _PARAMETER.findall(disposition):
        told.setdefault(key.lower(), _ESCAPED.sub(r"\1", quoted) or bare)
    filename = _extended(told["filename*"]) if "filename*" in told else told.get("filename")
    return Part(told.get("name", ""), filename, part[length + 2 :])


def _extended(value: str) -> str:
    """RFC 8187: the charset, two quotation marks with a language between them, percent-encoded bytes."""
    charset, _, rest = value.partition("'")
    encoding = "latin-1" if charset.lower() == "iso-8859-1" else "utf-8"
    return unquote(rest.partition("'")[2], encoding, "replace")

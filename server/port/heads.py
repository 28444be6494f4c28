"""The head of a request, checked before a library sees it.

The libraries answer a malformed head in forms of their own, and log its values, which may be secrets. No
message here has a value in it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cosyserve.protocol.errors import InvalidParameter

MAX_HEAD_BYTES: Final = 16 * 1024
MAX_LINE_BYTES: Final = 8190
"""Of the request line and of each header; aiohttp and websockets accept no more."""
MAX_HEADERS: Final = 100

_LINE: Final = re.compile(rb"[!#-'*+.^-z|~\-0-9A-Z]+ ([!-~\x80-\xff]+) HTTP/1\.([01])")
_HEADER: Final = re.compile(rb"([!#-'*+.^-z|~\-0-9A-Z]+):([\t -~\x80-\xff]*)")
_ROUGH_ORIGIN: Final = re.compile(rb"\norigin:[ \t]*([!-~]+)[ \t]*\r", re.IGNORECASE)
_ROUGH_CREDENTIAL: Final = re.compile(
    rb"\n(?:authorization|xi-api-key|sec-websocket-protocol):[ \t]*([!-~ ]*)", re.IGNORECASE
)
_ROUGH_TARGET: Final = re.compile(rb"[^ ]+ +([!-~]+)")


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A well-formed head. headers: all values by the name in lower case."""

    target: str
    headers: Mapping[str, Sequence[str]]

    def values(self, name: str) -> Sequence[str]:
        return self.headers.get(name, ())

    @property
    def is_upgrade(self) -> bool:
        """Whether it asks for a WebSocket."""
        names = re.split(r"[,\s]+", ",".join(self.values("upgrade")).lower())
        return "websocket" in names


def parse_head(head: bytes) -> RequestHead:
    """Read a head, which is whole and has no empty line at its end.

    Raises InvalidParameter for one that is malformed, that no library takes, or that is too long.
    """
    first, *lines = head.split(b"\r\n")
    if max(map(len, (first, *lines))) > MAX_LINE_BYTES:
        raise InvalidParameter(
            f"the URL or a header is too long; allowed: {MAX_LINE_BYTES} bytes in a line"
        )
    if len(lines) > MAX_HEADERS:
        raise InvalidParameter(f"the request has too many headers; allowed: {MAX_HEADERS}")
    line = _LINE.fullmatch(first)
    if line is None:
        raise InvalidParameter("the request line is malformed; allowed: METHOD TARGET HTTP/1.1")
    headers = defaultdict(list)
    for number, text in enumerate(lines, 1):
        header = _HEADER.fullmatch(text)
        if header is None:
            raise InvalidParameter(
                f"header {number} is malformed; allowed: NAME: VALUE on one line"
            )
        headers[header[1].decode().lower()].append(header[2].decode("latin-1").strip(" \t"))
    if line[2] == b"0":
        headers.pop("upgrade", None)  # HTTP/1.0 has no upgrades: RFC 9110, section 7.8
    found = RequestHead(line[1].decode("latin-1"), dict(headers))
    _check(found, version=line[2])
    return found


def rough_target(head: bytes) -> str:
    """What seems to be the target of a head that is malformed, for the choice of an answer's form."""
    found = _ROUGH_TARGET.match(head[:MAX_LINE_BYTES])
    return found[1].decode() if found else "/"


def rough_credential(head: bytes) -> str:
    """What tells apart who seem to ask: the first header with a credential, "" without one."""
    found = _ROUGH_CREDENTIAL.search(head[:MAX_HEAD_BYTES])
    return found[1].decode() if found else ""


def rough_origins(head: bytes) -> Sequence[str]:
    """What seem to be the values of Origin in a head that is malformed."""
    return [found.decode() for found in _ROUGH_ORIGIN.findall(head[:MAX_HEAD_BYTES])]


def _check(head: RequestHead, version: bytes) -> None:
    if len(head.values("host")) != 1 and (version == b"1" or head.values("host")):
        raise InvalidParameter("Host: missing or given twice; allowed: once")
    if any(value.lower() != "100-continue" for value in head.values("expect")):
        raise InvalidParameter("Expect: not understood; allowed: 100-continue")
    if head.is_upgrade:
        if head.values("transfer-encoding") or set(head.values("content-length")) - {"0"}:
            raise InvalidParameter("an upgrade to a WebSocket has a body; allowed: none")
        if not head.target.isascii():
            raise InvalidParameter(
                "the path of a WebSocket is not ASCII; allowed: percent-encoding"
            )

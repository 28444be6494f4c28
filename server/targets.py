"""Request targets in one spelling: clients join a base URL and a path with too few or too many slashes."""

from __future__ import annotations

import re
from typing import Final

_SLASHES: Final = re.compile("/{2,}")
_AUTHORITY: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


def one_spelling(target: str) -> str:
    """The target with single slashes in its path and none at its end; its query stays as it is.

    A target with a host in it (RFC 9112, section 3.2.2) keeps that; one that is no path (`*`, a host
    alone) comes back as it is.
    """
    authority = match[0] if (match := _AUTHORITY.match(target)) else ""
    path, mark, query = target[len(authority) :].partition("?")
    if not path.startswith("/"):
        return target
    path = _SLASHES.sub("/", path)
    return f"{authority}{path if path == '/' else path.removesuffix('/')}{mark}{query}"


def with_one_spelling(head: bytes) -> bytes:
    """A request's head with its target in one spelling; what is no head of HTTP comes back as it is."""
    line, end, rest = head.partition(b"\r\n")
    words = line.split(b" ")
    if len(words) != 3:
        return head
    method, target, version = words
    target = one_spelling(target.decode("latin-1")).encode("latin-1")
    return b"%s %s %s%s%s" % (method, target, version, end, rest)

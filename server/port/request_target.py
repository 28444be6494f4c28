"""Request targets as clients write them, with doubled and trailing slashes from joining URLs."""

from __future__ import annotations

import re
from typing import Final

_PATH: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)?(/[^?#]*)")
_SLASHES: Final = re.compile("/{2,}")
_LINE: Final = re.compile(rb"([A-Z]+ )(\S+)( HTTP/1\.[01]\r?\n)")


def tidy_target(target: str) -> str:
    """A request's target without doubled and trailing slashes in its path; the query is unchanged."""
    if (path := _PATH.match(target)) is None:
        return target
    tidy = _SLASHES.sub("/", path[1])
    if tidy != "/":
        tidy = tidy.removesuffix("/")
    return target[: path.start(1)] + tidy + target[path.end(1) :]


def tidy_head(head: bytes) -> bytes:
    """A request's head with its target tidied, so that it needs no redirect, which would lose the body."""
    line = _LINE.match(head)
    if line is None:
        return head
    target = tidy_target(line[2].decode("latin-1")).encode("latin-1")
    return line[1] + target + head[line.end(2) :]

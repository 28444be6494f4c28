"""The error of a checkpoint that cannot be used.

CheckpointError     every problem found, one line each; files, entries, keys and shapes by name
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

LISTED: Final = 12
"""Names that a message spells out before it goes on with a count."""

_NAME_LENGTH: Final = 120


class CheckpointError(Exception):
    """A checkpoint that cannot be used. `problems` are lines fit for the operator's eyes."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("; ".join(self.problems))


def listing(names: Iterable[str], limit: int = LISTED) -> str:
    """`a, b, c and 7 more`: of hostile names too, so each is cut and made printable."""
    given = list(names)
    shown = ", ".join(printable(name) for name in given[:limit])
    return shown if len(given) <= limit else f"{shown} and {len(given) - limit} more"


def printable(text: object, length: int = _NAME_LENGTH) -> str:
    """On one line, at most this long, without control characters."""
    whole = str(text)
    cut = whole if len(whole) <= length else whole[:length] + "..."
    return "".join(c if c.isprintable() else "?" for c in cut)

"""The numbers of a list's items, so that they are said with their items and not as sentences of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ...segmentation.scripts import is_cjk
from .sentences import Atom, AtomKind

_MARKER: Final = re.compile(r"(\d{1,3}|[A-Za-z]|[ivxIVX]{1,4})[.):]")
_CIRCLED: Final = {chr(0x245F + number): str(number) for number in range(1, 21)}


class ItemMarkers:
    """Takes the points from numbers and letters that sentences begin with, which the model would pause at.

    The sentence rules let no sentence end after such a number, so it is a marker: "1. First", "2) ...".
    """

    def __init__(self) -> None:
        self._first = True
        self._marker: Atom | None = None

    def feed(self, atoms: Sequence[Atom], *, ends: bool) -> list[Atom]:
        """ends: a sentence ends after `atoms`. A marker waits for what comes after it."""
        found: list[Atom] = []
        for atom in atoms:
            if self._marker is not None:
                found += _said(self._marker, atom)
                self._marker = None
            if self._first and _is_marker(atom):
                self._marker = atom
            else:
                found.append(atom)
            self._first = False
        if ends:
            if self._marker is not None:
                found.append(self._marker)
            self._marker, self._first = None, True
        return found


def _is_marker(atom: Atom) -> bool:
    return atom.kind is AtomKind.WORD and (
        atom.text in _CIRCLED or _MARKER.fullmatch(atom.text) is not None
    )


def _said(marker: Atom, following: Atom) -> list[Atom]:
    """The marker as it is said before `following`."""
    text = _CIRCLED.get(marker.text) or marker.text[:-1]
    said = [
        Atom(AtomKind.WORD, text, marker.begin, marker.end, marker.spaced),
        Atom(AtomKind.BORDER, following.text, marker.end, marker.end, spaced=False),
    ]
    if is_cjk(following.text[0]):
        said.append(Atom(AtomKind.SIGN, "、", marker.end, marker.end, spaced=False))
    return said

"""Plain tables for terminals and logs."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, numbers to the right, no blanks at line ends.

    What cannot be printed is replaced: a file name could hold a terminal's commands.
    """
    lines = [list(map(_printable, line)) for line in (head, *rows)]
    columns = list(zip(*lines, strict=True))
    widths = [max(map(display_width, column)) for column in columns]
    numeric = [len(column) > 1 and all(map(_is_number, column[1:])) for column in columns]
    return "\n".join(
        "  ".join(
            _pad(cell, width, right)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    )


def display_width(text: str) -> int:
    """Terminal columns: wide East Asian characters take two."""
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def _printable(cell: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in cell)


def _pad(cell: str, width: int, right: bool) -> str:
    blanks = " " * (width - display_width(cell))
    return blanks + cell if right else cell + blanks


def _is_number(cell: str) -> bool:
    return bool(cell) and (
        cell == "-" or cell.lstrip("+-").replace(".", "", 1).rstrip("%").isdigit()
    )

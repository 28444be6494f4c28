"""Tables on standard output, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_ANY_WIDTH: Final = 1_000_000


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their heads, numbers to the right.

    On a terminal long cells are wrapped at words, so that the table fits if it can. A pipe or a file
    gets each row on one line, without blanks at its end. Characters that do not print are
    replaced: a file name could hold a terminal's commands.
    """
    # Imported here: a help text needs no tables.
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), collapse_padding=True)
    for number, name in enumerate(head):
        numeric = bool(rows) and all(_is_number(row[number]) for row in rows)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_printable(cell)) for cell in row))
    console = Console()
    width = Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), table)
    if console.is_terminal:
        console.width = max(console.width, width.minimum)
        console.print(table)
        return
    console.width = width.maximum
    with console.capture() as captured:
        console.print(table)
    print(*(line.rstrip() for line in captured.get().splitlines()), sep="\n")


def _printable(cell: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in cell)


def _is_number(cell: str) -> bool:
    return cell == "-" or cell.lstrip("+-").replace(".", "", 1).rstrip("%").isdigit()

"""`cosyserve voices`: the clips on the server, and the voices it has by itself.

Plain tables for terminals and logs.
"""

from __future__ import annotations

import argparse
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from .options import EXIT_CODES, add_connection_options, make_client, run_command


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


def main(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Run with the arguments after `voices`; returns the exit code."""
    options = _parser(environ).parse_args(argv)
    return run_command(options.run(options))


def _parser(environ: Mapping[str, str] | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cosyserve voices",
        description="Manage the reference clips on the server.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="add | list | remove")
    add = commands.add_parser("add", help="upload a clip of 1 to 30 s")
    add.add_argument("file", type=Path)
    add.add_argument("--text", required=True, help="what is spoken in it")
    add.add_argument("--name", help="what to call it; `say --voice` takes that as it takes the id")
    add.add_argument("--sample-rate", type=int, metavar="HZ", help="of raw 16-bit PCM")
    add.set_defaults(run=_add)
    listing = commands.add_parser("list", help="show the clips, then the built-in voices")
    listing.add_argument("--limit", type=int, default=100, help="newest first; up to 1000")
    listing.set_defaults(run=_list)
    remove = commands.add_parser("remove", help="delete clips")
    remove.add_argument("ids", nargs="+", metavar="ID")
    remove.set_defaults(run=_remove)
    for command in (add, listing, remove):
        command.add_argument("--json", action="store_true", help="print JSON")
        add_connection_options(command, environ)
    return parser


async def _add(options: argparse.Namespace) -> None:
    async with make_client(options) as client:
        added = await client.references.add(
            options.file, options.text, sample_rate=options.sample_rate, name=options.name
        )
    if options.json:
        _print_json(asdict(added))
    else:
        print(added.id)


async def _list(options: argparse.Namespace) -> None:
    async with make_client(options) as client:
        references = await client.references.list(limit=options.limit)
        voices = await client.voices()
    if options.json:
        _print_json(
            {
                "references": [asdict(reference) for reference in references],
                "voices": [asdict(voice) for voice in voices],
            }
        )
        return
    rows = [
        (
            *(item.id, item.name, item.filename),
            *(_size(item.bytes), _time(item.created_at), _short(item.text)),
        )
        for item in references
    ]
    rows += [(voice.id, voice.name, "(built in)", "", "", voice.gender) for voice in voices]
    print(format_table(("ID", "NAME", "FILE", "SIZE", "CREATED", "TEXT"), rows))


async def _remove(options: argparse.Namespace) -> None:
    async with make_client(options) as client:
        for reference_id in options.ids:
            await client.references.delete(reference_id)
            if not options.json:
                print(f"removed {reference_id}")
    if options.json:
        _print_json({"removed": options.ids})


def _print_json(value: Any) -> None:
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def _size(size: int) -> str:
    return f"{size / 1024:.0f} KiB" if size >= 1024 else f"{size} B"


def _time(created_at: int) -> str:
    return datetime.fromtimestamp(created_at, UTC).strftime("%Y-%m-%d %H:%M")


def _short(text: str, width: int = 50) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"

"""`cosyserve voices`: list the voices of a server, upload clips and delete references."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from .options import EXIT_CODES, add_connection_options, make_client, run_command
from .tables import print_table


def main(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Run with the arguments after `voices`; returns the exit code."""
    options = _parser(environ).parse_args(argv)
    return run_command(options.run(options))


def _parser(environ: Mapping[str, str] | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cosyserve voices",
        description="List the voices of a server, upload clips and delete references.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="add | list | remove")
    add = commands.add_parser("add", help="upload a clip of 1 to 30 s")
    add.add_argument("file", type=Path)
    add.add_argument("--text", required=True, help="the words spoken in it")
    add.add_argument("--name", help="a name that `say --voice` takes in place of the id")
    add.add_argument("--sample-rate", type=int, metavar="HZ", help="sample rate of raw 16-bit PCM")
    add.set_defaults(run=_add)
    listing = commands.add_parser("list", help="list the references, then the server's own voices")
    listing.add_argument(
        "--limit",
        type=int,
        default=100,
        help="of references, newest first, up to 1000 (default: 100)",
    )
    listing.set_defaults(run=_list)
    remove = commands.add_parser("remove", help="delete references")
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
    print_table(("ID", "NAME", "FILE", "SIZE", "CREATED", "TEXT"), rows)


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

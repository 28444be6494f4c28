"""The `cosyserve` command: the first word chooses what runs, and only that is imported."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from cosyserve.version import VERSION

_BROKEN_PIPE: Final = 128 + 13
"""The exit code that a shell reports for a command that SIGPIPE ended."""

_COMMANDS: Final = {
    "serve": ("cosyserve.server.cli:serve", "run the server"),
    "say": (
        "cosyserve.clients.cli.say:main",
        "speak a text into a file, a pipe or the loudspeaker",
    ),
    "voices": ("cosyserve.clients.cli.voices:main", "add, list and remove reference clips"),
    "model": ("cosyserve.server.cli:model", "check or convert a checkpoint"),
    "bench": ("cosyserve.benchmarks.load.latency:main", "measure a server under load"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments (the process's if None); returns the exit code.

    Raises SystemExit as argparse does, for help and for arguments that are wrong.
    """
    try:
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes into the broken pipe once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE


def _run(arguments: Sequence[str]) -> int:
    parser = _parser()
    # The command's own parser takes the rest: as a sub-parser it would have to be loaded with all others.
    command = parser.parse_args(arguments[:1]).command
    if command in (None, "help"):
        parser.print_help()
        return 0
    if command == "version":
        print(f"cosyserve {VERSION}")
        return 0
    module, _, function = _COMMANDS[command][0].partition(":")
    return int(getattr(import_module(module), function)(arguments[1:]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cosyserve",
        description="Text to speech that starts before the text ends.",
        epilog="cosyserve COMMAND --help shows the options of a command.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"cosyserve {VERSION}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name, (_, text) in _COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)
    commands.add_parser("version", help="print the version", add_help=False)
    commands.add_parser("help", help="print this help", add_help=False)
    return parser


if __name__ == "__main__":
    sys.exit(main())

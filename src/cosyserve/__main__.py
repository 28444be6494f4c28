"""The `cosyserve` command: its first word chooses what runs, and only that is imported."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from cosyserve.version import VERSION

_BROKEN_PIPE: Final = 128 + 13
"""What a shell reports for a command that SIGPIPE ended."""

_COMMANDS: Final = {
    "serve": ("cosyserve.server.cli:serve", "run the server"),
    "model": ("cosyserve.server.cli:main", "check a checkpoint, or convert it"),
    "say": (
        "cosyserve.clients.cli.say:main",
        "speak a text into a file, a pipe or the loudspeaker",
    ),
    "voices": ("cosyserve.clients.cli.voices:main", "list voices, upload clips, delete references"),
    "bench": (
        "cosyserve.benchmarks.load.latency:main",
        "measure the latency of a server under load",
    ),
}
"""By its name: the function that takes the arguments after it and returns the exit code, and a summary."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments (the process's if None); returns the exit code.

    Raises SystemExit after a help text and for arguments that cannot be used, as argparse does.
    """
    try:
        try:
            return _run(sys.argv[1:] if argv is None else argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter would flush into the broken pipe once more on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE


def _run(argv: Sequence[str]) -> int:
    parser = _parser()
    if not argv:
        parser.print_help()
        return 0
    # The rest belongs to the command's own parser, whose module is imported for no other command.
    chosen = parser.parse_args(argv[:1])
    module, _, function = chosen.target.partition(":")
    return int(getattr(import_module(module), function)(argv[1:]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cosyserve",
        description="Text to speech that starts before the text ends.",
        epilog="`cosyserve COMMAND --help` describes the options of a command.",
    )
    parser.add_argument("--version", "-V", action="version", version=f"cosyserve {VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for name, (target, summary) in _COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False).set_defaults(target=target)
    return parser


if __name__ == "__main__":
    sys.exit(main())

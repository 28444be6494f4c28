"""The `cosyserve` command: one word chooses what runs, and only that is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from cosyserve.version import VERSION

_BROKEN_PIPE: Final = 128 + 13
"""What a shell reports for a command that SIGPIPE ended."""

_COMMANDS: Final = {
    "serve": ("cosyserve.server.cli", "serve", "run the server"),
    "say": (
        "cosyserve.clients.cli.say",
        "main",
        "speak a text into a file, a pipe or the loudspeaker",
    ),
    "voices": ("cosyserve.clients.cli.voices", "main", "add, list and remove reference clips"),
    "model": ("cosyserve.server.cli", "main", "look at a checkpoint, or convert it"),
    "bench": ("cosyserve.benchmarks.load.latency", "main", "measure a server under load"),
    "version": ("", "", "print the version"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments (the process's if None); returns the exit code."""
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter would flush into the broken pipe once more on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    return code


def _run(arguments: list[str]) -> int:
    command = arguments.pop(0) if arguments else "--help"
    if command in ("-h", "--help", "help"):
        print(_usage())
        return 0
    if command in ("version", "--version", "-V"):
        print(f"cosyserve {VERSION}")
        return 0
    if command not in _COMMANDS:
        print(f"cosyserve: no command {command!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    module, function, _ = _COMMANDS[command]
    return int(getattr(import_module(module), function)(arguments))


def _usage() -> str:
    lines = [f"  {name:9}{help_text}" for name, (_, _, help_text) in _COMMANDS.items()]
    return "\n".join(
        [
            "usage: cosyserve COMMAND ...",
            "",
            "Text to speech that starts before the text ends.",
            "",
            *lines,
            "",
            "cosyserve COMMAND --help tells more.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())

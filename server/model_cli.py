"""`cosyserve model`: look at a checkpoint, or rewrite it for quick starts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

_SOURCE_HELP: Final = "a directory, or a hub's id@revision (modelscope:id@revision for ModelScope)"


def main(argv: Sequence[str]) -> int:
    """Run `check` or `convert` with the rest of the arguments; returns the exit status."""
    commands: dict[str, Callable[[Sequence[str]], int]] = {"check": check, "convert": convert}
    if argv and argv[0] in commands:
        return commands[argv[0]](argv[1:])
    asked = bool(argv) and argv[0] in ("-h", "--help")
    print(_USAGE, file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


_USAGE: Final = """\
usage: cosyserve model COMMAND ...

  check    say what a checkpoint holds and what is wrong with it
  convert  rewrite a checkpoint so that the server starts quicker

cosyserve model COMMAND --help tells more."""


def check(argv: Sequence[str]) -> int:
    """`cosyserve model check`: print the report; 0 if the checkpoint is complete, 1 if not."""
    parser = argparse.ArgumentParser(
        prog="cosyserve model check",
        description="Say what a checkpoint of CosyVoice 2 holds and what is wrong with it.",
    )
    parser.add_argument("source", metavar="MODEL", help=_SOURCE_HELP)
    parser.add_argument(
        "--values", action="store_true", help="read every weight, to find those not finite"
    )
    options = parser.parse_args(argv)

    def run() -> int:
        from cosyserve.engine.cosyvoice import checkpoint

        report = checkpoint.check(checkpoint.locate(options.source), values=options.values)
        print(report.table())
        return 0 if report.ok else 1

    return _guarded(run)


def convert(argv: Sequence[str]) -> int:
    """`cosyserve model convert`: write a converted directory; 1 if it cannot be done."""
    parser = argparse.ArgumentParser(
        prog="cosyserve model convert",
        description="Write a checkpoint's weights as safetensors, so that starts map them.",
    )
    parser.add_argument("source", metavar="MODEL", help=_SOURCE_HELP)
    parser.add_argument("target", metavar="FOLDER", type=Path, help="new, or empty")
    options = parser.parse_args(argv)

    def run() -> int:
        from cosyserve.engine.cosyvoice import checkpoint

        made = checkpoint.convert(checkpoint.locate(options.source), options.target)
        print(f"{options.target}: complete, fingerprint {made.fingerprint}")
        return 0

    return _guarded(run)


def _guarded(run: Callable[[], int]) -> int:
    """Turn what an operator can mend into lines and an exit status."""
    try:
        # what reads checkpoints needs torch, which a server without a model does not
        from cosyserve.engine.cosyvoice.checkpoint.errors import CheckpointError
    except ImportError as error:
        print(f"cosyserve model: not installed: {error.name}", file=sys.stderr)
        return 1
    try:
        return run()
    except CheckpointError as error:
        for line in error.problems:
            print(f"cosyserve model: {line}", file=sys.stderr)
        return 1

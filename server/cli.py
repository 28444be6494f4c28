"""`cosyserve serve`: flags in, a running server out.

`cosyserve model`: look at a checkpoint, or rewrite it for quick starts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pydantic.fields import FieldInfo

from .settings import GROUPS, Settings, SettingsError, load_settings
from .settings.describe import allowed_values, default_text, flag
from .settings.sources import OLD_NAMES, environment_name

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


_DESCRIPTION = """\
Serve speech over WebSocket and HTTP.

Each setting is a flag, an environment variable (in brackets) or a key of the
TOML file that --config names (max_tasks for --max-tasks; tokens for --token).
Flags win over the environment, the environment over the file, the file over
defaults. Durations are in seconds; sizes take a unit (20MiB) or are in bytes.
"""

_METAVARS = {
    "a whole number": "N",
    "a number": "SECONDS",
    "a size": "BYTES",
    "a file": "FILE",
    "a JSON": "JSON",
    "a share": "SHARE",
    "a folder, s3": "PLACE",
    "a folder": "FOLDER",
    "HOST:PORT": "HOST:PORT",
    "a host name": "HOST",
    "an http": "URL",
    "a BCP-47": "TAG",
    "a ": "NAME",
}
"""What stands for a value in the usage, by how its description of allowed values begins."""


def serve(argv: Sequence[str]) -> int:
    """Run the server until it is told to stop; returns the exit status (2: settings are wrong)."""
    flags = vars(build_parser().parse_args(argv))
    try:
        settings = load_settings(flags)
        from .app import run  # a wrong setting is told before codecs and servers are loaded

        return run(settings)
    except SettingsError as error:  # some are known to be wrong only once they are used
        _tell(error.lines)
        return 2


def _tell(lines: Sequence[str]) -> None:
    """One wrong setting is a line of its own, so that it can be found in a log."""
    if len(lines) == 1:
        print(f"cosyserve serve: {lines[0]}", file=sys.stderr)
        return
    print("cosyserve serve: these settings cannot be used:", file=sys.stderr)
    for line in lines:
        print(f"  {line}", file=sys.stderr)


def build_parser() -> argparse.ArgumentParser:
    """A parser with one flag a setting; what is not given stays out of its result."""
    parser = argparse.ArgumentParser(
        prog="cosyserve serve",
        usage="%(prog)s [flags]",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    allowed = allowed_values(Settings)
    for group in GROUPS:
        section = parser.add_argument_group(group.__doc__)
        for name, field in group.model_fields.items():
            text = f"{field.description} [default: {default_text(field)}; {environment_name(name)}]"
            _add_flag(section, name, field, allowed[name], text.replace("%", "%%"))
    for old, new in OLD_NAMES.items():
        _add_flag(parser, old, Settings.model_fields[new], allowed[new], argparse.SUPPRESS)
    return parser


def _add_flag(
    section: argparse._ActionsContainer, name: str, field: FieldInfo, allowed: str, text: str
) -> None:
    if field.annotation is bool:
        section.add_argument(
            flag(name), dest=name, action=argparse.BooleanOptionalAction, help=text
        )
    elif name == "tokens":
        section.add_argument(
            flag(name), dest=name, action="append", metavar="NAME=SECRET", help=text
        )
    else:
        section.add_argument(flag(name), dest=name, metavar=_metavar(allowed), help=text)


def _metavar(allowed: str) -> str:
    """A word for the value; a closed choice is spelt out."""
    for start, word in _METAVARS.items():
        if allowed.startswith(start):
            return word
    return "{" + allowed.replace(", ", ",") + "}" if "," in allowed else "VALUE"

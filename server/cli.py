"""The commands that run on the server's machine: `cosyserve serve` and `cosyserve model`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

from pydantic.fields import FieldInfo

from cosyserve.engine.cosyvoice.options import ModelVariant

from .settings import GROUPS, Settings, SettingsError, load_settings
from .settings.describe import allowed_values, default_text, flag
from .settings.sources import OLD_NAMES, environment_name

_DESCRIPTION: Final = """\
Serve speech over WebSocket and HTTP.

Each setting is a flag, an environment variable (in brackets) or a key of the
TOML file that --config names (max_tasks for --max-tasks; tokens for --token).
A flag overrides the environment, the environment overrides the file, the file
overrides the defaults. Durations are in seconds; sizes take a unit (20MiB) or
are in bytes.
"""

_METAVARS: Final = {
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
    "https://HOST": "ORIGINS",
    "a ": "NAME",
}
"""The placeholder of a value in the usage, by how the description of the allowed values begins."""


def serve(argv: Sequence[str]) -> int:
    """Run the server until a signal stops it; returns the exit status (2: a setting is wrong)."""
    flags = vars(build_parser().parse_args(argv))
    try:
        settings = load_settings(flags)
        from .app import run  # after the settings: an error in them shows before codecs are loaded

        return run(settings)
    except SettingsError as error:  # some show only when the setting is used
        _print_problems(error.lines)
        return 2


def _print_problems(lines: Sequence[str]) -> None:
    """Print one line for each wrong setting, so that a search in a log finds it."""
    if len(lines) == 1:
        print(f"cosyserve serve: {lines[0]}", file=sys.stderr)
        return
    print("cosyserve serve: these settings cannot be used:", file=sys.stderr)
    for line in lines:
        print(f"  {line}", file=sys.stderr)


def build_parser() -> argparse.ArgumentParser:
    """A parser with one flag for each setting; its result holds only the flags that were given."""
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
    """The placeholder of a value; a closed choice is spelled out."""
    for start, word in _METAVARS.items():
        if allowed.startswith(start):
            return word
    return "{" + allowed.replace(", ", ",") + "}" if "," in allowed else "VALUE"


_MODEL: Final = "a directory, or a hub's id@revision (modelscope:id@revision for ModelScope)"


def model(argv: Sequence[str]) -> int:
    """Check or convert a checkpoint; returns the exit status (1: the checkpoint is not usable)."""
    options = _model_parser().parse_args(argv)
    try:
        # checkpoints need torch, which a server without a model does not
        from cosyserve.engine.cosyvoice import checkpoint
    except ImportError as error:
        print(f"cosyserve model: not installed: {error.name}", file=sys.stderr)
        return 1
    try:
        source = checkpoint.locate(options.source, variant=options.variant)
        if options.command == "check":
            report = checkpoint.check(source, values=options.values, variant=options.variant)
            print(report.table())
            return 0 if report.ok else 1
        converted = checkpoint.convert(source, options.target, options.variant)
        print(f"{options.target}: complete, fingerprint {converted.fingerprint}")
        return 0
    except checkpoint.CheckpointError as error:
        for line in error.problems:
            print(f"cosyserve model: {line}", file=sys.stderr)
        return 1


def _model_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cosyserve model", description="Check or convert a checkpoint of CosyVoice 2 or 3."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    check = commands.add_parser(
        "check",
        help="report what a checkpoint holds and what is wrong with it",
        description="Report what a checkpoint of CosyVoice 2 or 3 holds and what is wrong with it.",
    )
    check.add_argument("source", metavar="MODEL", help=_MODEL)
    check.add_argument(
        "--values",
        action="store_true",
        help="read every weight, to find values that are not finite",
    )
    convert = commands.add_parser(
        "convert",
        help="rewrite a checkpoint so that the server starts faster",
        description="Write a checkpoint's weights as safetensors, which the server maps at start.",
    )
    convert.add_argument("source", metavar="MODEL", help=_MODEL)
    convert.add_argument("target", metavar="FOLDER", type=Path, help="a folder, new or empty")
    for command in (check, convert):
        command.add_argument(
            "--model-variant",
            dest="variant",
            choices=get_args(ModelVariant),
            default="base",
            help="variant of the speech LM (rl: of CosyVoice 3, llm.rl.pt)",
        )
    return parser

"""`cosyserve serve`: flags in, a running server out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pydantic.fields import FieldInfo

from .settings.describe import allowed_values, default_text, flag
from .settings.groups import GROUPS
from .settings.sources import environment_name
from .settings import Settings, SettingsError, load_settings

_DESCRIPTION = """\
Serve speech over WebSocket and REST.

Every setting below can also come from the environment (COSYSERVE_ and its name in capitals,
as shown) or from a TOML file (its name in lower case with _ for -). Flags go before the
environment, the environment before the file, the file before the defaults.
"""

_METAVARS = {
    "a whole number": "N",
    "a number": "SECONDS",
    "1KiB": "BYTES",
    "1MiB": "BYTES",
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
            _add_flag(section, name, field, allowed[name])
    return parser


def _add_flag(section: argparse._ArgumentGroup, name: str, field: FieldInfo, allowed: str) -> None:
    text = f"{field.description} [default: {default_text(field)}; {environment_name(name)}]"
    text = text.replace("%", "%%")
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

"""Flags, environment and TOML file: gathered by strength, and named in messages about wrong values.

pydantic-settings reads the environment. Its TOML source is not used, because it takes a missing file for an
empty one and reports an unknown key without the file; nor its command line, whose help and errors have a form
of their own.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

from cosyserve.engine.folders import expanded

from .describe import flag

ENVIRONMENT_PREFIX: Final = "COSYSERVE_"

OLD_NAMES: Final[Mapping[str, str]] = {"voice_cache": "voice_folder"}
"""Names that settings had in earlier releases, and their names now. Old ones work wherever new ones do."""


class SettingsError(Exception):
    """Settings that cannot be used; each of `lines` names a setting and what is allowed."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


@dataclass(frozen=True, slots=True)
class GivenSettings:
    """values: by setting, each from the strongest source that has it; not yet validated.

    origins: the words for values' sources, empty for flags. notices: what to tell the operator.
    """

    values: Mapping[str, Any]
    origins: Mapping[str, str]
    notices: tuple[str, ...]


class EnvironmentSource(EnvSettingsSource):
    """COSYSERVE_NAME for every setting.

    Kubernetes sets COSYSERVE_PORT=tcp://ADDRESS:PORT in every pod beside a service named `cosyserve`; this is
    not a port to listen on and is ignored.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        value, key, is_complex = super().get_field_value(field, field_name)
        if field_name == "port" and isinstance(value, str) and value.startswith("tcp://"):
            value = None
        return value, key, is_complex


def gather(flags: Mapping[str, Any], model: type[BaseSettings]) -> GivenSettings:
    """Flags win over the environment, the environment over the file. Raises SettingsError."""
    old = {name: os.environ.get(environment_name(name)) for name in OLD_NAMES}
    environment = EnvironmentSource(model)() | {n: v for n, v in old.items() if v is not None}
    path = config_path(flags)
    file = {} if path is None else read_config_file(path, model)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    notices: list[str] = []
    for source, origin in (
        (file, "from the config file "),
        (environment, f"from {ENVIRONMENT_PREFIX}%s "),
        (flags, ""),
    ):
        # A new name comes last, and so wins over the old one from the same source.
        for name in sorted(source, key=lambda name: name not in OLD_NAMES):
            current = OLD_NAMES.get(name, name)
            if current != name:
                notices.append(_renamed(name))
            values[current] = source[name]
            origins[current] = origin.replace("%s", name.upper())
    return GivenSettings(values, origins, tuple(dict.fromkeys(notices)))


def environment_name(name: str) -> str:
    return ENVIRONMENT_PREFIX + name.upper()


def config_path(flags: Mapping[str, Any]) -> Path | None:
    """The TOML file to read, if one is named. Raises SettingsError."""
    path = flags.get("config") or os.environ.get(environment_name("config"))
    try:
        return expanded(Path(path)) if path else None
    except ValueError as error:
        raise SettingsError([f"config: {path!r} is not usable; {error}"]) from None


def read_config_file(path: Path, model: type[BaseSettings]) -> dict[str, Any]:
    """Read a TOML file's settings; raises SettingsError for a file or a key that cannot be used."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([f"config: cannot read {path}: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"config: {path} is not valid TOML: {error}"]) from None
    known = sorted(set(model.model_fields) - {"config"})
    unknown = [name for name in values if name not in known and name not in OLD_NAMES]
    if unknown:
        raise SettingsError([_unknown(name, path, known) for name in unknown])
    return values


def _unknown(name: str, path: Path, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "`cosyserve serve --help` lists all settings"
    return f"{name}: no such setting (in {path}); {hint}"


def _renamed(old: str) -> str:
    new = OLD_NAMES[old]
    return (
        f"{old}: this is the old name of {new}; use {new} in TOML, {flag(new)} on the command line, "
        f"{environment_name(new)} in the environment"
    )


def report(
    error: ValidationError,
    allowed: Mapping[str, str],
    origins: Mapping[str, str],
    hidden: frozenset[str],
) -> SettingsError:
    """Make readable lines of pydantic's errors; the values of `hidden` settings are never shown."""
    lines: list[str] = []
    for details in error.errors(include_url=False, include_context=False):
        message = details["msg"].removeprefix("Value error, ")
        if details["type"] == "default_factory_not_called":  # follows from another error
            continue
        if not details["loc"]:  # a check of several settings; its message names them
            lines.append(message)
            continue
        name = str(details["loc"][0])
        own_words = details["type"] == "value_error"
        problem = message if own_words else f"allowed: {allowed.get(name, message)}"
        value = "" if name in hidden else f"{details['input']!r} "
        line = f"{name}: {value}{origins.get(name, '')}is not usable; {problem}"
        if line not in lines:
            lines.append(line)
    return SettingsError(lines)

"""Where settings come from besides flags, and how a wrong one is reported."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from .values import expanded

ENVIRONMENT_PREFIX = "COSYSERVE_"


class SettingsError(Exception):
    """Settings that cannot be used; each of `lines` names a setting and what is allowed."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


class EnvironmentSource(EnvSettingsSource):
    """COSYSERVE_NAME for every setting.

    Kubernetes puts COSYSERVE_PORT=tcp://ADDRESS:PORT into every pod beside a service of the name
    `cosyserve`; that is no port to listen on and is passed over.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        value, key, is_complex = super().get_field_value(field, field_name)
        if field_name == "port" and isinstance(value, str) and value.startswith("tcp://"):
            value = None
        return value, key, is_complex


def environment_name(name: str) -> str:
    return ENVIRONMENT_PREFIX + name.upper()


def config_path(flags: Mapping[str, Any]) -> Path | None:
    """The TOML file to read, if any is named. Raises SettingsError."""
    path = flags.get("config") or os.environ.get(environment_name("config"))
    try:
        return expanded(Path(path)) if path else None
    except ValueError as error:
        raise SettingsError([f"config: {path!r} is not usable; {error}"]) from None


def read_config_file(path: Path | None, model: type[BaseModel]) -> dict[str, Any]:
    """Read a TOML file's settings; raises SettingsError for a file or a key that cannot be used."""
    if path is None:
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([f"config: cannot read {path}: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"config: {path} is no valid TOML: {error}"]) from None
    known = sorted(set(model.model_fields) - {"config"})
    unknown = [name for name in values if name not in known]
    if unknown:
        raise SettingsError([_unknown(name, path, known) for name in unknown])
    return values


def _unknown(name: str, path: Path, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "`cosyserve serve --help` lists all settings"
    return f"{name}: no such setting (in {path}); {hint}"


def report(
    error: ValidationError,
    allowed: Mapping[str, str],
    flags: Mapping[str, Any],
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
        line = f"{name}: {value}{_origin(name, flags)}; {problem}"
        if line not in lines:
            lines.append(line)
    return SettingsError(lines)


def _origin(name: str, flags: Mapping[str, Any]) -> str:
    if name in flags:
        return "is not usable"
    if environment_name(name) in os.environ:
        return f"from {environment_name(name)} is not usable"
    return "from the config file is not usable"

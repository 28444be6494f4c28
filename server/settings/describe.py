"""Settings in words, read from their declarations: for `--help`, error messages and docs/settings.md."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ByteSize
from pydantic.fields import FieldInfo


def allowed_values(model: type[BaseModel]) -> dict[str, str]:
    """The allowed values of each setting, in words."""
    schema = model.model_json_schema()["properties"]
    return {name: _allowed(model.model_fields[name], schema[name]) for name in model.model_fields}


def _allowed(field: FieldInfo, schema: dict[str, Any]) -> str:
    branches = [branch for branch in schema.get("anyOf", [schema]) if branch.get("type") != "null"]
    optional = type(None) in get_args(field.annotation)
    text = schema.get("allowed") or _in_words(branches[0])
    return f"{text}, or none" if optional else str(text)


def _in_words(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema["type"] == "boolean":
        return "true, false"
    kind = "a whole number" if schema["type"] == "integer" else "a number"
    most = _number(schema["maximum"])
    if "exclusiveMinimum" in schema:
        return f"{kind} above {_number(schema['exclusiveMinimum'])}, up to {most}"
    return f"{kind} from {_number(schema['minimum'])} to {most}"


def default_text(field: FieldInfo) -> str:
    """A setting's default as an operator would write it."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "default_text" in extra:
        return str(extra["default_text"])
    value = field.default
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, ByteSize):
        return value.human_readable().replace(".0", "")
    return _number(value) if isinstance(value, int | float) else str(value)


def _number(value: float) -> str:
    return f"{value:,.10g}".replace(",", "_") if abs(value) >= 100_000 else f"{value:g}"


def flag(name: str) -> str:
    """The command line's word for a setting."""
    return "--token" if name == "tokens" else "--" + name.replace("_", "-")

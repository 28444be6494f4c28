"""Reading the machine-readable contracts and what the code says of the same things."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jsonschema
import yaml

import cosyserve.protocol
from cosyserve.protocol import errors
from cosyserve.protocol.errors import TTSError
from cosyserve.protocol.parameters import SpeechParameters

Json = dict[str, Any]


@functools.cache
def load(name: str) -> Json:
    """A contract of the protocol package."""
    document = yaml.safe_load((Path(cosyserve.protocol.__path__[0]) / name).read_text())
    assert isinstance(document, dict)
    return document


def resolve(document: Json, node: Any) -> Any:
    """What a node stands for: itself, or what its $ref leads to."""
    while isinstance(node, dict) and "$ref" in node:
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def validate(document: Json, schema: Json, value: object) -> None:
    """Raises jsonschema.ValidationError if the value is not what the schema of the document says."""
    whole = {**schema, "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


def plain(schema: Json) -> Json:
    """A schema without its prose."""
    return {key: value for key, value in schema.items() if key not in ("title", "description")}


def parameter_schemas() -> dict[str, Json]:
    """Each parameter's schema as the code has it, in the form that the contracts use.

    Pronunciations are read by code of their own.
    """
    whole = SpeechParameters.model_json_schema()
    fields = whole["properties"].items()
    return {name: _flat(whole, field) for name, field in fields if name != "pronunciations"}


def _flat(whole: Json, field: Json) -> Json:
    flat = dict(field)
    if "$ref" in flat:
        flat |= resolve(whole, {"$ref": flat.pop("$ref")})
    if "anyOf" in flat:  # a value or null, which is the default and means absent
        value, null = flat.pop("anyOf")
        assert null == {"type": "null"}
        assert flat.pop("default") is None
        flat |= value
    return plain(flat)


def error_classes() -> list[type[TTSError]]:
    """Every class of the error tree but its root."""
    return [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, TTSError) and each is not TTSError
    ]

"""Reads a contract: follows references, and merges the parts of schemas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Contract:
    """An OpenAPI or AsyncAPI document."""

    root: Node

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises OSError, and yaml.YAMLError if it is no YAML."""
        return cls(yaml.safe_load(path.read_text(encoding="utf-8")))

    def follow(self, node: Any) -> Any:
        """The node itself, or the target of its $ref with the keys that stand beside the $ref.

        Raises KeyError for a reference without a target, ValueError for one out of the document.
        """
        while isinstance(node, Mapping) and "$ref" in node:
            beside = {key: value for key, value in node.items() if key != "$ref"}
            node = self._target(node["$ref"])
            if beside:
                node = {**node, **beside}
        return node

    def _target(self, reference: str) -> Any:
        if not reference.startswith("#/"):
            raise ValueError(f"$ref {reference!r} leads out of the document")
        node: Any = self.root
        for part in reference.removeprefix("#/").split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]
        return node

    def merged(self, schema: Any) -> dict[str, Any]:
        """The schema with its $ref followed, and its allOf merged with the keys beside it."""
        own = dict(self.follow(schema))
        found: dict[str, Any] = {}
        for part in own.pop("allOf", ()):
            found = _united(found, self.merged(part))
        return _united(found, own)


def name_of(node: Any) -> str:
    """The last part of a node's $ref; empty if it has none."""
    return (
        str(node["$ref"]).rsplit("/", 1)[-1] if isinstance(node, Mapping) and "$ref" in node else ""
    )


def _united(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Both schemas in one; a property that both have must satisfy both."""
    properties = dict(first.get("properties", {}))
    for name, schema in second.get("properties", {}).items():
        properties[name] = {"allOf": [properties[name], schema]} if name in properties else schema
    united = {**first, **second}
    if properties:
        united["properties"] = properties
    if required := [*first.get("required", ()), *second.get("required", ())]:
        united["required"] = list(dict.fromkeys(required))
    return united

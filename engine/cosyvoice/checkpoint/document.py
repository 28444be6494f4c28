"""The official cosyvoice2.yaml as plain data.

The file is HyperPyYAML: its tags tell a loader to import and call things (`!new:`, `!name:`, `!apply:`) or
to look up and compute (`!ref`). Nothing is imported or called here: a tag is kept as a word beside its
value, and `!ref` knows other entries and + - * / alone.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import add, mul, sub, truediv
from typing import Final

import yaml

from .errors import CheckpointError, printable

LARGEST: Final = 64 * 1024
"""Bytes of the file; the published one has 9 KB."""
_DEEPEST: Final = 32
_LONGEST_REFERENCE: Final = 200
_REFERENCES: Final = 50
"""In one value."""

Plain = int | float | bool | str | list["Plain"] | None

_INT: Final = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT: Final = re.compile(r"[-+]?([0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})([eE][-+]?[0-9]{1,3})?")
_WORDS: Final[dict[str, bool | None]] = {
    "true": True,
    "false": False,
    "null": None,
    "~": None,
    "": None,
}
_NAME: Final = re.compile(r"<([^<>]{1,100})>")
_OPERATORS: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: add,
    ast.Sub: sub,
    ast.Mult: mul,
    ast.Div: truediv,
}


@dataclass(frozen=True, slots=True)
class YamlNode:
    """One YAML node. tag: as written (`!new:package.Class`), empty if it has none of its own."""

    tag: str
    value: str | list[YamlNode] | dict[str, YamlNode]
    quoted: bool = False


class Document:
    """The entries of one file, by path: `flow.encoder.num_blocks`. Every CheckpointError names the path."""

    def __init__(self, root: YamlNode, name: str) -> None:
        self._root = root
        self.name = name

    @classmethod
    def parse(cls, data: bytes, name: str) -> Document:
        """name: how errors call the file. Raises CheckpointError."""
        if len(data) > LARGEST:
            raise CheckpointError(f"{name}: more than {LARGEST} bytes")
        try:
            node = _BoundedLoader(data.decode()).get_single_node()
            root = _entry(node)
        except (yaml.YAMLError, ValueError) as error:
            raise CheckpointError(f"{name}: not readable: {printable(error)}") from error
        if not isinstance(root.value, dict):
            raise CheckpointError(f"{name}: not a mapping of names to values")
        return cls(root, name)

    def tag(self, path: str) -> str | None:
        """The tag of an entry, None if there is no such entry."""
        entry = self.find(path)
        return None if entry is None else entry.tag

    def read(self, path: str) -> Plain:
        """The entry's value, `!ref` resolved; None if it is absent, empty or null."""
        entry = self.find(path)
        return None if entry is None else _Reading(self, path).plain(entry)

    def find(self, path: str) -> YamlNode | None:
        """The entry at a path, None if there is none."""
        entry: YamlNode | None = self._root
        for word in path.split("."):
            if entry is None or not isinstance(entry.value, dict):
                return None
            entry = entry.value.get(word)
        return entry


class _Reading:
    """One value being read. Counts references: circles end, and lists of lists of them stay cheap."""

    def __init__(self, document: Document, path: str) -> None:
        self._document = document
        self._place = f"{document.name}: {path}"
        self._references_left = _REFERENCES

    def plain(self, entry: YamlNode) -> Plain:
        if isinstance(entry.value, dict):
            raise CheckpointError(f"{self._place}: a mapping where a value is due")
        if isinstance(entry.value, list):
            return [self.plain(item) for item in entry.value]
        if entry.tag == "!ref":
            return self._resolved(entry.value)
        if entry.tag:
            raise CheckpointError(f"{self._place}: {printable(entry.tag)} where a value is due")
        return entry.value if entry.quoted else _scalar(entry.value)

    def _resolved(self, text: str) -> Plain:
        if len(text) > _LONGEST_REFERENCE:
            raise CheckpointError(f"{self._place}: a reference that is too long")
        alone = _NAME.fullmatch(text.strip())
        if alone is not None:
            return self._referred(alone[1])
        numbers: list[float] = []

        def number(match: re.Match[str]) -> str:
            value = self._referred(match[1])
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise CheckpointError(f"{self._place}: <{printable(match[1])}> is not a number")
            numbers.append(value)
            return f"({value!r})"

        formula = _NAME.sub(number, text)
        try:
            result = _computed(ast.parse(formula.strip(), mode="eval").body)
        except (ValueError, SyntaxError, ArithmeticError, RecursionError, MemoryError) as error:
            raise CheckpointError(f"{self._place}: cannot compute {printable(text)}") from error
        whole = all(isinstance(n, int) for n in numbers) and result.is_integer()
        return int(result) if whole else result

    def _referred(self, target: str) -> Plain:
        if self._references_left == 0:
            raise CheckpointError(f"{self._place}: refers too often")
        self._references_left -= 1
        entry = self._document.find(target)
        if entry is None:
            raise CheckpointError(f"{self._place}: refers to {printable(target)}, not there")
        return self.plain(entry)


class _BoundedLoader(yaml.SafeLoader):
    """Builds nodes only. Refuses deep nesting, and aliases: few lines of them stand for billions of nodes."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not supported")
        if self._depth == _DEEPEST:
            raise yaml.YAMLError("nested too deep")
        self._depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _entry(node: yaml.Node | None) -> YamlNode:
    if node is None:
        return YamlNode("", "")
    tag = node.tag if node.tag.startswith("!") else ""
    if isinstance(node, yaml.MappingNode):
        return YamlNode(tag, {str(key.value): _entry(value) for key, value in node.value})
    if isinstance(node, yaml.SequenceNode):
        return YamlNode(tag, [_entry(item) for item in node.value])
    return YamlNode(tag, str(node.value), quoted=getattr(node, "style", None) in ("'", '"'))


def _scalar(text: str) -> Plain:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _computed(node: ast.expr) -> float:
    """A sum, difference, product or quotient of numbers. Raises ValueError for anything else."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)  # type: ignore[arg-type] # narrowed by its exact type
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_computed(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        result = _OPERATORS[type(node.op)](_computed(node.left), _computed(node.right))
        if math.isfinite(result):
            return result
    raise ValueError("not a formula")

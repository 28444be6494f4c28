"""A schema as a list of fields: every name, however deep, with its type, limits and meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .contract import Contract, name_of
from .markup import Html, code, join, line, literal, prose, slug, tag

_RANGES: Final = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", "characters"),
    ("minItems", "maxItems", "items"),
    ("minProperties", "maxProperties", "fields"),
)
_OF_OBJECTS: Final = ("properties", "additionalProperties", "required")


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `path` are the names that lead to it; `schema` has no reference at its top."""

    path: tuple[str, ...]
    schema: Mapping[str, Any]
    required: bool

    @property
    def name(self) -> str:
        return ".".join(self.path)


def fields(contract: Contract, schema: Any) -> Iterator[Field]:
    """The fields of an object's schema, parents before their children."""
    yield from _below(contract, schema, (), frozenset())


def _below(
    contract: Contract, schema: Any, path: tuple[str, ...], open_: frozenset[str]
) -> Iterator[Field]:
    name = name_of(schema)
    if name and name in open_:  # a schema that contains itself is shown once
        return
    inside = open_ | {name} if name else open_
    whole = contract.merged(schema)
    seen: set[str] = set()
    for part in (whole, *_alternatives(contract, whole)):
        required = part.get("required", ())
        for key, child in part.get("properties", {}).items():
            if key not in seen:
                seen.add(key)
                must = key in required and (part is whole or key in whole.get("required", ()))
                yield from _field(contract, child, (*path, key), must, inside)
        if isinstance(rest := part.get("additionalProperties"), Mapping) and rest:
            yield from _field(contract, rest, (*path, "*"), False, inside)
        if isinstance(items := part.get("items"), Mapping):
            each = (*path[:-1], path[-1] + "[]") if path else ("[]",)
            yield from _below(contract, items, each, inside)


def _field(
    contract: Contract, schema: Any, path: tuple[str, ...], required: bool, open_: frozenset[str]
) -> Iterator[Field]:
    whole = contract.merged(schema)
    below = list(_below(contract, schema, path, open_))
    if _needs_row(whole, required, below):
        yield Field(path, whole, required)
    yield from below


def _needs_row(schema: Mapping[str, Any], required: bool, below: Sequence[Field]) -> bool:
    """Whether a field needs a row of its own: the paths of its children may already show it all."""
    if not below or schema.get("type") != "object" or schema.get("description"):
        return True
    return bool(list(limits(schema))) or not (required or not any(each.required for each in below))


def _alternatives(contract: Contract, schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for word in ("oneOf", "anyOf"):
        for each in schema.get(word, ()):
            part = contract.merged(each)
            yield part
            yield from _alternatives(contract, part)


def type_name(contract: Contract, schema: Mapping[str, Any]) -> str:
    """The type in a word or two: string, array of integer, object or null."""
    kinds = [str(each) for each in _as_list(schema.get("type"))]
    if not kinds and any(word in schema for word in _OF_OBJECTS):
        kinds = ["object"]
    for word in ("oneOf", "anyOf"):
        kinds += [
            type_name(contract, part)
            for part in map(contract.merged, schema.get(word, ()))
            if "type" in part or "enum" in part or "const" in part or "oneOf" in part
        ]
    if not kinds:
        values = schema.get("enum", [schema["const"]] if "const" in schema else [])
        kinds = [_json_type(value) for value in values]
    names = " or ".join(dict.fromkeys(filter(None, kinds))) or "any"
    if names == "array" and "items" in schema:
        return "array of " + type_name(contract, contract.merged(schema["items"]))
    encoding = schema.get("contentEncoding")
    return f"{names}, {encoding}" if encoding else names


def limits(schema: Mapping[str, Any]) -> Iterator[Html]:
    """The limits of a value, each as a phrase."""
    if "const" in schema:
        yield join("always ", literal(schema["const"]))
    elif "enum" in schema:
        yield join("one of ", _listed(schema["enum"]))
    for low, high, unit in _RANGES:
        if phrase := _range(schema, low, high):
            one = phrase.endswith(" 1") and unit
            yield Html(f"{phrase} {unit.removesuffix('s') if one else unit}".strip())
    if "multipleOf" in schema:
        yield join("a multiple of ", literal(schema["multipleOf"]))
    if "pattern" in schema:
        yield join("matches ", code(schema["pattern"]))
    if "format" in schema:
        yield join("format ", code(schema["format"]))
    if "contentMediaType" in schema:
        yield join("content ", code(schema["contentMediaType"]))
    if needs := _either(schema):
        yield join("with ", _listed(needs, " or "))
    if isinstance(items := schema.get("items"), Mapping):
        yield from limits(items)
    if schema.get("default") is not None:
        yield join("default ", literal(schema["default"]))


def _range(schema: Mapping[str, Any], low: str, high: str) -> str:
    least, most = schema.get(low), schema.get(high)
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low != "minimum":
        above = below = None
    if most == 0 and low != "minimum":
        return "no"
    if least is not None and most is not None:
        return f"{least:,}" if least == most else f"{least:,} to {most:,}"
    parts = [
        f"{word} {value:,}"
        for word, value in (
            ("at least", least),
            ("above", above),
            ("at most", most),
            ("below", below),
        )
        if value is not None
    ]
    return ", ".join(parts)


def _either(schema: Mapping[str, Any]) -> list[str]:
    """The names of which one is required, if alternatives differ in nothing else."""
    parts = schema.get("anyOf") or schema.get("oneOf") or ()
    needs = [part.get("required", ()) for part in parts]
    return [" and ".join(each) for each in needs] if needs and all(needs) else []


def field_list(contract: Contract, found: Sequence[Field], anchor: str) -> Html:
    """The fields as a list; each can be linked to."""
    rows = (_row(contract, each, slug(anchor, each.name)) for each in found)
    return tag("dl", rows, class_="fields")


def _row(contract: Contract, field: Field, anchor: str) -> Html:
    *parents, own = field.path
    # A line may break after a dot and need not break in the middle of a name.
    name = join(tag("i", (join(each, ".", Html("<wbr>")) for each in parents)), own)
    return tag(
        "div",
        tag(
            "dt",
            tag("a", tag("code", name), href=f"#{anchor}"),
            type_line(type_name(contract, field.schema), field.required),
        ),
        tag("dd", describe(field.schema)),
        id=anchor,
    )


def type_line(kind: str, required: bool) -> Html:
    """The type below a field's name."""
    must = join(" ", tag("b", "required")) if required else None
    return tag("span", kind, must, class_="type")


def describe(schema: Mapping[str, Any]) -> Html:
    """Its meaning and its limits."""
    phrases = list(limits(schema))
    meaning = str(schema.get("description", "")).strip()
    return join(
        prose(meaning) if "\n" in meaning else (tag("p", line(meaning)) if meaning else None),
        tag("p", _separated(phrases), class_="limits") if phrases else None,
    )


def _listed(values: Sequence[Any], between: str = ", ") -> Html:
    return Html(between.join(map(literal, values)))


def _separated(phrases: Sequence[Html]) -> Html:
    return Html("; ".join(phrases))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _json_type(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case _:
            return "array" if isinstance(value, list) else "object"

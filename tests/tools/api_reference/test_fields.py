"""A schema's fields, with type and limits in words."""

from __future__ import annotations

import re
from typing import Any

import pytest

from api_reference.contract import Contract
from api_reference.fields import describe, field_list, fields, limits, type_name

TREE = {
    "type": "object",
    "properties": {"leaf": {"type": "string"}, "next": {"$ref": "#/schemas/Tree"}},
}
CONTRACT = Contract({"schemas": {"Tree": TREE}})


def named(schema: Any) -> dict[str, bool]:
    return {each.name: each.required for each in fields(CONTRACT, schema)}


def words(schema: dict[str, Any]) -> list[str]:
    return [re.sub("<[^>]+>", "", phrase) for phrase in limits(schema)]


def test_fields_however_deep() -> None:
    schema = {
        "type": "object",
        "required": ["header"],
        "properties": {
            "header": {
                "type": "object",
                "required": ["id"],
                "properties": {"id": {"type": "string"}, "note": {"type": "string"}},
            },
            "voices": {
                "type": "array",
                "description": "All.",
                "items": {"type": "object", "properties": {"name": {"type": "string"}}},
            },
            "times": {"type": "object", "additionalProperties": {"type": "number"}},
        },
    }
    assert named(schema) == {
        "header.id": True,  # its parent has nothing to say that this does not
        "header.note": False,
        "voices": False,
        "voices[].name": False,
        "times.*": False,
    }


def test_an_optional_parent_of_required_fields_is_shown() -> None:
    inner = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
    assert named({"properties": {"maybe": inner}}) == {"maybe": False, "maybe.id": True}


def test_fields_of_an_array_at_the_top() -> None:
    assert named({"type": "array", "items": {"properties": {"id": {}}}}) == {"[].id": False}


def test_a_schema_within_itself_ends() -> None:
    assert named({"$ref": "#/schemas/Tree"}) == {"leaf": False, "next": False}


def test_alternatives_show_the_fields_of_each() -> None:
    schema = {
        "oneOf": [
            {"type": "null"},
            {"type": "object", "required": ["code"], "properties": {"code": {"type": "string"}}},
        ]
    }
    found = {each.name: each for each in fields(CONTRACT, {"properties": {"error": schema}})}
    assert list(found) == ["error", "error.code"]
    assert type_name(CONTRACT, found["error"].schema) == "null or object"
    assert not found["error.code"].required  # only one of the alternatives needs it


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "string"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"type": "array", "items": {"type": "integer"}}, "array of integer"),
        ({"type": "string", "contentEncoding": "base64"}, "string, base64"),
        ({"enum": [None, "stop"]}, "null or string"),
        ({"const": 1.5}, "number"),
        ({"const": True}, "boolean"),
        ({"properties": {}}, "object"),
        ({"anyOf": [{"type": "string"}, {"type": "object"}]}, "string or object"),
        ({}, "any"),
    ],
)
def test_types(schema: dict[str, Any], expected: str) -> None:
    assert type_name(CONTRACT, schema) == expected


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"minimum": 1, "maximum": 1000, "default": 100}, ["1 to 1,000", "default 100"]),
        ({"exclusiveMinimum": 0, "maximum": 10}, ["above 0, at most 10"]),
        ({"minLength": 1}, ["at least 1 character"]),
        ({"minItems": 2, "maxItems": 2}, ["2 items"]),
        ({"maxProperties": 0}, ["no fields"]),
        ({"maximum": 0}, ["at most 0"]),
        ({"enum": ["wav", "mp3"], "default": "wav"}, ['one of "wav", "mp3"', 'default "wav"']),
        ({"const": "x"}, ['always "x"']),
        ({"pattern": "^<a>$"}, ["matches ^&lt;a&gt;$"]),
        ({"anyOf": [{"required": ["text"]}, {"required": ["flush"]}]}, ['with "text" or "flush"']),
        ({"items": {"maximum": 5}}, ["at most 5"]),
        ({"default": None}, []),
        ({"default": False}, ["default false"]),
    ],
)
def test_limits(schema: dict[str, Any], expected: list[str]) -> None:
    assert words(schema) == expected


def test_a_row_can_be_linked_to_and_is_escaped() -> None:
    schema = {"properties": {"a<b": {"type": "string", "description": "<script>`x`"}}}
    made = field_list(CONTRACT, list(fields(CONTRACT, schema)), "here")
    assert 'id="here-a-b"' in made
    assert 'href="#here-a-b"' in made
    assert "a&lt;b" in made
    assert "&lt;script&gt;<code>x</code>" in made


def test_a_long_description_keeps_its_paragraphs() -> None:
    assert describe({"description": "One.\n\nTwo."}).count("<p>") == 2

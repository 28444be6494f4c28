"""Schemas put together as the reference shows them."""

from __future__ import annotations

import pytest

from api_reference.contract import Contract, name_of

CONTRACT = Contract(
    {
        "components": {
            "schemas": {
                "Base": {
                    "type": "object",
                    "required": ["a"],
                    "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
                },
                "Alias": {"$ref": "#/components/schemas/Base"},
                "odd/name": {"type": "null"},
            }
        }
    }
)
BASE = {"$ref": "#/components/schemas/Base"}


def test_a_reference_is_followed_to_its_end() -> None:
    alias = {"$ref": "#/components/schemas/Alias"}
    assert CONTRACT.follow(alias) == CONTRACT.follow(BASE)
    assert CONTRACT.follow({"$ref": "#/components/schemas/odd~1name"}) == {"type": "null"}
    assert CONTRACT.follow({"type": "string"}) == {"type": "string"}


def test_what_stands_beside_a_reference_counts() -> None:
    assert CONTRACT.follow({**BASE, "description": "Ours."})["description"] == "Ours."


@pytest.mark.parametrize("wrong", ["#/components/schemas/None", "other.yaml#/x"])
def test_a_reference_that_leads_nowhere_is_told(wrong: str) -> None:
    with pytest.raises((KeyError, ValueError), match=r"None|out of the document"):
        CONTRACT.follow({"$ref": wrong})


def test_parts_are_put_together_and_narrowed() -> None:
    schema = {"allOf": [BASE], "required": ["b"], "properties": {"b": {"enum": [1]}}}
    whole = CONTRACT.merged(schema)
    assert whole["required"] == ["a", "b"]
    assert "allOf" not in whole
    assert CONTRACT.merged(whole["properties"]["b"]) == {"type": "integer", "enum": [1]}


def test_the_later_part_is_the_narrower() -> None:
    parts = {"allOf": [{"enum": ["x", "y"], "type": "string"}, {"enum": ["x"]}]}
    assert CONTRACT.merged(parts) == {"type": "string", "enum": ["x"]}


def test_the_name_of_a_reference() -> None:
    assert name_of(BASE) == "Base"
    assert name_of({"type": "string"}) == name_of(None) == ""

"""Reading JSON fields."""

from __future__ import annotations

import pytest

from cosyserve.protocol.errors import BadFrame, InvalidParameter
from cosyserve.protocol.fields import (
    as_written,
    json_object,
    number,
    optional,
    refusal,
    required,
    shown,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        ({"a": 1}, "an object"),
        ([1, 2], "an array"),
        (7, "7"),
        (1.5, "1.5"),
        ("sing", "'sing'"),
        ("a\nb\x00\x1b", r"'a\nb\x00\x1b'"),
        ("x" * 64, repr("x" * 64)),
        ("x" * 65, "'" + "x" * 64 + "..."),
        ("\0" * 64, "'" + r"\x00" * 16 + "..."),
        (10**100, "1" + "0" * 64 + "..."),
    ],
)
def test_values_are_shown_bounded_and_printable(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_refusal_names_the_field_the_value_and_what_is_allowed() -> None:
    assert refusal("a.b", 9, "1 to 2").message == "a.b: 9 is not allowed; allowed: 1 to 2"
    assert refusal("a.b", None, "1 to 2").message == "a.b: missing; allowed: 1 to 2"


def test_fields_of_the_right_type_are_read() -> None:
    fields = {"s": "x", "i": 1, "b": False, "o": {}, "null": None}
    assert required(fields, "s", str) == "x"
    assert required(fields, "i", int) == 1
    assert required(fields, "b", bool) is False
    assert required(fields, "o", dict) == {}
    assert optional(fields, "null", str) is None
    assert optional(fields, "none", str) is None


@pytest.mark.parametrize(
    ("name", "kind"), [("s", int), ("i", str), ("i", bool), ("b", int), ("o", str), ("f", int)]
)
def test_fields_of_another_type_are_refused(name: str, kind: type[str]) -> None:
    fields = {"s": "x", "i": 1, "b": True, "o": {}, "f": 1.0}
    with pytest.raises(InvalidParameter, match=rf"^where\.{name}: "):
        optional(fields, name, kind, "where")


def test_missing_fields_are_refused_where_they_are_required() -> None:
    with pytest.raises(InvalidParameter, match=r"^x: missing; allowed: a string"):
        required({"x": None}, "x", str)


def test_numbers() -> None:
    assert number({"n": 2}, "n", "w") == 2.0
    assert number({}, "n", "w", 0.5) == 0.5
    for fields in ({}, {"n": None}, {"n": True}, {"n": "one"}):
        with pytest.raises(InvalidParameter, match=r"^w\.n: "):
            number(fields, "n", "w")


@pytest.mark.parametrize(
    ("written", "kind", "value"),
    [
        ("7", int, 7),
        (" -7 ", int, -7),
        ("7.0", int, 7),
        ("1e3", int, 1000),
        ("0.5", float, 0.5),
        (".5", float, 0.5),
        ("+2.", float, 2.0),
        ("1E-1", float, 0.1),
        ("true", bool, True),
        (" False\n", bool, False),
    ],
)
def test_numbers_and_booleans_may_be_strings(written: str, kind: type, value: object) -> None:
    found = as_written(written, kind)
    assert found == value
    assert type(found) is kind


@pytest.mark.parametrize("kind", [int, float, bool])
@pytest.mark.parametrize(
    "written",
    [
        *("", " ", "NaN", "inf", "-Infinity", "0x10", "0b1", "1_0", "1,5", "1e999", "9" * 21),
        *("\u0661", "yes", "1 2", "--1", "e5", ".", "1.5.0", "9" * 100_000),
    ],
    ids=lambda written: written[:8],
)
def test_other_strings_stay_what_they_are(written: str, kind: type) -> None:
    assert as_written(written, kind) is written


def test_a_string_is_no_number_where_that_would_be_another() -> None:
    assert as_written("1.5", int) == "1.5"
    assert as_written("1e300", int) == "1e300"
    assert as_written("1", bool) == "1"
    assert as_written("true", int) == "true"
    assert as_written("7", str) == "7"


def test_a_refused_string_is_shown_as_it_came() -> None:
    with pytest.raises(InvalidParameter) as error:
        optional({"i": "0x10"}, "i", int, "w")
    assert error.value.message == "w.i: '0x10' is not allowed; allowed: an integer"


def test_whole_messages() -> None:
    assert json_object(b'{"a": 1}') == json_object('{"a": 1}') == {"a": 1}
    with pytest.raises(BadFrame):
        json_object(b"{")
    with pytest.raises(InvalidParameter):
        json_object(b"[]")

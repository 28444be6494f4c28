from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.server.voices.store import LONGEST, as_name


@pytest.mark.parametrize(
    "name",
    ["anna", "Anna (calm), take 2!", "7", "小美", "Zoë & José", "नेहा", "x" * 64, "st.ef-a_n's #1?"],
)
def test_what_people_call_a_voice_is_a_name(name: str) -> None:
    assert as_name(name) == name


def test_blanks_around_it_and_how_accents_are_composed_do_not_count() -> None:
    assert as_name(" \t Zoe\u0308\n") == "Zo\u00eb"
    assert as_name(" " + "x" * 64 + " ") == "x" * 64


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "x" * 65,
        "a\0b",
        "a\nb",
        "a\x7fb",
        "a\u202eb",
        "a\u2028b",
        "\ud800a",
        "a/b",
        "a\\b",
        ".",
        "..",
        "--",
        "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
        "1B4E28BA-2FA1-11D2-883F-0016D3CCA427",
        "1b4e28ba2fa111d2883f0016d3cca427",
        "{1b4e28ba-2fa1-11d2-883f-0016d3cca427}",
        "urn:uuid:1b4e28ba-2fa1-11d2-883f-0016d3cca427",
    ],
)
def test_what_could_be_taken_for_something_else_is_none(text: str) -> None:
    assert as_name(text) is None


@given(st.text(st.characters(exclude_categories=())))
def test_a_name_is_its_own_form_and_harmless(text: str) -> None:
    name = as_name(text)
    if name is not None:
        assert as_name(name) == name
        assert 1 <= len(name) <= LONGEST
        assert name.isprintable()
        assert not set(name) & set("/\\")


@given(st.uuids())
def test_no_id_is_a_name(made: uuid.UUID) -> None:
    assert as_name(str(made)) is None

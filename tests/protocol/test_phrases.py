"""Pronunciations as clients write them."""

from __future__ import annotations

from typing import Any

import pytest

from cosyserve.protocol.errors import InvalidParameter
from cosyserve.protocol.parameters import parse_parameters
from cosyserve.protocol.phrases import (
    ALPHABETS,
    LONGEST_PHRASE,
    LONGEST_SPOKEN,
    MOST,
    Pronunciation,
    read_pronunciations,
)
from support.tools.contracts import load

GOOD = {"word": "Nguyen", "alphabet": "ipa", "sounds": "wɪn"}


def read(*given: Any) -> tuple[Pronunciation, ...]:
    return read_pronunciations(list(given), "p")


def test_what_is_read() -> None:
    assert read_pronunciations(None, "p") == ()
    assert read() == ()
    [one, other] = read(
        {**GOOD, "more": 1, "case_sensitive": None},
        {"word": "SQL", "alphabet": "cmu-arpabet", "sounds": " S ", "case_sensitive": False},
    )
    assert one == Pronunciation("Nguyen", "ipa", "wɪn")
    assert (one.where, one.whole_words) == ("p.0.sounds", True)
    assert other == Pronunciation("SQL", "cmu-arpabet", "S", match_case=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "p: an object is not allowed; allowed: a list of at most 100"),
        ("a", "p: 'a' is not allowed; allowed: a list of at most 100"),
        ([GOOD] * 101, "p: '101 of them' is not allowed; allowed: a list of at most 100"),
        ([1], "p.0: 1 is not allowed; allowed: an object with"),
        ([{}], "p.0.word: missing"),
        ([{**GOOD, "word": ""}], "p.0.word: '' is not allowed; allowed: 1 to 64 characters"),
        (
            [{**GOOD, "word": " a"}],
            "p.0.word: ' a' is not allowed; allowed: 1 to 64 characters, no",
        ),
        ([{**GOOD, "word": "a" * 65}], "p.0.word: "),
        ([{**GOOD, "alphabet": None}], "p.0.alphabet: missing"),
        ([{**GOOD, "alphabet": "x"}], "p.0.alphabet: 'x' is not allowed; allowed: ipa, py, cmu-"),
        ([{**GOOD, "sounds": " "}], "p.0.sounds: '' is not allowed; allowed: 1 to 256 characters"),
        ([{**GOOD, "sounds": "a" * 257}], "p.0.sounds: "),
        ([{**GOOD, "case_sensitive": "maybe"}], "p.0.case_sensitive: 'maybe'"),
        ([GOOD, GOOD], "p.1.word: 'Nguyen' is not allowed; allowed: each word once"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(given: Any, message: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        read_pronunciations(given, "p")
    assert refused.value.message.startswith(message)


def test_one_reply_names_every_field_that_is_wrong() -> None:
    with pytest.raises(
        InvalidParameter, match=r"input\.speed: .* input\.pronunciations\.0\.word: "
    ):
        parse_parameters(
            {
                "mode": "fast_replication",
                "reference_audio_id": "a",
                "speed": 9,
                "pronunciations": [{}],
            },
            "input",
        )


@pytest.mark.parametrize(
    ("name", "schema"),
    [("asyncapi.yaml", "SpeechParameters"), ("openapi.yaml", "SpeechInput")],
)
def test_the_contracts_say_so(name: str, schema: str) -> None:
    schemas = load(name)["components"]["schemas"]
    assert schemas[schema]["properties"]["pronunciations"]["maxItems"] == MOST
    fields = schemas["Pronunciation"]["properties"]
    assert fields["word"]["maxLength"] == LONGEST_PHRASE
    assert fields["sounds"]["maxLength"] == LONGEST_SPOKEN
    assert fields["alphabet"]["enum"] == list(ALPHABETS)
    assert schemas["Pronunciation"]["required"] == ["word", "alphabet", "sounds"]

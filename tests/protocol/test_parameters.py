"""The parameters: what each may be, and how wrong ones are named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from cosyserve.protocol.errors import InvalidParameter, ModelNotFound
from cosyserve.protocol.parameters import (
    ALLOWED,
    BIT_RATES,
    SAMPLE_RATES,
    AudioFormat,
    Mode,
    SpeechParameters,
    check_model,
    parse_parameters,
)
from support.tools.protocol_examples import json_values, parameters

GOOD = {"mode": "fast_replication", "reference_audio_id": "ref-1"}


def fault(**changed: Any) -> str:
    with pytest.raises(InvalidParameter) as caught:
        parse_parameters({**GOOD, **changed}, "input")
    return caught.value.message


def test_defaults() -> None:
    parsed = parse_parameters(GOOD, "input")
    assert parsed == SpeechParameters(
        mode=Mode.FAST,
        reference_audio_id="ref-1",
        instruct="",
        output_format=AudioFormat.WAV,
        sample_rate=24000,
        bit_rate="192k",
        volume=1.0,
        speed=1.0,
        debug=False,
        seed=None,
        audio_transport="base64",
    )


@given(parameters())
def test_what_is_valid_is_read_back_the_same(each: SpeechParameters) -> None:
    assert parse_parameters(each.model_dump(mode="json"), "input") == each


@given(json_values)
def test_arbitrary_json_is_refused_in_a_bounded_message(value: object) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_parameters(value, "input")
    assert len(caught.value.message) < 2000


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mode": "sing"}, "input.mode: 'sing' is not allowed; allowed: fast_replication, "),
        ({"mode": None}, "input.mode: missing; allowed: fast_replication, "),
        ({"reference_audio_id": 7}, "input.reference_audio_id: 7 is not allowed; allowed: a str"),
        ({"reference_audio_id": ""}, "input.reference_audio_id: '' is not allowed; allowed: a str"),
        ({"reference_audio_id": "x" * 129}, "input.reference_audio_id: 'xxx"),
        ({"instruct": 1}, "input.instruct: 1 is not allowed; allowed: a string of 0 to 1000"),
        ({"output_format": "midi"}, "input.output_format: 'midi' is not allowed; allowed: wav, mp"),
        ({"sample_rate": 1}, "input.sample_rate: 1 is not allowed; allowed: 8000, 16000, 22050, "),
        ({"sample_rate": "24kHz"}, "input.sample_rate: '24kHz' is not allowed; allowed: 8000, "),
        ({"sample_rate": True}, "input.sample_rate: true is not allowed; allowed: 8000, 16000"),
        ({"bit_rate": "1k"}, "input.bit_rate: '1k' is not allowed; allowed: 16k, 32k, 48k, 64k"),
        ({"bit_rate": 192}, "input.bit_rate: 192 is not allowed; allowed: 16k, 32k, 48k, 64k"),
        ({"volume": 0}, "input.volume: 0 is not allowed; allowed: a number above 0 and up to 10"),
        ({"volume": 10.1}, "input.volume: 10.1 is not allowed; allowed: a number above 0 and up"),
        ({"volume": True}, "input.volume: true is not allowed; allowed: a number above 0"),
        ({"speed": 9}, "input.speed: 9 is not allowed; allowed: a number from 0.5 to 2"),
        ({"speed": 0.49}, "input.speed: 0.49 is not allowed; allowed: a number from 0.5 to 2"),
        ({"speed": "fast"}, "input.speed: 'fast' is not allowed; allowed: a number from 0.5 to 2"),
        ({"debug": 1}, "input.debug: 1 is not allowed; allowed: true or false"),
        ({"seed": -1}, "input.seed: -1 is not allowed; allowed: an integer from 0 to 4294967295"),
        ({"seed": 1.5}, "input.seed: 1.5 is not allowed; allowed: an integer from 0 to 429496729"),
        ({"audio_transport": "x"}, "input.audio_transport: 'x' is not allowed; allowed: base64 or"),
    ],
    ids=lambda each: str(each)[:40],
)
def test_a_wrong_value_is_named_with_what_is_allowed(changed: Any, message: str) -> None:
    assert fault(**changed).startswith(message)


@pytest.mark.parametrize(
    "changed",
    [
        {"volume": 10},
        {"volume": 1e-6},
        {"speed": 0.5},
        {"speed": 2},
        {"seed": 0},
        {"seed": 203183707.0},
        {"seed": 2**32 - 1},
        {"reference_audio_id": "x" * 128},
        {"instruct": "x" * 1000},
        *({"sample_rate": rate} for rate in SAMPLE_RATES),
        *({"bit_rate": rate} for rate in BIT_RATES),
        *({"output_format": str(each)} for each in AudioFormat),
    ],
    ids=lambda each: str(each)[:40],
)
def test_the_edges_of_what_is_allowed_are_taken(changed: dict[str, Any]) -> None:
    parsed = parse_parameters({**GOOD, **changed}, "input")
    assert parsed.model_dump(mode="json").items() >= changed.items()


def test_every_field_that_fails_is_named() -> None:
    message = fault(
        mode="natural_language_replication", output_format="opus", sample_rate=44100, speed=9
    )
    assert "input.instruct: missing; allowed: a non-empty string with mode natural" in message
    assert (
        "input.sample_rate: 44100 is not allowed; allowed: 8000, 16000, 24000 or 48000" in message
    )
    assert "input.speed: 9" in message


def test_instruct_is_needed_by_one_mode_only() -> None:
    natural = {**GOOD, "mode": "natural_language_replication"}
    assert "input.instruct: '  '" in fault(**natural, instruct="  ")
    assert parse_parameters({**natural, "instruct": "calm"}, "input").instruct == "calm"
    assert parse_parameters({**GOOD, "instruct": ""}, "input").instruct == ""


@pytest.mark.parametrize("name", ["ulaw", "alaw", "wav_ulaw", "wav_alaw"])
def test_telephones_have_one_sample_rate(name: str) -> None:
    for asked in ({}, {"sample_rate": None}, {"sample_rate": 8000}):
        assert parse_parameters({**GOOD, "output_format": name, **asked}, "x").sample_rate == 8000
    assert fault(output_format=name, sample_rate=16000) == (
        f"input.sample_rate: 16000 is not allowed; allowed: 8000 with output_format {name}"
    )
    assert "allowed: 8000, 16000" in fault(output_format=name, sample_rate=1)


def test_a_default_that_depends_on_a_wrong_field_is_no_fault() -> None:
    assert "sample_rate" not in fault(output_format="midi", mode="sing")


def test_opus_has_its_own_sample_rates() -> None:
    for rate in SAMPLE_RATES:
        given = {**GOOD, "output_format": "opus", "sample_rate": rate}
        if rate in (8000, 16000, 24000, 48000):
            assert parse_parameters(given, "input").sample_rate == rate
        else:
            assert "with output_format opus" in fault(**given)


def test_parameters_must_be_an_object() -> None:
    for raw, text in ((None, "missing"), ([], "an array"), ("x", "'x'")):
        with pytest.raises(InvalidParameter, match=f"^payload.parameters: {text}"):
            parse_parameters(raw, "payload.parameters")


def test_the_model_itself_holds_the_same_rules() -> None:
    with pytest.raises(ValidationError):
        SpeechParameters(mode=Mode.NATURAL_LANGUAGE, reference_audio_id="a")


def test_every_field_has_words_for_what_is_allowed() -> None:
    assert set(ALLOWED) == set(SpeechParameters.model_fields) - {"pronunciations"}
    assert all(ALLOWED.values())


def test_lossy_formats() -> None:
    assert {each for each in AudioFormat if each.lossy} == {"mp3", "opus", "aac"}


def test_models() -> None:
    assert check_model("cosyvoice-v2", "model") == "cosyvoice-v2"
    with pytest.raises(ModelNotFound, match=r"^model: no model 'x' here; allowed: "):
        check_model("x", "model")


def test_numbers_and_booleans_as_strings() -> None:
    given = {**GOOD, "sample_rate": "8000", "volume": "2", "speed": "0.5", "pitch": " 1.5 "}
    given |= {
        "seed": "7",
        "debug": "true",
        "enable_ssml": "FALSE",
        "word_timestamp_enabled": "True",
    }
    asked = parse_parameters(given, "input")
    assert (asked.sample_rate, asked.volume, asked.speed, asked.pitch) == (8000, 2.0, 0.5, 1.5)
    assert (asked.seed, asked.debug, asked.enable_ssml) == (7, True, False)
    assert asked.word_timestamp_enabled is True


@pytest.mark.parametrize("value", ["", "NaN", "Infinity", "0x1", "1e999", "one"])
@pytest.mark.parametrize(
    "name", ["sample_rate", "volume", "speed", "pitch", "seed", "debug", "enable_ssml"]
)
def test_a_string_that_is_none_is_named_as_it_came(name: str, value: str) -> None:
    with pytest.raises(InvalidParameter) as error:
        parse_parameters({**GOOD, name: value}, "input")
    assert error.value.message == (
        f"input.{name}: {value!r} is not allowed; allowed: {ALLOWED[name]}"
    )

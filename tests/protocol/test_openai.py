"""The OpenAI dialect's bodies, and that openapi.yaml says the same of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cosyserve.protocol.errors import (
    BadFrame,
    InvalidParameter,
    ModelNotFound,
    TextTooLong,
    Throttled,
    TTSError,
)
from cosyserve.protocol.openai import (
    HOSTED_MODELS,
    HOSTED_VOICES,
    InvalidField,
    audio_delta,
    audio_done,
    audio_models,
    check_model,
    error_body,
    error_event,
    model_list,
    parse_speech,
)
from cosyserve.protocol.parameters import MODELS, AudioFormat, Mode
from support.tools.contracts import error_classes, load, validate

DOCUMENT = load("openapi.yaml")
SCHEMAS = DOCUMENT["components"]["schemas"]
SPEECH = DOCUMENT["paths"]["/v1/audio/speech"]["post"]
GOOD = {"model": "tts-1", "input": "Good morning.", "voice": "alloy"}


def parse(longest: int = 100, **fields: Any) -> Any:
    return parse_speech(json.dumps({**GOOD, **fields}).encode(), longest)


def test_defaults() -> None:
    asked = parse()
    assert (asked.text, asked.voice, asked.instructions) == ("Good morning.", "alloy", "")
    assert (asked.audio_format, asked.speed, asked.events) == (AudioFormat.MP3, 1.0, False)
    parameters = asked.parameters(instruct=False)
    assert (parameters.mode, parameters.reference_audio_id) == (Mode.FAST, "alloy")
    assert parameters.sample_rate == 24000


def test_all_fields() -> None:
    asked = parse(
        voice={"id": "someone", "more": 1},
        instructions="Whisper.",
        response_format="opus",
        speed=3,
        stream_format="sse",
        unknown=[1],
    )
    assert (asked.voice, asked.instructions, asked.events) == ("someone", "Whisper.", True)
    assert (asked.speed, asked.effective_speed) == (3, 2)
    parameters = asked.parameters(instruct=True)
    assert (parameters.mode, parameters.instruct) == (Mode.NATURAL_LANGUAGE, "Whisper.")
    assert (parameters.speed, parameters.output_format) == (2, AudioFormat.OPUS)
    assert asked.parameters(instruct=False).instruct == ""


def test_a_field_that_is_null_is_absent() -> None:
    fields = ("instructions", "response_format", "speed", "stream_format")
    assert parse(**dict.fromkeys(fields)) == parse()


@pytest.mark.parametrize("audio_format", AudioFormat)
def test_every_format_has_parameters(audio_format: AudioFormat) -> None:
    asked = parse(response_format=audio_format.value)
    assert asked.parameters(instruct=False).output_format is audio_format


@pytest.mark.parametrize(("asked", "spoken"), [(0.25, 0.5), (0.5, 0.5), (1.5, 1.5), (4, 2)])
def test_speed_is_clamped(asked: float, spoken: float) -> None:
    assert parse(speed=asked).effective_speed == spoken


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("model", None),
        ("model", 1),
        ("input", None),
        ("input", ["x"]),
        ("voice", None),
        ("voice", ""),
        ("voice", 7),
        ("voice", {}),
        ("voice", {"id": 7}),
        ("voice", "x" * 129),
        ("instructions", 1),
        ("instructions", "x" * 1001),
        ("response_format", "midi"),
        ("response_format", {}),
        ("speed", 0.2),
        ("speed", 4.1),
        ("speed", True),
        ("speed", "fast"),
        ("stream_format", "ws"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(param: str, value: object) -> None:
    with pytest.raises(InvalidField) as caught:
        parse(**{param: value})
    assert caught.value.param == param
    assert caught.value.message.startswith(f"{param}: ")
    assert "allowed: " in caught.value.message
    assert error_body(caught.value)["error"]["param"] == param


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000, b"\xff", b'"x"'])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidParameter):
        parse_speech(body, 100)


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(TextTooLong, match="input: 101 characters; allowed: 100"):
        parse(input="x" * 101)
    assert len(parse(input="x" * 100).text) == 100


DATED = ("gpt-4o-mini-tts-2025-03-20", "gpt-4o-mini-tts-2025-12-15", "tts-1-1106", "tts-1-hd-1106")


@pytest.mark.parametrize("model", [*HOSTED_MODELS, *MODELS, *DATED])
def test_models_that_are_taken(model: str) -> None:
    assert check_model(model) == model
    validate(DOCUMENT, SCHEMAS["OpenAISpeech"], {**GOOD, "model": model})


@pytest.mark.parametrize(
    "model", ["", "TTS-1", "tts-12", "tts-1\n", "gpt-4o-mini-tts-x", "a" * 999]
)
def test_models_that_are_not(model: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        check_model(model)
    assert error_body(caught.value)["error"] == {
        "message": caught.value.message,
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    assert len(caught.value.message) < 250


def test_the_lists_have_the_same_models() -> None:
    names = [model["id"] for model in model_list(())["data"]]
    assert names == [model["id"] for model in audio_models(())["models"]]
    assert set(names) == {*HOSTED_MODELS, *MODELS}


def test_a_loaded_model_s_names_alone_are_listed() -> None:
    names = [model["id"] for model in model_list(["cosyvoice-v3"])["data"]]
    assert names == [*HOSTED_MODELS, "cosyvoice-v3", "Fun-CosyVoice3-0.5B-2512"]


@pytest.mark.parametrize("error_class", error_classes(), ids=lambda each: each.__name__)
def test_every_error_has_a_body(error_class: type[TTSError]) -> None:
    error = BadFrame("x", 1007) if error_class is BadFrame else error_class("x")
    body = error_body(error)
    validate(DOCUMENT, SCHEMAS["OpenAIError"], body)
    assert body["error"]["code"].replace("_", "").isalpha()
    assert (body["error"]["type"] == "server_error") == (error.status >= 500)


@pytest.mark.parametrize("name", SPEECH["requestBody"]["content"]["application/json"]["examples"])
def test_the_examples_of_the_contract_are_taken(name: str) -> None:
    value = SPEECH["requestBody"]["content"]["application/json"]["examples"][name]["value"]
    validate(DOCUMENT, SCHEMAS["OpenAISpeech"], value)
    assert parse_speech(json.dumps(value).encode(), 100).model == value["model"]


def test_the_contract_names_every_voice() -> None:
    words = SCHEMAS["OpenAISpeech"]["properties"]["voice"]["description"]
    assert all(name in words for name in HOSTED_VOICES)


def test_events_are_as_the_contract_has_them() -> None:
    example = SPEECH["responses"]["200"]["content"]["text/event-stream"]["example"]
    events = [json.loads(line[6:]) for line in example.splitlines() if line]
    assert events == [audio_delta(b"\xff\xfb\x90\xc4\x00\x00"), audio_done(13, 1.08)]
    for event in (*events, error_event(Throttled("busy"))):
        validate(DOCUMENT, SCHEMAS["OpenAISpeechEvent"], event)


@pytest.mark.parametrize("text", ["", " \n\t", "\u3000", None])
def test_a_blank_text_is_refused(text: str | None) -> None:
    with pytest.raises(InvalidField) as error:
        parse(input=text)
    assert error.value.param == "input"
    assert error.value.message.startswith("input: ")


def test_a_speed_may_be_a_string() -> None:
    assert parse(speed="1.5").speed == 1.5
    with pytest.raises(InvalidField, match=r"^speed: 'NaN' is not allowed; allowed: a number"):
        parse(speed="NaN")

"""openapi.yaml is valid and says what the code does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from openapi_spec_validator import validate as validate_openapi

from cosyserve.protocol.cosyvoice.rest import (
    LIMIT_MAX,
    ListQuery,
    deleted_body,
    error_body,
    parse_speech_request,
    reference_object,
    speech_event,
    speech_whole,
)
from cosyserve.protocol.errors import BadFrame, Throttled, TTSError
from cosyserve.protocol.parameters import MODELS, SpeechParameters
from support.tools.contracts import (
    Json,
    error_classes,
    load,
    parameter_schemas,
    plain,
    resolve,
    validate,
)

DOCUMENT = load("openapi.yaml")
SCHEMAS = DOCUMENT["components"]["schemas"]
METHODS = ("get", "post", "put", "patch", "delete")
OPERATIONS = [
    pytest.param(path, method, operation, id=f"{method} {path}")
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method in METHODS
]
SOUND = "/api/v1/services/audio/tts/sounds/{file}"
OPEN = {"/healthz", "/readyz", "/metrics", SOUND}
OTHERS = {"vllm-omni", "openai", "dashscope", "elevenlabs"}
"""Tags of other APIs' paths, whose errors look otherwise."""


def content(path: str, method: str, kind: str, status: str = "200") -> Json:
    operation = DOCUMENT["paths"][path][method]
    response = resolve(DOCUMENT, operation["responses"][status])
    found = response["content"][kind]
    assert isinstance(found, dict)
    return found


def test_the_document_is_valid_openapi() -> None:
    validate_openapi(DOCUMENT)


def test_it_has_every_route() -> None:
    assert {(each.values[1], each.values[0]) for each in OPERATIONS} == {
        ("post", "/api/v1/audio/reference_audio"),
        ("get", "/api/v1/audio/reference_audio"),
        ("get", "/api/v1/audio/reference_audio/{id}"),
        ("delete", "/api/v1/audio/reference_audio/{id}"),
        ("post", "/api/v1/audio/speech"),
        ("post", "/api/v1/services/audio/tts/SpeechSynthesizer"),
        ("post", "/api/v1/services/audio/tts/customization"),
        ("get", SOUND),
        ("post", "/v1/audio/speech"),
        ("post", "/v1/audio/speech/batch"),
        ("get", "/v1/audio/voices"),
        ("get", "/v1/audio/models"),
        ("get", "/v1/models"),
        ("get", "/v1/models/{id}"),
        ("post", "/v1/text-to-speech/{voice_id}"),
        ("post", "/v1/text-to-speech/{voice_id}/stream"),
        ("post", "/v1/text-to-speech/{voice_id}/with-timestamps"),
        ("post", "/v1/text-to-speech/{voice_id}/stream/with-timestamps"),
        ("get", "/v1/voices"),
        ("get", "/v1/voices/{voice_id}"),
        ("get", "/v2/voices"),
        ("post", "/v1/pronunciation-dictionaries/add-from-rules"),
        ("post", "/v1/pronunciation-dictionaries/add-from-file"),
        ("get", "/v1/pronunciation-dictionaries"),
        ("get", "/v1/pronunciation-dictionaries/{id}"),
        ("patch", "/v1/pronunciation-dictionaries/{id}"),
        ("post", "/v1/pronunciation-dictionaries/{id}/set-rules"),
        ("post", "/v1/pronunciation-dictionaries/{id}/add-rules"),
        ("post", "/v1/pronunciation-dictionaries/{id}/remove-rules"),
        ("get", "/v1/pronunciation-dictionaries/{id}/{version}/download"),
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("get", "/metrics"),
        ("get", "/version"),
    }


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_route_but_the_open_ones_needs_a_token(
    path: str, method: str, operation: Json
) -> None:
    assert DOCUMENT["security"] == [{"bearer": []}, {"plain": []}]
    if path in OPEN:
        assert operation["security"] == []
    else:
        assert "security" not in operation
        assert "401" in operation["responses"]


def codes_by_status() -> dict[str, set[str]]:
    """The error codes of each status, over all routes."""
    found: dict[str, set[str]] = {}
    for each in OPERATIONS:
        operation: Any = each.values[2]
        for status, response in operation["responses"].items():
            if status == "200" or each.values[0] in OPEN or operation["tags"][0] in OTHERS:
                continue
            body: Json = resolve(DOCUMENT, response)["content"]["application/json"]
            schema = body["schema"]
            assert schema["allOf"] == [{"$ref": "#/components/schemas/Error"}]
            found.setdefault(status, set()).update(schema["properties"]["code"]["enum"])
    return found


def test_every_error_code_is_listed_with_its_status() -> None:
    expected: dict[str, set[str]] = {}
    for each in error_classes():
        expected.setdefault(str(each.status), set()).add(each.code)
    assert codes_by_status() == expected
    assert set(SCHEMAS["ErrorCode"]["enum"]) == {each.code for each in error_classes()}


@pytest.mark.parametrize("error_class", error_classes(), ids=lambda each: each.__name__)
def test_every_error_body_fits_the_schema_of_its_status(error_class: type[TTSError]) -> None:
    error = BadFrame("x", 1007) if error_class is BadFrame else error_class("x")
    body = error_body(error, "r-1")
    responses = DOCUMENT["components"]["responses"].values()
    fitting = [
        schema
        for response in responses
        for schema in [response["content"]["application/json"]["schema"]]
        if error.code in schema.get("properties", {}).get("code", {}).get("enum", [])
    ]
    assert len(fitting) == 1
    validate(DOCUMENT, fitting[0], body)


def test_a_throttled_answer_says_when_to_come_again() -> None:
    assert "Retry-After" in DOCUMENT["components"]["responses"]["Throttled"]["headers"]


def not_null(schema: Json) -> Json:
    """The schema of an optional field, which may be null, without that."""
    kind, null = schema["type"]
    assert null == "null"
    found = {**schema, "type": kind}
    if "enum" in found:
        assert found["enum"][-1] is None
        found["enum"] = found["enum"][:-1]
    return found


def test_the_parameters_are_those_of_the_code() -> None:
    contract = SCHEMAS["SpeechInput"]
    properties = {
        name: plain(each if name in contract["required"] else not_null(each))
        for name, each in contract["properties"].items()
        if name != "pronunciations"
    }
    expected = parameter_schemas()
    # REST has no binary frames, and its text is part of the input.
    expected["audio_transport"]["enum"] = ["base64"]
    assert properties == {**expected, "text": {"type": "string"}}
    required = SpeechParameters.model_json_schema()["required"]
    assert contract["required"] == [*required, "text"]
    assert SCHEMAS["Model"]["enum"] == list(MODELS)


def test_the_list_query_is_that_of_the_code() -> None:
    parameters = DOCUMENT["paths"]["/api/v1/audio/reference_audio"]["get"]["parameters"]
    limit, order = (each["schema"] for each in parameters)
    assert [each["name"] for each in parameters] == ["limit", "order"]
    assert (limit["minimum"], limit["maximum"]) == (1, LIMIT_MAX)
    assert limit["default"] == ListQuery().limit
    assert order == {"type": "string", "enum": ["asc", "desc"], "default": ListQuery().order}


SPEECH = DOCUMENT["paths"]["/api/v1/audio/speech"]["post"]
REQUESTS: dict[str, Any] = SPEECH["requestBody"]["content"]["application/json"]["examples"]


@pytest.mark.parametrize("name", REQUESTS)
def test_the_examples_of_a_speech_call_are_taken(name: str) -> None:
    value = REQUESTS[name]["value"]
    validate(DOCUMENT, SCHEMAS["SpeechRequest"], value)
    request = parse_speech_request(orjson.dumps(value))
    assert request.stream is value.get("stream", True)
    assert SCHEMAS["SpeechRequest"]["properties"]["stream"]["default"] is True


def test_the_example_of_a_stream_is_what_the_code_writes() -> None:
    example = content("/api/v1/audio/speech", "post", "text/event-stream")["example"]
    events = [orjson.loads(each.removeprefix("data: ")) for each in example.split("\n\n") if each]
    sound = b"\xff\xfb\x90\xc4\x00\x00"
    assert events == [
        speech_event("f90a65be", "4f3c9e1a", sound, None, 6),
        speech_event("f90a65be", "4f3c9e1a", b"", "stop", 6),
    ]
    for event in events:
        validate(DOCUMENT, SCHEMAS["SpeechChunk"], event)


def test_the_other_bodies_fit_their_schemas() -> None:
    failed = speech_event("r", "a", b"", None, 0, Throttled("busy"))
    validate(DOCUMENT, SCHEMAS["SpeechChunk"], failed)
    whole = content("/api/v1/audio/speech", "post", "application/json")
    assert whole["example"] == speech_whole("f90a65be", "4f3c9e1a", "//uQxAAA", 6)
    deleted = content("/api/v1/audio/reference_audio/{id}", "delete", "application/json")
    clip_id = "7d8c5a60-5d8b-4d59-9f0c-6d6b1f5d3a51"
    assert deleted["example"] == deleted_body(clip_id)
    validate(DOCUMENT, deleted["schema"], deleted["example"])


@dataclass(frozen=True)
class Consent:
    by: str = "Anna"
    date: str = "2026-01-31"
    note: str = ""


@dataclass(frozen=True)
class Clip:
    id: str
    filename: str
    bytes: int
    created_at: int
    text: str
    name: str = ""
    consent: Consent | None = None


def test_the_example_of_a_reference_is_what_the_code_writes() -> None:
    example = DOCUMENT["components"]["examples"]["reference"]["value"]
    assert reference_object(Clip(**example)) == example
    validate(DOCUMENT, SCHEMAS["ReferenceAudio"], example)
    assert set(SCHEMAS["ReferenceAudio"]["required"]) == set(example)
    named = reference_object(Clip(**example, name="anna", consent=Consent()))
    assert set(SCHEMAS["ReferenceAudio"]["properties"]) == set(named)

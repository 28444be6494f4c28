"""REST bodies."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.protocol.cosyvoice.rest import (
    ListQuery,
    deleted_body,
    error_body,
    parse_list_query,
    parse_speech_request,
    reference_object,
    speech_event,
    speech_whole,
)
from cosyserve.protocol.errors import (
    InvalidParameter,
    ModelNotFound,
    TextTooLong,
    Throttled,
    TTSError,
)
from cosyserve.protocol.text import TextLimits
from support.tools.protocol_examples import json_values

INPUT = {"mode": "fast_replication", "reference_audio_id": "r", "text": "Hello."}


def body(changed: dict[str, Any] | None = None, **given: Any) -> bytes:
    whole = {"model": "CosyVoice2-0.5B", "input": {**INPUT, **given}, **(changed or {})}
    return orjson.dumps(whole)


def test_a_speech_request() -> None:
    request = parse_speech_request(body({"stream": False}, output_format="mp3", new=1))
    assert (request.model, request.text, request.stream) == ("CosyVoice2-0.5B", "Hello.", False)
    assert request.parameters.output_format == "mp3"


def test_it_is_streamed_unless_asked_otherwise() -> None:
    assert parse_speech_request(body()).stream
    assert parse_speech_request(body({"stream": None})).stream
    assert parse_speech_request(body({"stream": True})).stream


def test_a_text_with_nothing_to_say_is_taken() -> None:
    assert parse_speech_request(body(text="")).text == ""


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"{not json", "body: not JSON"),
        (b"", "body: not JSON"),
        (b"[]", "message: an array"),
        (body({"model": None}), "model: missing"),
        (body({"model": 7}), "model: 7"),
        (body({"input": None}), "input: missing"),
        (body({"input": []}), "input: an array"),
        (body({"stream": "no"}), "stream: 'no'"),
        (body(text=None), "input.text: missing"),
        (body(text=7), "input.text: 7"),
        (body(speed="fast"), "input.speed: 'fast'"),
        (body(mode="natural_language_replication"), "input.instruct: missing"),
        (body(audio_transport="binary"), "input.audio_transport: 'binary'"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_is_wrong_is_named(data: bytes, named: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_speech_request(data)
    assert caught.value.message.startswith(named)


def test_an_unknown_model() -> None:
    with pytest.raises(ModelNotFound):
        parse_speech_request(body({"model": "other"}))


def test_the_limit_on_text() -> None:
    assert parse_speech_request(body(text="x" * 30_000)).text == "x" * 30_000
    assert parse_speech_request(body(text="12345"), TextLimits(message=5)).text == "12345"
    with pytest.raises(TextTooLong):
        parse_speech_request(body(text="123456"), TextLimits(message=5))


@given(st.binary(max_size=100) | json_values.map(lambda value: repr(value).encode()))
def test_arbitrary_bodies_raise_nothing_but_tts_errors(data: bytes) -> None:
    with pytest.raises(TTSError):
        parse_speech_request(data)


def test_list_queries() -> None:
    assert parse_list_query({}) == ListQuery(100, "desc")
    assert parse_list_query({"limit": "1", "order": "asc", "new": "x"}) == ListQuery(1, "asc")
    assert parse_list_query({"limit": "1000", "order": "desc"}) == ListQuery(1000, "desc")


@pytest.mark.parametrize(
    "limit", ["", "0", "1001", "-1", "+1", " 1", "1_0", "1.0", "x", "٣", "²", "9" * 10_000]
)
def test_a_wrong_limit_is_named(limit: str) -> None:
    with pytest.raises(InvalidParameter, match=r"^limit: .*; allowed: an integer from 1 to 1000$"):
        parse_list_query({"limit": limit})


@pytest.mark.parametrize("order", ["", "ASC", "up"])
def test_a_wrong_order_is_named(order: str) -> None:
    with pytest.raises(InvalidParameter, match=r"^order: .*; allowed: asc or desc$"):
        parse_list_query({"order": order})


def test_error_bodies() -> None:
    error = Throttled("busy", 3)
    assert error_body(error, "r-1") == {
        "code": "Throttled",
        "message": error.message,
        "request_id": "r-1",
        "data": {},
    }


@dataclass(frozen=True)
class Given:
    by: str = "Anna"
    date: str = "2026-01-31"
    note: str = ""


@dataclass(frozen=True)
class Clip:
    id: str = "id"
    filename: str = "a.wav"
    bytes: int = 9
    created_at: int = 1760000000
    text: str = "hi"
    name: str = ""
    consent: Given | None = None
    owner: str = "not told"


def test_reference_objects_tell_what_is_documented_and_no_more() -> None:
    assert reference_object(Clip()) == {
        "id": "id",
        "filename": "a.wav",
        "bytes": 9,
        "created_at": 1760000000,
        "text": "hi",
    }


def test_a_reference_object_has_a_name_only_where_there_is_one() -> None:
    assert reference_object(Clip(name="anna")) == {**reference_object(Clip()), "name": "anna"}


def test_a_reference_object_has_a_consent_dately_where_there_is_one() -> None:
    consent = {"by": "Anna", "date": "2026-01-31", "note": ""}
    found = reference_object(Clip(consent=Given()))
    assert found == {**reference_object(Clip()), "consent": consent}


def test_the_body_of_a_deletion() -> None:
    assert deleted_body("x") == {
        "code": "OK",
        "message": "reference audio: x deleted.",
        "data": {},
    }


def test_speech_events() -> None:
    assert speech_event("r", "a", b"\0\1\2", None, 3) == {
        "request_id": "r",
        "error": None,
        "output": {"finish_reason": None, "audio": {"id": "a", "data": "AAEC"}},
        "usage": 3,
    }
    last = speech_event("r", "a", b"", "stop", 3)
    assert last["output"] == {"finish_reason": "stop", "audio": {"id": "a", "data": ""}}


def test_a_failed_speech_event_tells_code_and_message() -> None:
    failed = speech_event("r", "a", b"", None, 3, Throttled("busy", 2))
    assert failed["error"] == {"code": "Throttled", "message": "busy; try again in 2 s"}


def test_speech_that_is_not_streamed() -> None:
    whole = speech_whole("r", "a", "c291bmQ=", 5)
    assert whole["output"]["finish_reason"] is None
    assert base64.b64decode(whole["output"]["audio"]["data"]) == b"sound"
    assert whole["usage"] == 5

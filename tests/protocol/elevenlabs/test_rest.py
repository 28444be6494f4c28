"""The ElevenLabs dialect's HTTP bodies, and errors as its clients know them."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from cosyserve.protocol.elevenlabs.alignment import CharacterSpans
from cosyserve.protocol.elevenlabs.rest import (
    INTERNAL,
    TextToSpeech,
    error_body,
    error_message,
    parse_speech,
    status_of,
    timed_speech,
    voice_list,
    voice_object,
    voice_page,
)
from cosyserve.protocol.errors import (
    BadFrame,
    InternalError,
    InvalidParameter,
    InvalidState,
    ModelNotFound,
    TextTooLong,
    TTSError,
)
from cosyserve.protocol.errors import ReferenceAudioNotFound as NoVoice
from cosyserve.protocol.parameters import AudioFormat
from cosyserve.protocol.text import TextLimits
from support.tools.contracts import error_classes

LIMITS = TextLimits(20, 20)


def parsed(query: dict[str, str] | None = None, **body: Any) -> TextToSpeech:
    return parse_speech("alba", query or {}, orjson.dumps(body), LIMITS)


def test_what_is_assumed() -> None:
    asked = parsed(text="Hi.")
    assert (asked.text, asked.speed, asked.content_type) == ("Hi.", 1.0, "audio/mpeg")
    assert asked.parameters.reference_audio_id == "alba"


def test_the_query_and_the_body_are_read() -> None:
    asked = parsed(
        {"output_format": "pcm_24000", "enable_logging": "false"},
        text="Hi.",
        model_id="eleven_multilingual_v2",
        voice_settings={"stability": 0.5, "speed": 1.1},
        seed=9,
        language_code="en",
        previous_text="Before.",
        apply_text_normalization="auto",
    )
    assert asked.content_type == "audio/pcm"
    assert asked.options.model == "eleven_multilingual_v2"
    assert (asked.parameters.speed, asked.parameters.seed) == (1.1, 9)
    assert asked.parameters.output_format is AudioFormat.PCM


@pytest.mark.parametrize(
    ("body", "error", "named"),
    [
        ({}, InvalidParameter, "text"),
        ({"text": 1}, InvalidParameter, "text"),
        ({"text": "x" * 21}, TextTooLong, "text"),
        ({"text": "x", "model_id": "tts-1"}, ModelNotFound, "model_id"),
        ({"text": "x", "seed": -1}, InvalidParameter, "seed"),
        ({"text": "x", "seed": "0x1"}, InvalidParameter, "seed"),
        ({"text": "x", "voice_settings": {"speed": 4}}, InvalidParameter, "voice_settings.speed"),
        ({"text": "x", "apply_text_normalization": "no"}, InvalidParameter, "normalization"),
        ({"text": "x", "pronunciation_dictionary_locators": [1]}, InvalidParameter, "dictionary"),
    ],
)
def test_a_field_that_is_refused_is_named(
    body: dict[str, Any], error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        parsed(**body)


@pytest.mark.parametrize("body", [b"", b"{", b"[]"])
def test_a_body_that_is_no_object(body: bytes) -> None:
    with pytest.raises(InvalidParameter):
        parse_speech("alba", {}, body, LIMITS)


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("mp3_44100_128", "audio/mpeg"),
        ("opus_48000_64", "audio/ogg"),
        ("pcm_24000", "audio/pcm"),
        ("wav_24000", "audio/wav"),
    ],
)
def test_every_format_has_a_content_type(name: str, content_type: str) -> None:
    asked = parsed({"output_format": name}, text="x")
    assert asked.content_type == content_type


def test_timed_speech() -> None:
    found = timed_speech("c291bmQ=", CharacterSpans("a", (0.0,), 0.5))
    assert base64.b64decode(found["audio_base64"]) == b"sound"
    assert found["alignment"] == found["normalized_alignment"]
    assert found["alignment"]["character_end_times_seconds"] == [0.5]
    assert timed_speech("", None) == {
        "audio_base64": "", "alignment": None, "normalized_alignment": None,
    }  # fmt: skip


def test_voices() -> None:
    alba = voice_object("alba", "Alba", "premade", "female")
    mine = voice_object("id", "Mine", "cloned")
    assert (alba["voice_id"], alba["category"]) == ("alba", "premade")
    assert (alba["labels"], mine["labels"]) == ({"gender": "female"}, {})
    assert voice_list([alba]) == {"voices": [alba]}
    assert voice_page([alba, mine]) == {
        "voices": [alba, mine], "has_more": False, "total_count": 2, "next_page_token": None,
    }  # fmt: skip


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_name(kind: type[TTSError]) -> None:
    ours = {InternalError, InvalidState}  # no client of this dialect can bring about the second
    assert (status_of(kind.code) == INTERNAL) == (kind in ours)
    assert BadFrame.code == "InvalidParameter"


def test_the_body_of_an_answer() -> None:
    assert error_body(NoVoice("no such voice")) == {
        "detail": {"status": "voice_not_found", "message": "no such voice"}
    }


@pytest.mark.parametrize(
    ("code", "status", "number"),
    [
        ("ReferenceAudioNotFound", "voice_not_found", 1008),
        ("TaskTimeout", "input_timeout_exceeded", 1008),
        ("EngineUnavailable", "system_busy", 1011),
        ("InternalError", INTERNAL, 1011),
    ],
)
def test_a_message(code: str, status: str, number: int) -> None:
    assert error_message(code, "why") == {"message": "why", "error": status, "code": number}

"""openapi.yaml says of the ElevenLabs dialect what the code does."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from cosyserve.protocol.elevenlabs.alignment import CharacterSpans
from cosyserve.protocol.elevenlabs.parameters import (
    FORMATS,
    LONGEST_VOICE,
    SPEEDS,
    check_model,
    output_of,
)
from cosyserve.protocol.elevenlabs.rest import (
    error_body,
    parse_speech,
    timed_speech,
    voice_list,
    voice_object,
    voice_page,
)
from cosyserve.protocol.errors import InvalidParameter, ModelNotFound, TTSError
from cosyserve.protocol.text import TextLimits
from support.tools.contracts import error_classes, load, resolve, validate

DOCUMENT = load("openapi.yaml")
SCHEMAS = DOCUMENT["components"]["schemas"]
PARAMETERS = DOCUMENT["components"]["parameters"]
SPEECH = DOCUMENT["paths"]["/v1/text-to-speech/{voice_id}"]["post"]
BODY = resolve(DOCUMENT, SPEECH["requestBody"])["content"]["application/json"]


def answer(path: str) -> Any:
    found = DOCUMENT["paths"][path]["get"]["responses"]["200"]
    return found["content"]["application/json"]["schema"]


@pytest.mark.parametrize("name", BODY["examples"])
def test_the_examples_are_taken(name: str) -> None:
    value = BODY["examples"][name]["value"]
    validate(DOCUMENT, SCHEMAS["ElevenLabsSpeech"], value)
    assert parse_speech("alba", {}, orjson.dumps(value), TextLimits()).text == value["text"]


@pytest.mark.parametrize(
    "name",
    [
        *("mp3_44100", "mp3_44100_128", "mp3_22050_32", "mp3_44100_99", "opus_48000_192"),
        *(
            "opus_48000",
            "pcm_8000",
            "wav_48000",
            "opus_44100_64",
            "pcm_24000_32",
            "ulaw_8000",
            "alaw_16000",
        ),
        *("mp3_11025_32", "mp3_44100_", "mp3_44100_1", "flac_44100", "", "pcm_240000"),
    ],
)
def test_the_formats_are_those_of_the_code(name: str) -> None:
    promised = re.search(PARAMETERS["ElevenLabsOutput"]["schema"]["pattern"], name) is not None
    try:
        output_of(name)
    except InvalidParameter:
        assert not promised
    else:
        assert promised


@pytest.mark.parametrize("name", ["eleven_v3", "eleven_", "cosyvoice-v2", "tts-1", "Eleven_v3"])
def test_the_models_are_those_of_the_code(name: str) -> None:
    pattern = SCHEMAS["ElevenLabsSpeech"]["properties"]["model_id"]["pattern"]
    try:
        check_model(name)
    except ModelNotFound:
        assert not re.search(pattern, name)
    else:
        assert re.search(pattern, name)


def test_limits_are_those_of_the_code() -> None:
    assert PARAMETERS["ElevenLabsVoice"]["schema"]["maxLength"] == LONGEST_VOICE
    settings = SCHEMAS["ElevenLabsSpeech"]["properties"]["voice_settings"]
    speed = settings["properties"]["speed"]
    assert (speed["minimum"], speed["maximum"]) == SPEEDS
    assert set(SPEECH["responses"]["200"]["content"]) == {each.content_type for each in FORMATS}


@pytest.mark.parametrize("error_class", error_classes(), ids=lambda each: each.__name__)
def test_every_error_fits_its_schema(error_class: type[TTSError]) -> None:
    error = error_class.__new__(error_class)
    error.message = "why"
    validate(DOCUMENT, SCHEMAS["ElevenLabsError"], error_body(error))


def test_the_other_bodies_fit_their_schemas() -> None:
    timed = timed_speech("c291bmQ=", CharacterSpans("ab", (0.0, 0.1), 0.2))
    for each in (timed, timed_speech("", None)):
        validate(DOCUMENT, SCHEMAS["ElevenLabsTimedSpeech"], each)
    voices = [
        voice_object("alba", "Alba", "premade", "female"),
        voice_object("id", "Mine", "cloned"),
    ]
    validate(DOCUMENT, answer("/v1/voices"), voice_list(voices))
    validate(DOCUMENT, answer("/v2/voices"), voice_page(voices))
    validate(DOCUMENT, answer("/v1/voices/{voice_id}"), voices[0])

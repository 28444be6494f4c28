"""asyncapi.yaml says of the ElevenLabs dialect what the code does."""

from __future__ import annotations

import re
from typing import Any, Final

import jsonschema
import orjson
import pytest

from cosyserve.protocol.elevenlabs import MultiStreamCodec, StreamCodec, stream_options
from cosyserve.protocol.elevenlabs.parameters import (
    DEFAULT_OUTPUT,
    DEFAULT_TIMEOUT,
    LONGEST_TIMEOUT,
    SPEEDS,
)
from cosyserve.protocol.elevenlabs.rest import status_of
from cosyserve.protocol.elevenlabs.texts import LONGEST_CONTEXT_ID
from cosyserve.protocol.messages import (
    ChunkMetrics,
    ResultGenerated,
    TaskFailed,
    TaskFinished,
    Word,
)
from cosyserve.server.dialects.elevenlabs import ELEVENLABS
from support.tools.contracts import load, resolve, validate

DOCUMENT = load("asyncapi.yaml")
SCHEMAS = DOCUMENT["components"]["schemas"]
CHANNELS: Final = ("elevenlabs-stream", "elevenlabs-multi-stream")
MESSAGES = {
    (channel, name): resolve(DOCUMENT, message)
    for channel in CHANNELS
    for name, message in DOCUMENT["channels"][channel]["messages"].items()
}
EXAMPLES = [
    pytest.param(channel, name, example["payload"], id=f"{channel} {name}: {example['name']}")
    for (channel, name), message in MESSAGES.items()
    for example in message["examples"]
]
SENT = ("audio", "final", "error")


def codec(channel: str) -> StreamCodec | MultiStreamCodec:
    kind = StreamCodec if channel == "elevenlabs-stream" else MultiStreamCodec
    return kind(stream_options("alba", {}))


def fits(name: str, message: dict[str, Any]) -> None:
    """The message fits its own schema and no other one that is sent."""
    for each in SENT:
        schema = resolve(DOCUMENT, MESSAGES["elevenlabs-stream", each]["payload"])
        if each == name:
            validate(DOCUMENT, schema, message)
            assert set(message) <= set(schema["properties"])
        else:
            with pytest.raises(jsonschema.ValidationError):
                validate(DOCUMENT, schema, message)


def test_the_addresses_are_those_of_the_code() -> None:
    addresses = [DOCUMENT["channels"][channel]["address"] for channel in CHANNELS]
    assert addresses == [route.path for route in ELEVENLABS.websockets]
    key = DOCUMENT["components"]["securitySchemes"]["xiApiKey"]
    assert key["name"] == ELEVENLABS.token_header


@pytest.mark.parametrize(("channel", "name", "payload"), EXAMPLES)
def test_the_examples_fit_and_are_taken(channel: str, name: str, payload: dict[str, Any]) -> None:
    if name in SENT:
        fits(name, payload)
        return
    schema = resolve(DOCUMENT, MESSAGES[channel, name]["payload"])
    validate(DOCUMENT, schema, payload)
    wire = codec(channel)
    wire.decode(orjson.dumps({"text": "Hi ", "context_id": payload.get("context_id")}))
    assert wire.decode(orjson.dumps(payload)) is not None


@pytest.mark.parametrize("channel", CHANNELS)
def test_what_is_sent_fits(channel: str) -> None:
    wire = codec(channel)
    command = wire.decode(b'{"text": "Hi?", "context_id": "a b"}')
    assert hasattr(command, "task_id")
    task_id = command.task_id
    metrics = ChunkMetrics(0.5, 0.0, 0.0)
    spoken = ResultGenerated(task_id, "a", b"x", metrics, words=(Word("Hi", 0.1, 0.2, 0, 2),))
    silent = ResultGenerated(task_id, "a", b"x", metrics, begin=0.5)
    failed = TaskFailed(task_id, "InternalError", "internal error")
    for name, event in (
        ("audio", spoken),
        ("audio", silent),
        ("final", TaskFinished(task_id)),
    ):
        for frame in wire.encode(event):
            fits(name, orjson.loads(frame.text))
    wire = codec(channel)
    wire.decode(b'{"text": "Hi?", "context_id": "a b"}')
    for frame in wire.encode(failed):
        fits("error", orjson.loads(frame.text))


def test_every_error_of_a_text_is_listed() -> None:
    """All that a task may fail with, as asyncapi.yaml has it for the server's own channel."""
    codes = SCHEMAS["ErrorCode"]["enum"]
    listed = SCHEMAS["ElevenLabsError"]["properties"]["error"]["enum"]
    assert {status_of(code) for code in codes} == set(listed)


def test_limits_are_those_of_the_code() -> None:
    query = SCHEMAS["ElevenLabsQuery"]["properties"]
    timeout = query["inactivity_timeout"]
    assert (timeout["default"], timeout["maximum"]) == (DEFAULT_TIMEOUT, LONGEST_TIMEOUT)
    assert query["output_format"]["default"] == DEFAULT_OUTPUT
    assert re.fullmatch(query["output_format"]["pattern"], DEFAULT_OUTPUT)
    of_http = load("openapi.yaml")["components"]["parameters"]["ElevenLabsOutput"]["schema"]
    assert query["output_format"]["pattern"] == of_http["pattern"]
    speed = SCHEMAS["ElevenLabsVoiceSettings"]["properties"]["speed"]
    assert (speed["minimum"], speed["maximum"]) == SPEEDS
    context = SCHEMAS["ElevenLabsContext"]["properties"]["context_id"]
    assert context["maxLength"] == LONGEST_CONTEXT_ID

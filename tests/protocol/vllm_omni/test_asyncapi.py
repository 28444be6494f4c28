"""asyncapi.yaml says of the vLLM-Omni dialect what the code does."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from cosyserve.protocol.messages import (
    ChunkMetrics,
    ResultGenerated,
    TaskFailed,
    TaskFinished,
    TaskStarted,
    Word,
)
from cosyserve.protocol.openai import LONGEST_INSTRUCTIONS, LONGEST_VOICE, SAMPLE_RATE, SPEEDS
from cosyserve.protocol.vllm_omni import VllmOmniCodec
from cosyserve.protocol.vllm_omni.codec import TYPES
from cosyserve.protocol.vllm_omni.parameters import DEFAULT_VOICE, FORMATS, TASK_TYPES
from cosyserve.server.dialects.vllm_omni import VLLM_OMNI
from support.tools.contracts import load, resolve, validate

DOCUMENT = load("asyncapi.yaml")
SCHEMAS = DOCUMENT["components"]["schemas"]
CHANNEL = DOCUMENT["channels"]["vllm-omni-stream"]
MESSAGES = {name: resolve(DOCUMENT, each) for name, each in CHANNEL["messages"].items()}
BY_TYPE = {
    resolve(DOCUMENT, each["payload"])["properties"]["type"]["const"]: resolve(
        DOCUMENT, each["payload"]
    )
    for each in MESSAGES.values()
    if "properties" in resolve(DOCUMENT, each["payload"])
}
EXAMPLES = [
    pytest.param(example["payload"], id=f"{name}: {example['name']}")
    for name, message in MESSAGES.items()
    for example in message.get("examples", ())
]
METRICS = ChunkMetrics(0.5, 0.0, 0.0)


def fits(message: dict[str, Any]) -> None:
    schema = BY_TYPE[message["type"]]
    validate(DOCUMENT, schema, message)
    assert set(message) <= set(schema["properties"])


def test_the_address_and_the_messages_are_those_of_the_code() -> None:
    assert [CHANNEL["address"]] == [route.path for route in VLLM_OMNI.websockets]
    assert {*TYPES} < {*BY_TYPE}


@pytest.mark.parametrize("payload", EXAMPLES)
def test_the_examples_fit_and_are_taken(payload: dict[str, Any]) -> None:
    fits(payload)
    if payload["type"] in TYPES:
        codec = VllmOmniCodec()
        codec.decode(b'{"type": "session.config"}')
        codec.decode(orjson.dumps(payload))


@pytest.mark.parametrize("more", [{}, {"response_format": "pcm", "word_timestamps": True}])
@pytest.mark.parametrize("sounds", [0, 2])
@pytest.mark.parametrize("fails", [False, True])
def test_what_is_sent_fits(more: dict[str, Any], sounds: int, fails: bool) -> None:
    codec = VllmOmniCodec()
    codec.decode(orjson.dumps({"type": "session.config", **more}))
    command = codec.decode(b'{"type": "input.text", "text": "Hi."}')
    assert hasattr(command, "task_id")
    task_id = command.task_id
    assert codec.encode(TaskStarted(task_id)) == ()
    word = Word("Hi", 0.1, 0.2, 0, 2)
    events = [ResultGenerated(task_id, "a", b"xy", METRICS, words=(word,)) for _ in range(sounds)]
    end = TaskFailed(task_id, "InternalError", "no") if fails else TaskFinished(task_id)
    frames = [frame for event in (*events, end) for frame in codec.encode(event)]
    sent = [orjson.loads(frame.text) for frame in frames if frame.text]
    for message in sent:
        fits(message)
    kinds = [each["type"] for each in sent]
    assert kinds[0] == "audio.start"
    assert kinds[-2:] == ["audio.done", "session.done"]
    assert kinds.count("audio.start") == 1
    assert sent[-2] == {
        "type": "audio.done",
        "utterance_index": 0,
        "sentence_index": 0,
        "total_bytes": 2 * sounds,
        "error": fails,
    }
    if not more:
        assert b"".join(frame.attachment or b"" for frame in frames) == b"xy" * sounds


def test_limits_are_those_of_the_code() -> None:
    config = SCHEMAS["VllmOmniConfig"]["properties"]
    assert (config["speed"]["minimum"], config["speed"]["maximum"]) == SPEEDS
    assert config["voice"]["maxLength"] == LONGEST_VOICE
    assert config["voice"]["default"] == DEFAULT_VOICE
    assert config["instructions"]["maxLength"] == LONGEST_INSTRUCTIONS
    assert {*config["response_format"]["enum"]} == {*FORMATS, None}
    assert {*config["task_type"]["enum"]} == {*TASK_TYPES, None}
    assert SCHEMAS["VllmOmniAudioStart"]["properties"]["sample_rate"]["const"] == SAMPLE_RATE

"""asyncapi.yaml says of DashScope's realtime dialect what the code does."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
import pytest

from cosyserve.protocol.codec import Frame
from cosyserve.protocol.dashscope_realtime import RealtimeCodec
from cosyserve.protocol.dashscope_realtime.codec import TYPES
from cosyserve.protocol.dashscope_realtime.parameters import (
    DEFAULT_RATE,
    DEFAULT_VOICE,
    FORMATS,
    MODES,
)
from cosyserve.protocol.messages import (
    ChunkMetrics,
    EndSession,
    Reply,
    ResultGenerated,
    RunTask,
    Several,
    TaskFailed,
    TaskFinished,
    TaskStarted,
)
from cosyserve.protocol.openai import LONGEST_INSTRUCTIONS, LONGEST_VOICE
from cosyserve.protocol.parameters import SAMPLE_RATES
from cosyserve.protocol.text import TextLimits
from cosyserve.server.dialects.dashscope_realtime import DASHSCOPE_REALTIME
from support.tools.contracts import load, resolve, validate

DOCUMENT = load("asyncapi.yaml")
CHANNEL = DOCUMENT["channels"]["dashscope-realtime"]
MESSAGES = {name: resolve(DOCUMENT, each) for name, each in CHANNEL["messages"].items()}
SCHEMAS = [resolve(DOCUMENT, each["payload"]) for each in MESSAGES.values()]


def types_of(schema: dict[str, Any]) -> list[str]:
    kind = schema["properties"]["type"]
    return kind.get("enum", [kind.get("const")])


BY_TYPE = {kind: schema for schema in SCHEMAS for kind in types_of(schema)}
EXAMPLES = [
    pytest.param(example["payload"], id=f"{name}: {example['name']}")
    for name, message in MESSAGES.items()
    for example in message.get("examples", ())
]


def codec() -> RealtimeCodec:
    return RealtimeCodec("qwen3-tts-flash-realtime", TextLimits(), lambda: str(uuid.uuid4()))


def fits(message: dict[str, Any]) -> None:
    schema = BY_TYPE[message["type"]]
    validate(DOCUMENT, schema, message)
    assert set(message) <= set(schema["properties"])


def sent(frame: Frame | bytes) -> dict[str, Any]:
    message: dict[str, Any] = orjson.loads(frame.text if isinstance(frame, Frame) else frame)
    fits(message)
    return message


def test_the_address_and_the_messages_are_those_of_the_code() -> None:
    assert [CHANNEL["address"]] == [route.path for route in DASHSCOPE_REALTIME.websockets]
    assert {*TYPES} < {*BY_TYPE}


@pytest.mark.parametrize("payload", EXAMPLES)
def test_the_examples_fit_and_are_taken(payload: dict[str, Any]) -> None:
    fits(payload)
    if payload["type"] in TYPES:
        codec().decode(orjson.dumps(payload))


def test_what_answers_a_client_fits() -> None:
    used = codec()
    assert sent(used.greeting)["type"] == "session.created"
    seen = set()
    for message in (
        {"type": "session.update", "session": {"mode": "commit"}},
        {"type": "input_text_buffer.clear"},
        {"type": "input_text_buffer.append", "text": "a"},
        {"type": "input_text_buffer.commit"},
        {"type": "session.finish"},
    ):
        command = used.decode(orjson.dumps(message))
        for each in command.commands if isinstance(command, Several) else (command,):
            if isinstance(each, Reply):
                seen.add(sent(each.text)["type"])
            elif isinstance(each, EndSession):
                seen.add(sent(each.farewell)["type"])
    assert seen == {
        "session.updated",
        "session.finished",
        "input_text_buffer.cleared",
        "input_text_buffer.committed",
    }


@pytest.mark.parametrize("starts", [False, True])
@pytest.mark.parametrize("end", ["stop", "cancelled", "failed"])
def test_the_events_of_a_response_fit(starts: bool, end: str) -> None:
    used = codec()
    command = used.decode(b'{"type": "input_text_buffer.append", "text": "Hi."}')
    assert isinstance(command, RunTask)
    task_id = command.task_id
    sound = ResultGenerated(task_id, "a", b"xy", ChunkMetrics(0.5, 0.0, 0.0))
    last = (
        TaskFailed(task_id, "InternalError", "no")
        if end == "failed"
        else TaskFinished(task_id, "stop" if end == "stop" else "cancelled", 3)
    )
    events = [TaskStarted(task_id), sound, last] if starts else [last]
    got = [sent(frame) for event in events for frame in used.encode(event)]
    kinds = [each["type"] for each in got]
    assert kinds[:3] == [
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds.count("response.created") == kinds.count("response.done") == 1
    assert kinds.count("response.audio.delta") == int(starts)
    assert ("error" in kinds) == (end == "failed")
    status = {"stop": "completed"}.get(end, end)
    assert got[-1]["response"]["status"] == status


def test_limits_are_those_of_the_code() -> None:
    session = DOCUMENT["components"]["schemas"]["RealtimeConfig"]["properties"]
    assert {*session["mode"]["enum"]} == {*MODES, None}
    assert {*session["response_format"]["enum"]} == {*FORMATS, None}
    assert {*session["sample_rate"]["enum"]} == {*SAMPLE_RATES, None}
    assert session["sample_rate"]["default"] == DEFAULT_RATE
    assert session["voice"]["default"] == DEFAULT_VOICE
    assert session["voice"]["maxLength"] == LONGEST_VOICE
    assert session["instructions"]["maxLength"] == LONGEST_INSTRUCTIONS

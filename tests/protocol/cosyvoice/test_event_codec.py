"""Events: their exact shape, and what a client makes of a server's frames."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
import pytest
from hypothesis import given

from cosyserve.protocol.codec import Frame
from cosyserve.protocol.cosyvoice.codec import decode_event, encode_event
from cosyserve.protocol.errors import BadFrame, InvalidParameter, TTSError
from cosyserve.protocol.messages import (
    ChunkMetrics,
    EffectiveAudio,
    Event,
    ResultGenerated,
    StageTimes,
    TaskFailed,
    TaskFinished,
    TaskMetrics,
    TaskStarted,
)
from support.tools.protocol_examples import METRICS, events, json_values


def wire(event: Event) -> Any:
    return orjson.loads(encode_event(event).text)


def event(name: object, payload: object = None, **header: object) -> bytes:
    return orjson.dumps(
        {"header": {"task_id": "t", "event": name, **header}, "payload": payload or {}}
    )


@given(events)
def test_what_is_encoded_decodes_to_the_same(event: Event) -> None:
    frame = encode_event(event)
    decoded = decode_event(frame.text)
    if frame.attachment is not None:
        assert isinstance(decoded, ResultGenerated)
        assert decoded.data == b""
        decoded = dataclasses.replace(decoded, data=frame.attachment)
    assert decoded == event


@given(json_values)
def test_arbitrary_json_raises_nothing_but_tts_errors(value: object) -> None:
    try:
        data = orjson.dumps({"header": value, "payload": value})
    except TypeError:
        data = b""
    with pytest.raises(TTSError):
        decode_event(data)


def test_the_shape_of_task_started() -> None:
    assert wire(TaskStarted("t")) == {
        "header": {"task_id": "t", "event": "task-started", "attributes": {}},
        "payload": {},
    }


def test_the_shape_of_result_generated() -> None:
    assert wire(ResultGenerated("t", "a", b"\0\1\2", METRICS)) == {
        "header": {"task_id": "t", "event": "result-generated", "attributes": {}},
        "payload": {
            "output": {"finish_reason": None, "audio": {"id": "a", "data": "AAEC"}},
            "metrics": {"speech_len": 0.2, "server_cost_time": 0.01, "generate_time": 0.005},
        },
    }


def test_the_effective_audio_stands_beside_the_data() -> None:
    lossy = ResultGenerated("t", "a", b"", METRICS, EffectiveAudio("mp3", 24000, "160k"))
    assert wire(lossy)["payload"]["output"]["audio"] == {
        "id": "a",
        "data": "",
        "format": "mp3",
        "sample_rate": 24000,
        "bit_rate": "160k",
    }
    lossless = ResultGenerated("t", "a", b"", METRICS, EffectiveAudio("wav", 8000))
    assert "bit_rate" not in wire(lossless)["payload"]["output"]["audio"]


def test_stage_times_are_flat_metrics() -> None:
    metrics = ChunkMetrics(0.2, 0.01, 0.005, StageTimes(1, 2, 3, 4, 5, 6))
    assert wire(ResultGenerated("t", "a", b"", metrics))["payload"]["metrics"] == {
        "speech_len": 0.2,
        "server_cost_time": 0.01,
        "generate_time": 0.005,
        "queue_time": 1,
        "lm_time": 2,
        "flow_time": 3,
        "vocoder_time": 4,
        "encode_time": 5,
        "tokens": 6,
    }


@pytest.mark.parametrize("data", [b"\0\1", b""])
def test_binary_audio_is_attached_and_the_event_has_no_data(data: bytes) -> None:
    frame = encode_event(ResultGenerated("t", "a", data, METRICS, binary=True))
    assert frame.attachment == data
    assert orjson.loads(frame.text)["payload"]["output"]["audio"] == {"id": "a"}
    decoded = decode_event(frame.text)
    assert isinstance(decoded, ResultGenerated)
    assert decoded.binary
    assert decoded.data == b""


def test_the_shape_of_task_finished() -> None:
    finished = TaskFinished("t", "cancelled", 12, TaskMetrics(2.0, 0.1, 0.5))
    assert wire(finished) == {
        "header": {"task_id": "t", "event": "task-finished", "attributes": {}},
        "payload": {
            "output": {"finish_reason": "cancelled"},
            "usage": {"characters": 12},
            "metrics": {"speech_len": 2.0, "first_package_time": 0.1, "rtf": 0.5},
        },
    }


def test_the_shape_of_task_failed() -> None:
    assert wire(TaskFailed("t", "Throttled", "later")) == {
        "header": {
            "task_id": "t",
            "event": "task-failed",
            "error_code": "Throttled",
            "error_message": "later",
            "attributes": {},
        },
        "payload": {},
    }


def test_what_other_servers_leave_out_of_the_last_event_is_nothing() -> None:
    assert decode_event(event("task-finished")) == TaskFinished("t")
    assert decode_event(event("task-failed", error_code="X")) == TaskFailed("t", "X", "")


AUDIO = {"output": {"audio": {"data": "AAEC"}}}
COST = {"speech_len": 1, "server_cost_time": 1, "generate_time": 1}


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"[]", "message"),
        (b"{}", "header"),
        (event("sing"), "header.event"),
        (event(None), "header.event"),
        (event("task-started", task_id=1), "header.task_id"),
        (event("task-failed"), "header.error_code"),
        (event("result-generated"), "payload.output"),
        (event("result-generated", {"output": {}}), "payload.output.audio"),
        (event("result-generated", AUDIO), "payload.metrics"),
        (event("result-generated", {**AUDIO, "metrics": {}}), "payload.metrics.speech_len"),
        (
            event("result-generated", {**AUDIO, "metrics": {**COST, "generate_time": True}}),
            "payload.metrics.generate_time",
        ),
        (
            event("result-generated", {"output": {"audio": {"data": "AAE*C"}}, "metrics": COST}),
            "payload.output.audio.data",
        ),
        (
            event("result-generated", {"output": {"audio": {"data": "é"}}, "metrics": COST}),
            "payload.output.audio.data",
        ),
        (
            event("result-generated", {"output": {"audio": {"format": "mp3"}}, "metrics": COST}),
            "payload.output.audio.sample_rate",
        ),
        (event("task-finished", {"output": {"finish_reason": "x"}}), "payload.output.finish"),
        (event("task-finished", {"usage": {"characters": 1.5}}), "payload.usage.characters"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_wrong_field_is_named(data: bytes, field: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        decode_event(data)
    assert caught.value.message.startswith(field)


def test_what_is_not_json_is_a_bad_frame() -> None:
    with pytest.raises(BadFrame):
        decode_event(b"\xff")


def test_frames_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Frame(b"").text = b"x"  # type: ignore[misc]

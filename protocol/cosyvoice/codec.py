"""The wire of `/api-ws/v1/audio/speech`: JSON messages with `header` and `payload`, for both sides.

Decoding checks every field, so that the result can be trusted. It ignores unknown fields and treats
null as absent. Whatever the peer sends, decoding raises nothing but TTSError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, Final, assert_never

import orjson
import pybase64

from ..codec import LONGEST_TASK_ID, TASK_ID, Frame
from ..errors import TTSError
from ..fields import JsonObject, json_object, number, optional, refusal, required
from ..messages import (
    CancelTask,
    ChunkMetrics,
    Command,
    ContinueTask,
    EffectiveAudio,
    Event,
    FinishReason,
    FinishTask,
    Heard,
    Mark,
    QuotaLeft,
    ResultGenerated,
    RunTask,
    StageTimes,
    TaskCommand,
    TaskFailed,
    TaskFinished,
    TaskMetrics,
    TaskStarted,
    TraceContext,
    Word,
)
from ..parameters import SpeechParameters, check_model, parse_parameters

EVENTS: Final = ("task-started", "result-generated", "task-finished", "task-failed")


def encode_event(event: Event) -> Frame:
    """The text frame of an event, and the binary frame of its audio where it goes as one."""
    match event:
        case TaskStarted():
            quota = _quota_fields(event.quota)
            return event_frame(event.task_id, "task-started", {"usage": quota} if quota else {})
        case ResultGenerated():
            return event_frame(
                event.task_id,
                "result-generated",
                _result_payload(event),
                attachment=event.data if event.binary else None,
            )
        case TaskFinished():
            output: JsonObject = {"finish_reason": event.finish_reason}
            output |= spoken_output(notices=event.notices)
            if event.heard is not None:
                output["heard"] = _heard_object(event.heard)
            payload = {
                "output": output,
                "usage": {"characters": event.characters, **_quota_fields(event.quota)},
                "metrics": asdict(event.metrics),
            }
            return event_frame(event.task_id, "task-finished", payload)
        case TaskFailed():
            error = error_fields(event.error_code, event.error_message)
            return event_frame(event.task_id, "task-failed", {}, error)
        case _:
            assert_never(event)


def decode_event(data: bytes | str) -> Event:
    """Read a server's text frame (the client's side).

    A result-generated without `data` has `binary` set and empty `data`: the bytes are the next
    binary frame. Totals that a server leaves out of task-finished are 0.

    Raises BadFrame if it is not JSON, InvalidParameter if a field is wrong.
    """
    message = json_object(data)
    header = required(message, "header", dict)
    task_id = required(header, "task_id", str, "header")
    event = required(header, "event", str, "header")
    payload = optional(message, "payload", dict) or {}
    match event:
        case "task-started":
            usage = optional(payload, "usage", dict, "payload") or {}
            return TaskStarted(task_id, _quota_left(usage))
        case "result-generated":
            return _result(task_id, payload)
        case "task-finished":
            return _finished(task_id, payload)
        case "task-failed":
            code = required(header, "error_code", str, "header")
            text = optional(header, "error_message", str, "header") or ""
            return TaskFailed(task_id, code, text)
        case _:
            raise refusal("header.event", event, ", ".join(EVENTS))


def event_frame(
    task_id: str,
    event: str,
    payload: JsonObject,
    error: JsonObject | None = None,
    *,
    attributes: JsonObject | None = None,
    attachment: bytes | None = None,
) -> Frame:
    """The frame of an event. error: the header's fields for an error; attributes: the header's own."""
    header = {"task_id": task_id, "event": event, **(error or {}), "attributes": attributes or {}}
    return Frame(orjson.dumps({"header": header, "payload": payload}), attachment)


def error_fields(code: str, message: str) -> JsonObject:
    """The header's fields for an error."""
    return {"error_code": code, "error_message": message}


def _result_payload(event: ResultGenerated) -> JsonObject:
    audio: JsonObject = {"id": event.audio_id}
    if not event.binary:
        audio["data"] = pybase64.b64encode_as_string(event.data)
    if event.audio is not None:
        audio |= {name: value for name, value in asdict(event.audio).items() if value is not None}
    cost = event.metrics
    metrics: dict[str, Any] = {
        "speech_len": cost.speech_len,
        "server_cost_time": cost.server_cost_time,
        "generate_time": cost.generate_time,
    }
    if cost.stages is not None:
        metrics |= asdict(cost.stages)
    output: JsonObject = {"finish_reason": None, "audio": audio}
    output |= spoken_output(event.words, event.marks)
    return {"output": output, "metrics": metrics}


def spoken_output(
    words: Sequence[Word] = (), marks: Sequence[Mark] = (), notices: Sequence[str] = ()
) -> JsonObject:
    """The fields of an output that report these; empty ones are left out."""
    fields: JsonObject = {
        "words": [word_object(word) for word in words],
        "marks": [{"name": mark.name, "time": milliseconds(mark.at)} for mark in marks],
        "notices": list(notices),
    }
    return {name: value for name, value in fields.items() if value}


def word_object(word: Word) -> JsonObject:
    """A word as clients see it: milliseconds of the speech, code points of the text."""
    return {
        "text": word.text,
        "begin_time": milliseconds(word.begin),
        "end_time": milliseconds(word.end),
        "begin_index": word.text_begin,
        "end_index": word.text_end,
    }


def _heard_object(heard: Heard) -> JsonObject:
    return {
        "played_ms": milliseconds(heard.played),
        "end_index": heard.text_end,
        "estimated": heard.estimated,
    }


def _quota_fields(quota: QuotaLeft | None) -> JsonObject:
    """The fields of usage that tell what is left; without a quota none."""
    if quota is None:
        return {}
    left: JsonObject = {"characters_left": quota.characters, "seconds_left": quota.seconds}
    told = {name: value for name, value in left.items() if value is not None}
    return {"quota": {**told, "resets_in": quota.resets_in}}


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _parameters_object(parameters: SpeechParameters) -> JsonObject:
    unused = set() if parameters.pronunciations else {"pronunciations"}
    return parameters.model_dump(mode="json", exclude_none=True, exclude=unused)


def _result(task_id: str, payload: JsonObject) -> ResultGenerated:
    where = "payload.output.audio"
    output = required(payload, "output", dict, "payload")
    audio = required(output, "audio", dict, "payload.output")
    data = optional(audio, "data", str, where)
    return ResultGenerated(
        task_id,
        audio_id=optional(audio, "id", str, where) or "",
        data=b"" if data is None else _bytes(data, f"{where}.data"),
        metrics=_chunk_metrics(required(payload, "metrics", dict, "payload")),
        audio=_effective(audio, where),
        binary=data is None,
        words=tuple(_word(word) for word in _objects(output, "words")),
        marks=tuple(_mark(mark) for mark in _objects(output, "marks")),
    )


def _objects(output: JsonObject, name: str) -> list[JsonObject]:
    where, given = f"payload.output.{name}", output.get(name)
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise refusal(where, given, "an array of objects")
    return given


def _word(word: JsonObject) -> Word:
    where = "payload.output.words"
    return Word(
        required(word, "text", str, where),
        number(word, "begin_time", where) / 1000,
        number(word, "end_time", where) / 1000,
        required(word, "begin_index", int, where),
        required(word, "end_index", int, where),
    )


def _mark(mark: JsonObject) -> Mark:
    where = "payload.output.marks"
    return Mark(required(mark, "name", str, where), number(mark, "time", where) / 1000)


def _bytes(data: str, where: str) -> bytes:
    try:
        return pybase64.b64decode(data, validate=True)
    except ValueError:
        raise refusal(where, data, "base64") from None


def _chunk_metrics(metrics: JsonObject) -> ChunkMetrics:
    where = "payload.metrics"
    stages = None
    if "queue_time" in metrics:
        stages = StageTimes(
            queue_time=number(metrics, "queue_time", where, 0.0),
            lm_time=number(metrics, "lm_time", where, 0.0),
            flow_time=number(metrics, "flow_time", where, 0.0),
            vocoder_time=number(metrics, "vocoder_time", where, 0.0),
            encode_time=number(metrics, "encode_time", where, 0.0),
            tokens=optional(metrics, "tokens", int, where) or 0,
        )
    return ChunkMetrics(
        speech_len=number(metrics, "speech_len", where),
        server_cost_time=number(metrics, "server_cost_time", where),
        generate_time=number(metrics, "generate_time", where),
        stages=stages,
    )


def _effective(audio: JsonObject, where: str) -> EffectiveAudio | None:
    name = optional(audio, "format", str, where)
    if name is None:
        return None
    return EffectiveAudio(
        name,
        required(audio, "sample_rate", int, where),
        optional(audio, "bit_rate", str, where),
    )


def _finished(task_id: str, payload: JsonObject) -> TaskFinished:
    output = optional(payload, "output", dict, "payload") or {}
    usage = optional(payload, "usage", dict, "payload") or {}
    metrics = optional(payload, "metrics", dict, "payload") or {}
    where = "payload.metrics"
    match optional(output, "finish_reason", str, "payload.output"):
        case None | "stop":
            reason: FinishReason = "stop"
        case "cancelled":
            reason = "cancelled"
        case other:
            raise refusal("payload.output.finish_reason", other, "stop, cancelled")
    return TaskFinished(
        task_id,
        reason,
        characters=optional(usage, "characters", int, "payload.usage") or 0,
        metrics=TaskMetrics(
            speech_len=number(metrics, "speech_len", where, 0.0),
            first_package_time=number(metrics, "first_package_time", where, 0.0),
            rtf=number(metrics, "rtf", where, 0.0),
        ),
        notices=_notices(output),
        heard=_heard(optional(output, "heard", dict, "payload.output")),
        quota=_quota_left(usage),
    )


def _quota_left(usage: JsonObject) -> QuotaLeft | None:
    quota, where = optional(usage, "quota", dict, "payload.usage"), "payload.usage.quota"
    if quota is None:
        return None
    return QuotaLeft(
        optional(quota, "characters_left", int, where),
        None if quota.get("seconds_left") is None else number(quota, "seconds_left", where),
        required(quota, "resets_in", int, where),
    )


def _heard(heard: JsonObject | None) -> Heard | None:
    where = "payload.output.heard"
    if heard is None:
        return None
    return Heard(
        number(heard, "played_ms", where) / 1000,
        required(heard, "end_index", int, where),
        required(heard, "estimated", bool, where),
    )


def _notices(output: JsonObject) -> tuple[str, ...]:
    given = output.get("notices") or []
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise refusal("payload.output.notices", given, "an array of strings")
    return tuple(given)


ACTIONS: Final = ("run-task", "continue-task", "finish-task", "cancel-task")

TEXT_PATH: Final = ("payload", "input", "text")
"""Where a message holds its piece of the text."""

_INPUT: Final = "payload.input"


def decode_command(data: bytes | str) -> TaskCommand:
    """Read a client's text frame.

    The text may hold halves of surrogate pairs: see `surrogates.join`. Raises as `read_command` does.
    """
    return read_command(data, _command)


def read_command(
    data: bytes | str, command: Callable[[str, str, JsonObject], TaskCommand]
) -> TaskCommand:
    """Read a text frame with `header` and `payload`. command: makes it of action, task_id and message.

    Raises BadFrame if it is not JSON, InvalidParameter or ModelNotFound if a field is wrong. Those
    two carry the task_id as far as one could be read: an invalid string is given back as it is,
    one that is too long is cut with an ellipsis, so that it is never taken for another task's.
    """
    message = json_object(data, TEXT_PATH)
    header = required(message, "header", dict)
    try:
        action = required(header, "action", str, "header")
        task_id = required(header, "task_id", str, "header")
        if TASK_ID.fullmatch(task_id) is None:
            allowed = f"1 to {LONGEST_TASK_ID} characters of A-Z a-z 0-9 _ -"
            raise refusal("header.task_id", task_id, allowed)
        found = command(action, task_id, message)
        return replace(found, trace=_trace(header)) if isinstance(found, RunTask) else found
    except TTSError as error:
        given = header.get("task_id")
        readable = _echo(given) if isinstance(given, str) else None
        raise error.for_task(readable, starting=header.get("action") == "run-task") from None


def encode_command(command: TaskCommand) -> bytes:
    """The text frame of a command (the client's side)."""
    payload: JsonObject
    match command:
        case RunTask():
            action = "run-task"
            payload = {
                "task_group": "audio",
                "task": "tts",
                "function": "SpeechSynthesizer",
                "model": command.model,
                "parameters": _parameters_object(command.parameters),
                "input": {"text": command.text} if command.text else {},
            }
        case ContinueTask():
            given: JsonObject = {"text": command.text} | ({"flush": True} if command.flush else {})
            action, payload = "continue-task", {"input": given}
        case FinishTask():
            action = "finish-task"
            payload = {"input": {"text": command.text} if command.text else {}}
        case CancelTask():
            played = command.played
            heard = {} if played is None else {"played_ms": milliseconds(played)}
            action, payload = "cancel-task", {"input": heard}
        case _:
            assert_never(command)
    header: JsonObject = {"action": action, "task_id": command.task_id, "streaming": "duplex"}
    if isinstance(command, RunTask) and (trace := command.trace) is not None:
        state = {"tracestate": trace.state} if trace.state else {}
        header["attributes"] = {"traceparent": trace.parent, **state}
    return orjson.dumps({"header": header, "payload": payload})


def _trace(header: JsonObject) -> TraceContext | None:
    """What the header's attributes say of a trace; whatever is not as it should be is ignored."""
    attributes = header.get("attributes")
    given = attributes if isinstance(attributes, dict) else {}
    parent, state = given.get("traceparent"), given.get("tracestate")
    if not isinstance(parent, str):
        return None
    return TraceContext(parent, state if isinstance(state, str) else "")


def _echo(task_id: str) -> str:
    return task_id if len(task_id) <= LONGEST_TASK_ID else task_id[: LONGEST_TASK_ID - 3] + "..."


def _command(action: str, task_id: str, message: JsonObject) -> TaskCommand:
    optional(message["header"], "streaming", str, "header")
    match action:
        case "run-task":
            return _run_task(task_id, required(message, "payload", dict))
        case "continue-task":
            payload = required(message, "payload", dict)
            given = required(payload, "input", dict, "payload")
            flush = optional(given, "flush", bool, _INPUT) or False
            text = (optional if flush else required)(given, "text", str, _INPUT)
            return ContinueTask(task_id, text or "", flush)
        case "finish-task":
            return FinishTask(task_id, _optional_text(optional(message, "payload", dict) or {}))
        case "cancel-task":
            return CancelTask(task_id, _played(optional(message, "payload", dict) or {}))
        case _:
            raise refusal("header.action", action, ", ".join(ACTIONS))


def _run_task(task_id: str, payload: JsonObject) -> RunTask:
    for name in ("task_group", "task", "function"):
        optional(payload, name, str, "payload")
    model = check_model(required(payload, "model", str, "payload"), "payload.model")
    parameters = parse_parameters(payload.get("parameters"), "payload.parameters")
    return RunTask(task_id, model, parameters, _optional_text(payload))


def _played(payload: JsonObject) -> float | None:
    given = optional(payload, "input", dict, "payload") or {}
    if given.get("played_ms") is None:
        return None
    played = number(given, "played_ms", _INPUT)
    if played < 0:
        raise refusal(f"{_INPUT}.played_ms", given["played_ms"], "milliseconds, 0 or more")
    return played / 1000


def _optional_text(payload: JsonObject) -> str:
    return optional(optional(payload, "input", dict, "payload") or {}, "text", str, _INPUT) or ""


class CosyVoiceCodec:
    """The wire of this server's own API."""

    def decode(self, data: bytes | str) -> Command:
        return decode_command(data)

    def encode(self, event: Event) -> tuple[Frame, ...]:
        return (encode_event(event),)

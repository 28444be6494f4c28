"""Commands to and from the wire: what a client sends on `/api-ws/v1/audio/speech`."""

from __future__ import annotations

import re
from typing import Final, assert_never

import orjson

from ..errors import TTSError
from ..fields import JsonObject, json_object, optional, refusal, required
from ..messages import CancelTask, ContinueTask, FinishTask, RunTask, TaskCommand
from ..parameters import check_model, parse_parameters

LONGEST_TASK_ID: Final = 64
TASK_ID: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_TASK_ID}}}")
ACTIONS: Final = ("run-task", "continue-task", "finish-task", "cancel-task")

TEXT_PATH: Final = ("payload", "input", "text")
"""Where a message has its piece of the text, in this API and in those made after it."""

_INPUT: Final = "payload.input"


def decode_command(data: bytes | str) -> TaskCommand:
    """Read a client's text frame.

    Raises BadFrame if it is not JSON, InvalidParameter or ModelNotFound if a field is wrong. Those
    two carry the `task_id` as far as one could be read: an invalid string is given back as it is,
    one that is too long is cut with an ellipsis, so that it is never taken for another task's.
    The text may have halves of surrogate pairs in it: see `surrogates.join`.
    """
    message = json_object(data, TEXT_PATH)
    header = required(message, "header", dict)
    task_id, action = header.get("task_id"), header.get("action")
    try:
        return _command(message, header)
    except TTSError as error:
        readable = _echo(task_id) if isinstance(task_id, str) else None
        raise error.for_task(readable, starting=action == "run-task") from None


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
                "parameters": command.parameters.model_dump(mode="json", exclude_none=True),
                "input": {"text": command.text} if command.text else {},
            }
        case ContinueTask():
            given: JsonObject = {"text": command.text} | ({"flush": True} if command.flush else {})
            action, payload = "continue-task", {"input": given}
        case FinishTask():
            action = "finish-task"
            payload = {"input": {"text": command.text} if command.text else {}}
        case CancelTask():
            action, payload = "cancel-task", {"input": {}}
        case _:
            assert_never(command)
    header = {"action": action, "task_id": command.task_id, "streaming": "duplex"}
    return orjson.dumps({"header": header, "payload": payload})


def _echo(task_id: str) -> str:
    return task_id if len(task_id) <= LONGEST_TASK_ID else task_id[: LONGEST_TASK_ID - 3] + "..."


def _command(message: JsonObject, header: JsonObject) -> TaskCommand:
    action = required(header, "action", str, "header")
    task_id = required(header, "task_id", str, "header")
    if TASK_ID.fullmatch(task_id) is None:
        allowed = f"1 to {LONGEST_TASK_ID} characters of A-Z a-z 0-9 _ -"
        raise refusal("header.task_id", task_id, allowed)
    optional(header, "streaming", str, "header")
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
            optional(message, "payload", dict)
            return CancelTask(task_id)
        case _:
            raise refusal("header.action", action, ", ".join(ACTIONS))


def _run_task(task_id: str, payload: JsonObject) -> RunTask:
    for name in ("task_group", "task", "function"):
        optional(payload, name, str, "payload")
    model = check_model(required(payload, "model", str, "payload"), "payload.model")
    parameters = parse_parameters(payload.get("parameters"), "payload.parameters")
    return RunTask(task_id, model, parameters, _optional_text(payload))


def _optional_text(payload: JsonObject) -> str:
    return optional(optional(payload, "input", dict, "payload") or {}, "text", str, _INPUT) or ""

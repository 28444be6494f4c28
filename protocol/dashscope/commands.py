"""What a client of this dialect sends."""

from __future__ import annotations

from typing import Final

from ..cosyvoice.codec import TASK_ID, TEXT_PATH
from ..errors import TTSError
from ..fields import JsonObject, json_object, optional, refusal, required
from ..messages import CancelTask, ContinueTask, FinishTask, RunTask, TaskCommand
from .parameters import WHERE, check_model, speech_parameters

ACTIONS: Final = ("run-task", "continue-task", "finish-task")
_INPUT: Final = "payload.input"


def decode_command(data: bytes | str) -> TaskCommand:
    """Read a client's text frame.

    Raises BadFrame if it is not JSON, InvalidParameter or ModelNotFound if a field is wrong, with the
    task_id as far as one could be read. The text is as the client wrote it: see `surrogates.join`.
    """
    message = json_object(data, TEXT_PATH)
    header = required(message, "header", dict)
    task_id = header.get("task_id")
    action = header.get("action")
    try:
        return _command(message, header)
    except TTSError as error:
        readable = task_id[:64] if isinstance(task_id, str) else None
        raise error.for_task(readable, starting=action == "run-task") from None


def _command(message: JsonObject, header: JsonObject) -> TaskCommand:
    action = required(header, "action", str, "header")
    task_id = required(header, "task_id", str, "header")
    if TASK_ID.fullmatch(task_id) is None:
        raise refusal("header.task_id", task_id, "1 to 64 characters of A-Z a-z 0-9 _ -")
    payload = optional(message, "payload", dict) or {}
    given = optional(payload, "input", dict, "payload") or {}
    match action:
        case "run-task":
            model = check_model(required(payload, "model", str, "payload"))
            parameters = optional(payload, "parameters", dict, "payload")
            if parameters is None:
                raise refusal(WHERE, None, "an object with a voice at least")
            return RunTask(task_id, model, speech_parameters(parameters), _text(given))
        case "continue-task":
            flush = bool(optional(given, "flush", bool, _INPUT))
            if not flush:
                required(given, "text", str, _INPUT)
            return ContinueTask(task_id, _text(given), flush)
        case "finish-task":
            return _finish(task_id, given)
        case _:
            raise refusal("header.action", action, ", ".join(ACTIONS))


def _finish(task_id: str, given: JsonObject) -> TaskCommand:
    directive = optional(given, "directive", str, _INPUT)
    if directive == "cancel":
        return CancelTask(task_id)
    if directive is not None:
        raise refusal(f"{_INPUT}.directive", directive, "cancel, or none")
    return FinishTask(task_id, _text(given))


def _text(given: JsonObject) -> str:
    return optional(given, "text", str, _INPUT) or ""

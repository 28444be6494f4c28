"""The wire of `/api-ws/v1/inference`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from ..codec import Frame
from ..cosyvoice.codec import error_fields, event_frame, read_command
from ..fields import JsonObject, optional, refusal, required
from ..messages import (
    CancelTask,
    ContinueTask,
    Event,
    FinishTask,
    ResultGenerated,
    RunTask,
    TaskCommand,
    TaskFailed,
    TaskFinished,
    TaskStarted,
)
from .parameters import WHERE, check_model, speech_parameters
from .sentences import TaskSentences

ACTIONS: Final = ("run-task", "continue-task", "finish-task")
_INPUT: Final = "payload.input"


def decode_command(data: bytes | str) -> TaskCommand:
    """Read a client's text frame. The text is as the client wrote it: see `surrogates.join`.

    Raises as `read_command` does.
    """
    return read_command(data, _command)


def _command(action: str, task_id: str, message: JsonObject) -> TaskCommand:
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


ERROR_CODES: Final = {
    "Unauthorized": "InvalidApiKey",
    "TaskTimeout": "CLIENT_ERROR",
    "Throttled": "Throttling.RateQuota",
    "QuotaExceeded": "Throttling.AllocationQuota",
    "TaskPreempted": "Throttling.AllocationQuota",
    "ReferenceAudioNotFound": "InvalidParameter",
    "TextTooLong": "InvalidParameter",
    "InvalidAudio": "InvalidParameter",
    "EngineUnavailable": "ServiceUnavailable",
}
"""This dialect's names for wire codes; a code that is not here has the same name."""


class DashScopeCodec:
    """The codec of one connection."""

    def __init__(self, text_timeout: float, new_id: Callable[[], str]) -> None:
        """text_timeout: seconds, for the message of a timeout. new_id: makes ids for requests."""
        self._text_timeout = text_timeout
        self._new_id = new_id
        self._tasks: dict[str, TaskSentences] = {}  # by task_id

    def decode(self, data: bytes | str) -> TaskCommand:
        """Raises TTSError."""
        command = decode_command(data)
        if isinstance(command, RunTask):
            spoken = TaskSentences.of(command.parameters)
            self._tasks = {command.task_id: spoken}  # one at a time
        elif (known := self._tasks.get(command.task_id)) is None:
            return command
        else:
            spoken = known
        match command:
            case CancelTask():
                return command
            case FinishTask():
                text = spoken.take(command.text, last=True)
            case _:
                text = spoken.take(command.text, flush=command.flush)
        return command if text == command.text else replace(command, text=text)

    def encode(self, event: Event) -> tuple[Frame, ...]:
        match event:
            case TaskStarted():
                return (event_frame(event.task_id, "task-started", {}),)
            case ResultGenerated():
                spoken = self._tasks.setdefault(event.task_id, TaskSentences(False))
                return tuple(self._result(event, spoken))
            case TaskFinished():
                spoken = self._tasks.pop(event.task_id, TaskSentences(False))
                return tuple(self._finished(event, spoken))
            case TaskFailed():
                self._tasks.pop(event.task_id, None)
                return (self._failed(event),)

    @staticmethod
    def _results(task_id: str, payloads: Sequence[JsonObject]) -> list[Frame]:
        return [event_frame(task_id, "result-generated", each) for each in payloads]

    def _result(self, event: ResultGenerated, spoken: TaskSentences) -> list[Frame]:
        frames = self._results(event.task_id, spoken.heard(event))
        return [*frames[:-1], Frame(frames[-1].text, event.data)]

    def _finished(self, event: TaskFinished, spoken: TaskSentences) -> list[Frame]:
        *ends, last = spoken.end(event.notices, whole=event.finish_reason == "stop")
        attributes = {"request_uuid": self._new_id()}
        finished = event_frame(event.task_id, "task-finished", last, attributes=attributes)
        return [*self._results(event.task_id, ends), finished]

    def _failed(self, event: TaskFailed) -> Frame:
        message = event.error_message
        if event.error_code == "TaskTimeout":
            message = f"request timeout after {self._text_timeout:g} seconds."
        elif event.error_code == "ReferenceAudioNotFound":
            message = f"{WHERE}.voice: {message}"
        error = error_fields(ERROR_CODES.get(event.error_code, event.error_code), message)
        return event_frame(event.task_id, "task-failed", {}, error)

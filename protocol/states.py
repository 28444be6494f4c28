"""The life of a task, as one table: what may be received and sent in each state, and what then.

A step that the table does not have is illegal: received, it is the client's fault (InvalidState);
sent, it is a fault of ours (LocalProtocolError). IGNORED is legal and changes nothing: the client
sent it before it could know better.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, assert_never

from .messages import CancelTask, ContinueTask, Event, FinishTask, ResultGenerated, RunTask, TaskCommand, TaskFailed, TaskFinished, TaskStarted


class LocalProtocolError(Exception):
    """This side tried to send what the task's state forbids: a bug, never the client's fault."""


class TaskState(StrEnum):
    """Where a task stands. ACCEPTED and ACCEPTED_WHOLE come before task-started went out."""

    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    ACCEPTED_WHOLE = "accepted with all of its text"
    RUNNING = "running"
    FINISHING = "finishing"
    CANCELLING = "cancelling"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_running(self) -> bool:
        return self not in NOT_RUNNING


class Step(StrEnum):
    """What can happen to a task: a command received or an event sent."""

    RUN = "run-task"
    CONTINUE = "continue-task"
    FINISH = "finish-task"
    CANCEL = "cancel-task"
    START_REFUSED = "refused run-task"
    STARTED = "task-started"
    RESULT = "result-generated"
    STOPPED = "task-finished (stop)"
    CANCELLED = "task-finished (cancelled)"
    FAILED = "task-failed"


_State, _Step = TaskState, Step

NOT_RUNNING: Final = frozenset({_State.UNKNOWN, _State.FINISHED, _State.FAILED, _State.CANCELLED})

IGNORED: Final = None
"""In the table: take the step for legal and do nothing."""

TRANSITIONS: Final[Mapping[TaskState, Mapping[Step, TaskState | None]]] = MappingProxyType(
    {
        _State.UNKNOWN: {
            _Step.RUN: _State.ACCEPTED,
            _Step.START_REFUSED: _State.FAILED,
        },
        _State.ACCEPTED: {
            # Text may come at once: the client need not wait for task-started.
            _Step.CONTINUE: _State.ACCEPTED,
            _Step.FINISH: _State.ACCEPTED_WHOLE,
            _Step.CANCEL: _State.CANCELLING,
            _Step.STARTED: _State.RUNNING,
            _Step.FAILED: _State.FAILED,
        },
        _State.ACCEPTED_WHOLE: {
            _Step.CANCEL: _State.CANCELLING,
            _Step.STARTED: _State.FINISHING,
            _Step.FAILED: _State.FAILED,
        },
        _State.RUNNING: {
            _Step.CONTINUE: _State.RUNNING,
            _Step.FINISH: _State.FINISHING,
            _Step.CANCEL: _State.CANCELLING,
            _Step.RESULT: _State.RUNNING,
            _Step.FAILED: _State.FAILED,
        },
        _State.FINISHING: {
            _Step.CANCEL: _State.CANCELLING,
            _Step.RESULT: _State.FINISHING,
            _Step.STOPPED: _State.FINISHED,
            _Step.FAILED: _State.FAILED,
        },
        _State.CANCELLING: {
            _Step.CONTINUE: IGNORED,
            _Step.FINISH: IGNORED,
            _Step.CANCEL: IGNORED,
            _Step.CANCELLED: _State.CANCELLED,
            _Step.FAILED: _State.FAILED,
        },
        _State.FINISHED: {
            _Step.RUN: _State.ACCEPTED,
            _Step.START_REFUSED: _State.FAILED,
            # It crossed task-finished on the way: no fault of the client's.
            _Step.CANCEL: IGNORED,
        },
        _State.FAILED: {
            _Step.RUN: _State.ACCEPTED,
            _Step.START_REFUSED: _State.FAILED,
            _Step.CONTINUE: IGNORED,
            _Step.FINISH: IGNORED,
            _Step.CANCEL: IGNORED,
        },
        _State.CANCELLED: {
            _Step.RUN: _State.ACCEPTED,
            _Step.START_REFUSED: _State.FAILED,
            _Step.CONTINUE: IGNORED,
            _Step.FINISH: IGNORED,
            _Step.CANCEL: IGNORED,
        },
    }
)


def step_of(message: TaskCommand | Event) -> Step:
    """The step that receiving this command, or sending this event, is."""
    match message:
        case RunTask():
            return Step.RUN
        case ContinueTask():
            return Step.CONTINUE
        case FinishTask():
            return Step.FINISH
        case CancelTask():
            return Step.CANCEL
        case TaskStarted():
            return Step.STARTED
        case ResultGenerated():
            return Step.RESULT
        case TaskFinished():
            return Step.STOPPED if message.finish_reason == "stop" else Step.CANCELLED
        case TaskFailed():
            return Step.FAILED
        case _:
            assert_never(message)

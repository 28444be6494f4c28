"""The tasks of one connection as a state machine without I/O: commands in, events out.

TRANSITIONS holds what may be received and sent in each state, and the state after it. A step that is not
in the table is illegal: if received, the client is at fault (InvalidState), if sent, the server is
(LocalProtocolError). An IGNORED step is legal and changes nothing: the client sent it before it could know
of the task's end.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, assert_never

from .codec import TASK_ID, DialectCodec, Frame
from .errors import InvalidState, TextTooLong, TTSError
from .messages import (
    CancelTask,
    Command,
    ContinueTask,
    EndSession,
    Event,
    FinishTask,
    Reply,
    ResultGenerated,
    RunTask,
    Several,
    TaskCommand,
    TaskFailed,
    TaskFinished,
    TaskStarted,
)
from .surrogates import join
from .text import TextLimits


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
            # The answer to one that tells what was played, for that goes on after the task's end.
            _Step.CANCELLED: _State.CANCELLED,
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


ENDED_REMEMBERED: Final = 64
"""Ended tasks whose end is remembered, for commands that were already on their way."""


@dataclass(slots=True)
class _Task:
    """half: the high surrogate that its text ends with so far, or ""."""

    state: TaskState
    characters: int = 0
    half: str = ""


class TaskProtocol:
    """The state of every task on one connection. Not thread-safe.

    Whatever raises leaves all states as they were. An error from `receive` is answered with `fail`
    if it ends the task it names (`ends_task` tells), else with `refuse`; `answer` chooses. A BadFrame
    is not answered: it closes the connection.
    """

    def __init__(
        self,
        codec: DialectCodec,
        limits: TextLimits | None = None,
        *,
        one_at_a_time: bool = False,
    ) -> None:
        """one_at_a_time: a run-task replaces the task that runs, which gets no further event."""
        self._one_at_a_time = one_at_a_time
        self._codec = codec
        self._limits = TextLimits() if limits is None else limits
        self._tasks: dict[str, _Task] = {}  # that run
        self._ended: OrderedDict[str, TaskState] = OrderedDict()  # the latest, oldest first

    def __len__(self) -> int:
        """How many tasks run."""
        return len(self._tasks)

    @property
    def running(self) -> frozenset[str]:
        """The tasks between their run-task and their end, those being cancelled included."""
        return frozenset(self._tasks)

    def state(self, task_id: str) -> TaskState:
        """Where that task stands; UNKNOWN as well for one that ended long ago."""
        task = self._tasks.get(task_id)
        return self._ended.get(task_id, TaskState.UNKNOWN) if task is None else task.state

    def receive(self, data: bytes | str) -> Command | None:
        """Take a text frame of the client; None if it is to be ignored.

        Raises TTSError, with the task_id where the frame had one: what the codec raises, and as `take`.
        """
        try:
            command = self._codec.decode(data)
        except TTSError as error:
            if self._is_void(error):
                return None
            raise
        return self.take(command)

    def take(self, command: Command | None) -> Command | None:
        """Take a command of the client; None if it is to be ignored. EndSession finishes every task.

        Several are returned as they are: each is to be taken when those before it have been obeyed.
        Raises InvalidState, TextTooLong.
        """
        match command:
            case EndSession():
                self._finish_all()
            case None | Reply() | Several():
                pass
            case _:
                return self._take(command)
        return command

    def send(self, event: Event) -> tuple[Frame, ...]:
        """The frames of an event, to be sent in the order of the calls.

        Raises LocalProtocolError if the task's state does not allow the event.
        """
        state, step = self.state(event.task_id), step_of(event)
        after = TRANSITIONS[state].get(step)
        if after is None:
            raise LocalProtocolError(f"cannot send {step}: task {event.task_id!r} is {state}")
        frames = self._codec.encode(event)
        self._move(event.task_id, after)
        return frames

    def fail(self, task_id: str, error: TTSError) -> tuple[Frame, ...]:
        """End a running task with task-failed; no frame if it does not run (any more)."""
        if task_id not in self._tasks:
            return ()
        return self.send(TaskFailed(task_id, error.code, error.message))

    def refuse(self, error: TTSError) -> tuple[Frame, ...]:
        """task-failed for a message that starts and ends nothing; task_id "" where it had none.

        Running tasks stay as they are. The id of a refused run-task is remembered as failed, so
        that the text which the client sent right behind it is ignored.
        """
        task_id = error.task_id or ""
        if error.starting and TASK_ID.fullmatch(task_id) and task_id not in self._tasks:
            after = TRANSITIONS[self.state(task_id)][Step.START_REFUSED]
            assert after is not IGNORED
            self._move(task_id, after)
        return self._codec.encode(TaskFailed(task_id, error.code, error.message))

    def answer(self, error: TTSError) -> tuple[Frame, ...]:
        """What goes back for an error of `receive`; this may end the task that the error names."""
        if self.ends_task(error):
            return self.fail(error.task_id or "", error)
        return self.refuse(error)

    def ends_task(self, error: TTSError) -> bool:
        """Whether an error of `receive` ends the running task that it names.

        A run-task that is refused starts nothing, and where it would have taken the place of a task
        with the same id, that one is still another.
        """
        return error.task_id in self._tasks and not (error.task_goes_on or error.starting)

    def _take(self, command: TaskCommand) -> TaskCommand | None:
        task_id, step = command.task_id, step_of(command)
        if step is Step.RUN and self._one_at_a_time:
            self._count_text(command)  # a run-task that is refused replaces nothing
            for running in list(self._tasks):
                self._move(running, TaskState.CANCELLED)
        state = self.state(task_id)
        steps = TRANSITIONS[state]
        if step not in steps:
            raise self._illegal(task_id, state, step)
        after = steps[step]
        if after is IGNORED:
            late = isinstance(command, CancelTask) and command.played is not None
            return command if late and state is TaskState.FINISHED else None
        characters = self._count_text(command)
        command, half = self._whole_characters(command)
        self._move(task_id, after, characters)
        if task := self._tasks.get(task_id):
            task.half = half
        return command

    def _finish_all(self) -> None:
        for task_id, task in list(self._tasks.items()):
            after = TRANSITIONS[task.state].get(Step.FINISH)
            if after is not None:
                self._move(task_id, after)

    def _whole_characters(self, command: TaskCommand) -> tuple[TaskCommand, str]:
        """The command with a surrogate pair joined that was cut in two, and the half it leaves."""
        if isinstance(command, CancelTask):
            return command, ""
        half = "" if isinstance(command, RunTask) else self._tasks[command.task_id].half
        last = isinstance(command, FinishTask)
        text, half = join(half, command.text, last=last)
        return (command if text == command.text else replace(command, text=text)), half

    def _count_text(self, command: TaskCommand) -> int:
        """The characters of the task with this command's. Raises TextTooLong."""
        if isinstance(command, CancelTask):
            return 0
        starting = isinstance(command, RunTask)
        task = None if starting else self._tasks[command.task_id]
        before = task.characters if task else 0
        if task and task.half and "\udc00" <= command.text[:1] <= "\udfff":
            before -= 1  # the other half of a character that is counted
        try:
            self._limits.check(command.text, before)
        except TextTooLong as error:
            raise error.for_task(command.task_id, starting=starting) from None
        return before + len(command.text)

    def _move(self, task_id: str, after: TaskState, characters: int | None = None) -> None:
        task = self._tasks.get(task_id)
        if not after.is_running:
            self._tasks.pop(task_id, None)
            self._remember(task_id, after)
        elif task is None:
            self._tasks[task_id] = _Task(after, characters or 0)
        else:
            task.state = after
            task.characters = task.characters if characters is None else characters

    def _remember(self, task_id: str, end: TaskState) -> None:
        self._ended[task_id] = end
        self._ended.move_to_end(task_id)
        if len(self._ended) > ENDED_REMEMBERED:
            self._ended.popitem(last=False)

    def _is_void(self, error: TTSError) -> bool:
        """Whether an error is about a command that would be ignored had it been well formed.

        Raises InvalidState in its stead for a malformed run-task with the id of a running task,
        which no run-task may have, unless it takes that one's place.
        """
        if error.task_id is None:
            return False
        state = self.state(error.task_id)
        if not error.starting:
            return TRANSITIONS[state].get(Step.CONTINUE, state) is IGNORED
        if state.is_running and not self._one_at_a_time:
            raise self._illegal(error.task_id, state, Step.RUN) from error
        return False

    @staticmethod
    def _illegal(task_id: str, state: TaskState, step: Step) -> InvalidState:
        if step is Step.RUN:
            message = f"{step}: task_id {task_id!r} is in use; that task goes on"
        elif state is TaskState.UNKNOWN:
            message = f"{step}: no task {task_id!r} on this connection; it begins with run-task"
        else:
            message = f"{step}: the task is {state}; its text ended with finish-task"
        error = InvalidState(message, task_goes_on=step is Step.RUN and state.is_running)
        return error.for_task(task_id, starting=step is Step.RUN)

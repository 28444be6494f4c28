"""Long random lives of several tasks on one connection, against a model that has no table."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cosyserve.protocol.cosyvoice.codec import CosyVoiceCodec, encode_command
from cosyserve.protocol.errors import InternalError, InvalidParameter, InvalidState, TTSError
from cosyserve.protocol.messages import (
    CancelTask,
    Command,
    ContinueTask,
    Event,
    FinishReason,
    FinishTask,
    ResultGenerated,
    RunTask,
    TaskFinished,
    TaskStarted,
)
from cosyserve.protocol.task import LocalProtocolError, TaskProtocol
from support.tools.protocol_examples import METRICS, PLAIN

ids = st.sampled_from(["a", "b", "c"])


@dataclass
class Model:
    """What a person would note down about one task."""

    runs: bool = False
    started: bool = False
    text_ended: bool = False
    cancelled: bool = False
    ended_early: bool = False
    ended_well: bool = False

    def end(self, *, well: bool) -> None:
        self.__init__(ended_early=not well, ended_well=well)  # type: ignore[misc]

    @property
    def deaf(self) -> bool:
        """Whether text for it is ignored."""
        return self.cancelled if self.runs else self.ended_early


class Connection(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.protocol = TaskProtocol(CosyVoiceCodec())
        self.tasks = {task_id: Model() for task_id in "abc"}

    def receive(self, command: Command) -> Command | TTSError | None:
        return self.receive_data(encode_command(command))

    def receive_data(self, data: bytes) -> Command | TTSError | None:
        try:
            return self.protocol.receive(data)
        except TTSError as error:
            self.protocol.answer(error)
            return error

    def can_send(self, event: Event) -> bool:
        try:
            self.protocol.send(event)
        except LocalProtocolError:
            return False
        return True

    @rule(task_id=ids, well_formed=st.booleans())
    def run_task(self, task_id: str, well_formed: bool) -> None:
        task, command = self.tasks[task_id], RunTask(task_id, "cosyvoice-v2", PLAIN)
        data = encode_command(command)
        outcome = self.receive_data(data if well_formed else data.replace(b"ref-1", b""))
        if task.runs:
            assert isinstance(outcome, InvalidState)
            assert outcome.task_goes_on
        elif well_formed:
            assert outcome == command
            self.tasks[task_id] = Model(runs=True)
        else:
            assert isinstance(outcome, InvalidParameter)
            task.end(well=False)

    @rule(task_id=ids, last=st.booleans())
    def text(self, task_id: str, last: bool) -> None:
        task = self.tasks[task_id]
        command = FinishTask(task_id, "x") if last else ContinueTask(task_id, "x")
        outcome = self.receive(command)
        if task.deaf:
            assert outcome is None
        elif task.runs and not task.text_ended:
            assert outcome == command
            task.text_ended = last
        else:
            assert isinstance(outcome, InvalidState)
            if task.runs:
                task.end(well=False)

    @rule(task_id=ids)
    def malformed_text(self, task_id: str) -> None:
        task = self.tasks[task_id]
        data = encode_command(ContinueTask(task_id, "x")).replace(b'"x"', b"7")
        outcome = self.receive_data(data)
        if task.deaf:
            assert outcome is None
        else:
            assert isinstance(outcome, InvalidParameter)
            if task.runs:
                task.end(well=False)

    @rule(task_id=ids, played=st.sampled_from([None, 1.5]))
    def cancel(self, task_id: str, played: float | None) -> None:
        task, command = self.tasks[task_id], CancelTask(task_id, played)
        outcome = self.receive(command)
        if task.deaf:
            assert outcome is None
        elif task.ended_well:
            assert outcome == (None if played is None else command)
        elif task.runs:
            assert outcome == command
            task.cancelled = True
        else:
            assert isinstance(outcome, InvalidState)

    @rule(task_id=ids)
    def start(self, task_id: str) -> None:
        task = self.tasks[task_id]
        legal = task.runs and not task.started and not task.cancelled
        assert self.can_send(TaskStarted(task_id)) == legal
        task.started |= legal

    @rule(task_id=ids)
    def speak(self, task_id: str) -> None:
        task = self.tasks[task_id]
        legal = task.runs and task.started and not task.cancelled
        assert self.can_send(ResultGenerated(task_id, "a", b"x", METRICS)) == legal

    @rule(task_id=ids, reason=st.sampled_from(["stop", "cancelled"]))
    def finish(self, task_id: str, reason: FinishReason) -> None:
        task = self.tasks[task_id]
        if reason == "cancelled":
            legal = task.cancelled if task.runs else task.ended_well
        else:
            legal = task.runs and task.started and task.text_ended and not task.cancelled
        assert self.can_send(TaskFinished(task_id, reason)) == legal
        if legal:
            task.end(well=reason == "stop")

    @rule(task_id=ids)
    def fail(self, task_id: str) -> None:
        task = self.tasks[task_id]
        assert bool(self.protocol.fail(task_id, InternalError("x"))) == task.runs
        if task.runs:
            task.end(well=False)

    @invariant()
    def the_same_tasks_run(self) -> None:
        assert self.protocol.running == {each for each, task in self.tasks.items() if task.runs}


TestConnection = Connection.TestCase
TestConnection.settings = settings(max_examples=60, stateful_step_count=40)

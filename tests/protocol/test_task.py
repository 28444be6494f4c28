"""The tasks of a connection: every transition, refusals, ignored messages, text limits."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import orjson
import pytest

from cosyserve.protocol.codec import Frame
from cosyserve.protocol.cosyvoice.codec import CosyVoiceCodec, decode_event, encode_command
from cosyserve.protocol.errors import (
    InvalidParameter,
    InvalidState,
    TextTooLong,
    Throttled,
    TTSError,
)
from cosyserve.protocol.messages import (
    CancelTask,
    Command,
    ContinueTask,
    EndSession,
    Event,
    FinishTask,
    ResultGenerated,
    RunTask,
    TaskCommand,
    TaskFailed,
    TaskFinished,
    TaskStarted,
)
from cosyserve.protocol.task import (
    ENDED_REMEMBERED,
    IGNORED,
    TRANSITIONS,
    LocalProtocolError,
    Step,
    TaskProtocol,
    TaskState,
    TextLimits,
)
from support.tools.protocol_examples import METRICS, PLAIN

T = "t-1"
RUN = RunTask(T, "cosyvoice-v2", PLAIN)
COMMAND: dict[Step, TaskCommand] = {
    Step.RUN: RUN,
    Step.CONTINUE: ContinueTask(T, "a"),
    Step.FINISH: FinishTask(T, "b"),
    Step.CANCEL: CancelTask(T),
}
EVENT: dict[Step, Event] = {
    Step.STARTED: TaskStarted(T),
    Step.RESULT: ResultGenerated(T, "a", b"x", METRICS),
    Step.STOPPED: TaskFinished(T),
    Step.CANCELLED: TaskFinished(T, "cancelled"),
    Step.FAILED: TaskFailed(T, "InternalError", "x"),
}
WAY: dict[TaskState, tuple[Step, ...]] = {
    TaskState.UNKNOWN: (),
    TaskState.ACCEPTED: (Step.RUN,),
    TaskState.ACCEPTED_WHOLE: (Step.RUN, Step.FINISH),
    TaskState.RUNNING: (Step.RUN, Step.STARTED),
    TaskState.FINISHING: (Step.RUN, Step.STARTED, Step.FINISH),
    TaskState.CANCELLING: (Step.RUN, Step.CANCEL),
    TaskState.FINISHED: (Step.RUN, Step.FINISH, Step.STARTED, Step.STOPPED),
    TaskState.FAILED: (Step.RUN, Step.FAILED),
    TaskState.CANCELLED: (Step.RUN, Step.CANCEL, Step.CANCELLED),
}
MALFORMED = b'{"header": {"action": "continue-task", "task_id": "t-1"}, "payload": {}}'
MALFORMED_RUN = b'{"header": {"action": "run-task", "task_id": "t-1"}, "payload": {}}'


def take(protocol: TaskProtocol, step: Step) -> object:
    if step in COMMAND:
        return protocol.receive(encode_command(COMMAND[step]))
    return protocol.send(EVENT[step])


def at(state: TaskState) -> TaskProtocol:
    protocol = TaskProtocol(CosyVoiceCodec())
    for step in WAY[state]:
        take(protocol, step)
    assert protocol.state(T) is state
    return protocol


def raised(action: Callable[[], object]) -> TTSError:
    with pytest.raises(TTSError) as caught:
        action()
    return caught.value


@pytest.mark.parametrize("state", [each for each in TaskState if each is not TaskState.UNKNOWN])
def test_what_was_heard_may_be_asked_after_the_end(state: TaskState) -> None:
    protocol = at(state)
    asked = protocol.receive(encode_command(CancelTask(T, 1.5)))
    taken = state.is_running and state is not TaskState.CANCELLING
    assert asked == (CancelTask(T, 1.5) if taken or state is TaskState.FINISHED else None)
    if state is TaskState.FINISHED:
        assert protocol.state(T) is state
        protocol.send(TaskFinished(T, "cancelled"))
        assert protocol.state(T) is TaskState.CANCELLED
        assert protocol.receive(encode_command(CancelTask(T, 1.5))) is None


@pytest.mark.parametrize(("state", "step"), [*itertools.product(TaskState, COMMAND)])
def test_every_command_in_every_state(state: TaskState, step: Step) -> None:
    protocol = at(state)
    if step not in TRANSITIONS[state]:
        error = raised(lambda: take(protocol, step))
        assert isinstance(error, InvalidState)
        assert error.task_id == T
        assert error.message.startswith(step)
        assert error.task_goes_on == (step is Step.RUN)
        assert protocol.state(T) is state
    elif TRANSITIONS[state][step] is IGNORED:
        assert take(protocol, step) is None
        assert protocol.state(T) is state
    else:
        assert take(protocol, step) == COMMAND[step]
        assert protocol.state(T) is TRANSITIONS[state][step]


@pytest.mark.parametrize(("state", "step"), [*itertools.product(TaskState, EVENT)])
def test_every_event_in_every_state(state: TaskState, step: Step) -> None:
    protocol = at(state)
    if step in TRANSITIONS[state]:
        assert take(protocol, step) == CosyVoiceCodec().encode(EVENT[step])
        assert protocol.state(T) is TRANSITIONS[state][step]
    else:
        with pytest.raises(LocalProtocolError, match=T):
            take(protocol, step)
        assert protocol.state(T) is state


@pytest.mark.parametrize("state", TaskState)
def test_running_tasks_are_those_that_have_not_ended(state: TaskState) -> None:
    protocol = at(state)
    assert protocol.running == (frozenset({T}) if state.is_running else frozenset())
    assert len(protocol) == len(protocol.running)


@pytest.mark.parametrize("state", TaskState)
def test_fail_ends_a_running_task_once(state: TaskState) -> None:
    protocol = at(state)
    frames = protocol.fail(T, Throttled("busy"))
    if not state.is_running:
        assert frames == ()
        assert protocol.state(T) is state
        return
    (frame,) = frames
    assert decode_event(frame.text) == TaskFailed(T, "Throttled", "busy; try again in 1 s")
    assert protocol.state(T) is TaskState.FAILED
    assert protocol.fail(T, Throttled("busy")) == ()


@pytest.mark.parametrize("state", TaskState)
def test_a_malformed_command_is_ignored_where_a_good_one_would_be(state: TaskState) -> None:
    protocol = at(state)
    if state in (TaskState.CANCELLING, TaskState.FAILED, TaskState.CANCELLED):
        assert protocol.receive(MALFORMED) is None
    else:
        error = raised(lambda: protocol.receive(MALFORMED))
        assert isinstance(error, InvalidParameter)
        assert error.task_id == T
    assert protocol.state(T) is state


@pytest.mark.parametrize("state", TaskState)
def test_a_malformed_run_task_never_ends_a_running_task(state: TaskState) -> None:
    protocol = at(state)
    error = raised(lambda: protocol.receive(MALFORMED_RUN))
    assert isinstance(error, InvalidState if state.is_running else InvalidParameter)
    assert error.task_goes_on == state.is_running
    (frame,) = protocol.answer(error)
    assert decode_event(frame.text) == TaskFailed(T, error.code, error.message)
    assert protocol.state(T) is (state if state.is_running else TaskState.FAILED)


def test_a_second_run_task_leaves_the_first_task_as_it_was() -> None:
    protocol = at(TaskState.RUNNING)
    protocol.answer(raised(lambda: take(protocol, Step.RUN)))
    assert take(protocol, Step.CONTINUE) == COMMAND[Step.CONTINUE]
    assert take(protocol, Step.RESULT)


def test_a_wrong_command_for_a_running_task_ends_it() -> None:
    protocol = at(TaskState.FINISHING)
    protocol.answer(raised(lambda: take(protocol, Step.CONTINUE)))
    assert protocol.state(T) is TaskState.FAILED


def test_what_follows_a_refused_run_task_is_ignored() -> None:
    protocol = TaskProtocol(CosyVoiceCodec())
    error = raised(lambda: protocol.receive(MALFORMED_RUN))
    (frame,) = protocol.refuse(error)
    assert decode_event(frame.text) == TaskFailed(T, "InvalidParameter", error.message)
    assert take(protocol, Step.CONTINUE) is None
    assert take(protocol, Step.FINISH) is None
    assert take(protocol, Step.RUN) == RUN


def test_every_command_for_a_task_that_never_was_is_refused() -> None:
    protocol = TaskProtocol(CosyVoiceCodec())
    for step in (Step.CONTINUE, Step.FINISH, Step.CANCEL):
        protocol.refuse(raised(lambda step=step: take(protocol, step)))  # type: ignore[misc]
        assert protocol.state(T) is TaskState.UNKNOWN


def test_a_refusal_without_a_task_has_an_empty_task_id() -> None:
    protocol = TaskProtocol(CosyVoiceCodec())
    (frame,) = protocol.answer(raised(lambda: protocol.receive(b"[]")))
    assert orjson.loads(frame.text)["header"]["task_id"] == ""


@pytest.mark.parametrize("task_id", ["a b", "x" * 65])
def test_a_refusal_echoes_a_wrong_task_id_and_remembers_nothing(task_id: str) -> None:
    protocol = TaskProtocol(CosyVoiceCodec())
    data = orjson.dumps({"header": {"action": "run-task", "task_id": task_id}})
    error = raised(lambda: protocol.receive(data))
    (frame,) = protocol.refuse(error)
    assert orjson.loads(frame.text)["header"]["task_id"] == error.task_id
    assert protocol.state(error.task_id or "") is TaskState.UNKNOWN


def test_the_end_of_a_task_is_forgotten_after_many_others() -> None:
    protocol = at(TaskState.FAILED)
    for number in range(ENDED_REMEMBERED - 1):
        protocol.receive(encode_command(RunTask(f"n-{number}", "cosyvoice-v2", PLAIN)))
        protocol.fail(f"n-{number}", Throttled("x"))
    assert protocol.state(T) is TaskState.FAILED
    protocol.receive(encode_command(RunTask("last", "cosyvoice-v2", PLAIN)))
    protocol.fail("last", Throttled("x"))
    assert protocol.state(T) is TaskState.UNKNOWN


def test_a_run_task_that_is_refused_again_is_remembered_anew() -> None:
    protocol = TaskProtocol(CosyVoiceCodec())
    data = MALFORMED_RUN
    for task_id in [T, *(f"n-{number}" for number in range(ENDED_REMEMBERED - 1)), T, "last"]:
        refused = data.replace(T.encode(), task_id.encode())
        protocol.answer(raised(lambda refused=refused: protocol.receive(refused)))  # type: ignore[misc]
    assert protocol.state(T) is TaskState.FAILED
    assert protocol.state("n-0") is TaskState.UNKNOWN


def test_tasks_do_not_touch_each_other() -> None:
    protocol = at(TaskState.RUNNING)
    protocol.receive(encode_command(RunTask("t-2", "cosyvoice-v2", PLAIN)))
    assert protocol.running == {T, "t-2"}
    protocol.receive(encode_command(CancelTask("t-2")))
    assert protocol.state(T) is TaskState.RUNNING
    protocol.fail(T, Throttled("x"))
    assert protocol.state("t-2") is TaskState.CANCELLING


def limited() -> TaskProtocol:
    return TaskProtocol(CosyVoiceCodec(), limits=TextLimits(message=5, task=8))


def receive(protocol: TaskProtocol, command: Command) -> Command | None:
    return protocol.receive(encode_command(command))


def test_the_text_of_all_messages_counts() -> None:
    protocol = limited()
    receive(protocol, RunTask(T, "cosyvoice-v2", PLAIN, "123"))
    receive(protocol, ContinueTask(T, "456"))
    error = raised(lambda: receive(protocol, FinishTask(T, "789")))
    assert isinstance(error, TextTooLong)
    assert (error.task_id, error.starting) == (T, False)
    assert receive(protocol, FinishTask(T, "78")) == FinishTask(T, "78")


def test_too_long_a_text_ends_a_running_task() -> None:
    protocol = limited()
    receive(protocol, RUN)
    protocol.answer(raised(lambda: receive(protocol, ContinueTask(T, "123456"))))
    assert protocol.state(T) is TaskState.FAILED


def test_a_run_task_with_too_long_a_text_never_starts() -> None:
    protocol = limited()
    error = raised(lambda: receive(protocol, RunTask(T, "cosyvoice-v2", PLAIN, "123456")))
    assert isinstance(error, TextTooLong)
    assert error.starting
    assert not protocol.running
    protocol.answer(error)
    assert receive(protocol, ContinueTask(T, "x")) is None


def test_the_next_task_of_the_same_id_has_the_whole_budget() -> None:
    protocol = limited()
    for _ in range(2):
        receive(protocol, RunTask(T, "cosyvoice-v2", PLAIN, "12345"))
        receive(protocol, FinishTask(T, "678"))
        protocol.fail(T, Throttled("x"))


def test_ignored_text_is_not_counted() -> None:
    protocol = limited()
    receive(protocol, RUN)
    receive(protocol, CancelTask(T))
    for _ in range(9):
        assert receive(protocol, ContinueTask(T, "12345")) is None


class Dialect:
    """A wire of another kind: the name of the step is the whole message."""

    def decode(self, data: bytes | str) -> Command | None:
        text = data if isinstance(data, str) else data.decode()
        return COMMAND[Step(text)]

    def encode(self, event: Event) -> tuple[Frame, ...]:
        return (Frame(type(event).__name__.encode()),)


def test_another_dialect_has_a_codec_of_its_own() -> None:
    protocol = TaskProtocol(Dialect())
    assert protocol.receive("run-task") == RUN
    assert protocol.send(TaskStarted(T)) == (Frame(b"TaskStarted"),)


def test_an_event_that_cannot_be_encoded_changes_no_state() -> None:
    protocol = TaskProtocol(MuteStart())
    protocol.receive("run-task")
    with pytest.raises(NotImplementedError):
        protocol.send(TaskStarted(T))
    assert protocol.state(T) is TaskState.ACCEPTED


class MuteStart(Dialect):
    def encode(self, event: Event) -> tuple[Frame, ...]:
        raise NotImplementedError(event.task_id)


def replacing() -> TaskProtocol:
    return TaskProtocol(
        CosyVoiceCodec(), one_at_a_time=True, limits=TextLimits(message=10, task=20)
    )


def test_a_run_task_takes_the_place_of_the_one_that_runs() -> None:
    protocol = replacing()
    receive(protocol, RUN)
    assert receive(protocol, RunTask("other", RUN.model, RUN.parameters)) is not None
    assert protocol.running == {"other"}
    assert protocol.state(T) is TaskState.CANCELLED
    assert receive(protocol, ContinueTask(T, "late")) is None
    assert protocol.fail(T, Throttled("x")) == ()


def test_a_run_task_may_take_the_place_of_its_own_id() -> None:
    protocol = replacing()
    receive(protocol, RUN)
    protocol.send(TaskStarted(T))
    assert receive(protocol, RUN) == RUN
    assert protocol.state(T) is TaskState.ACCEPTED
    receive(protocol, ContinueTask(T, "0123456789"))  # its text counts anew


def test_a_run_task_that_is_refused_takes_no_place() -> None:
    protocol = replacing()
    receive(protocol, RUN)
    with pytest.raises(TextTooLong):
        receive(protocol, RunTask("other", RUN.model, RUN.parameters, "x" * 11))
    assert protocol.running == {T}


class Ending(Dialect):
    def decode(self, data: bytes | str) -> Command | None:
        if data == "end":
            return EndSession()
        return None if data == "" else super().decode(data)


def test_the_end_of_a_session_finishes_every_task() -> None:
    protocol = TaskProtocol(Ending())
    protocol.receive("run-task")
    assert protocol.receive("end") == EndSession()
    assert protocol.state(T) is TaskState.ACCEPTED_WHOLE
    assert protocol.receive("end") == EndSession()


def test_a_frame_that_says_nothing_changes_nothing() -> None:
    protocol = TaskProtocol(Ending())
    assert protocol.receive("") is None
    assert protocol.running == frozenset()


def test_a_malformed_run_task_that_would_take_its_own_place_says_what_is_wrong() -> None:
    protocol = replacing()
    receive(protocol, RUN)
    bad = orjson.loads(encode_command(RUN))
    del bad["payload"]["parameters"]["mode"]
    with pytest.raises(InvalidParameter, match="mode") as error:
        protocol.receive(orjson.dumps(bad))
    assert not protocol.ends_task(error.value)
    (frame,) = protocol.answer(error.value)
    assert b"task-failed" in frame.text


def test_halves_of_a_surrogate_pair_are_joined_over_messages() -> None:
    protocol = TaskProtocol(CosyVoiceCodec(), limits=TextLimits(message=10, task=3))

    def take(action: str, **payload: object) -> Command | None:
        header = {"action": action, "task_id": T}
        return protocol.receive(json.dumps({"header": header, "payload": payload}))

    parameters = {"mode": "fast_replication", "reference_audio_id": "r"}
    first = take("run-task", model="cosyvoice-v2", parameters=parameters, input={"text": "a\ud83c"})
    assert isinstance(first, RunTask)
    assert first.text == "a"
    assert take("continue-task", input={"flush": True}) == ContinueTask(T, "", flush=True)
    assert take("continue-task", input={"text": "\udf89\ud83c"}) == ContinueTask(T, "\U0001f389")
    with pytest.raises(TextTooLong, match="4 characters in one task"):
        take("continue-task", input={"text": "x"})
    assert take("finish-task") == FinishTask(T, "\ufffd")

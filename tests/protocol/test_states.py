"""The transition table, held against the rules of a task's life."""

from __future__ import annotations

import itertools

import pytest

from cosyserve.protocol.task import IGNORED, TRANSITIONS, Step, TaskState, step_of
from support.tools.protocol_examples import COMMANDS, EVENTS

S = TaskState
RECEIVED = {Step.RUN, Step.CONTINUE, Step.FINISH, Step.CANCEL}
ALIVE = [each for each in TaskState if each.is_running]
ENDED = [S.FINISHED, S.FAILED, S.CANCELLED]


def legal(state: TaskState) -> set[Step]:
    return set(TRANSITIONS[state])


def test_the_table_has_every_state_and_every_step() -> None:
    assert set(TRANSITIONS) == set(TaskState)
    assert {step for steps in TRANSITIONS.values() for step in steps} == set(Step)


def test_every_state_can_be_reached_from_unknown() -> None:
    reached = {S.UNKNOWN}
    for _ in TaskState:
        reached |= {a for state in reached for a in TRANSITIONS[state].values() if a is not None}
    assert reached == set(TaskState)


def test_the_running_states() -> None:
    assert set(ALIVE) == {S.ACCEPTED, S.ACCEPTED_WHOLE, S.RUNNING, S.FINISHING, S.CANCELLING}


def test_only_what_is_received_is_ever_ignored() -> None:
    for state, step in itertools.product(TaskState, Step):
        if TRANSITIONS[state].get(step, state) is IGNORED:
            assert step in RECEIVED - {Step.RUN}


@pytest.mark.parametrize("state", TaskState)
def test_a_run_task_starts_a_task_unless_one_runs(state: TaskState) -> None:
    assert TRANSITIONS[state].get(Step.RUN) == (None if state.is_running else S.ACCEPTED)


@pytest.mark.parametrize("state", TaskState)
def test_a_refused_run_task_is_remembered_unless_one_runs(state: TaskState) -> None:
    expected = None if state.is_running else S.FAILED
    assert TRANSITIONS[state].get(Step.START_REFUSED) == expected


def test_text_is_taken_until_finish_task() -> None:
    takes = {s for s in TaskState if TRANSITIONS[s].get(Step.CONTINUE) is not IGNORED}
    assert takes == {S.ACCEPTED, S.RUNNING}
    assert TRANSITIONS[S.ACCEPTED][Step.FINISH] is S.ACCEPTED_WHOLE
    assert TRANSITIONS[S.RUNNING][Step.FINISH] is S.FINISHING


@pytest.mark.parametrize("state", ALIVE)
def test_cancel_is_legal_while_the_task_runs(state: TaskState) -> None:
    expected = IGNORED if state is S.CANCELLING else S.CANCELLING
    assert TRANSITIONS[state][Step.CANCEL] is expected


@pytest.mark.parametrize("state", ENDED)
def test_what_crossed_the_end_on_its_way_is_ignored(state: TaskState) -> None:
    late = {step for step, after in TRANSITIONS[state].items() if after is IGNORED}
    normal = state is S.FINISHED
    assert late == ({Step.CANCEL} if normal else {Step.CONTINUE, Step.FINISH, Step.CANCEL})


def test_nothing_is_known_of_an_unknown_task() -> None:
    assert legal(S.UNKNOWN) & RECEIVED == {Step.RUN}


def test_task_started_is_sent_first_and_once() -> None:
    assert {s for s in TaskState if Step.STARTED in legal(s)} == {S.ACCEPTED, S.ACCEPTED_WHOLE}
    assert TRANSITIONS[S.ACCEPTED][Step.STARTED] is S.RUNNING
    assert TRANSITIONS[S.ACCEPTED_WHOLE][Step.STARTED] is S.FINISHING


def test_results_are_sent_between_start_and_end() -> None:
    for state in TaskState:
        expected = state if state in (S.RUNNING, S.FINISHING) else None
        assert TRANSITIONS[state].get(Step.RESULT) == expected


@pytest.mark.parametrize("state", TaskState)
def test_a_task_ends_as_it_was_asked_to(state: TaskState) -> None:
    steps = TRANSITIONS[state]
    assert steps.get(Step.STOPPED) == (S.FINISHED if state is S.FINISHING else None)
    cancelled = state in (S.CANCELLING, S.FINISHED)  # it may be asked late what was heard
    assert steps.get(Step.CANCELLED) == (S.CANCELLED if cancelled else None)
    assert steps.get(Step.FAILED) == (S.FAILED if state.is_running else None)


def test_every_message_is_a_step() -> None:
    steps = {step_of(each) for each in (*COMMANDS, *EVENTS)}
    assert steps == set(Step) - {Step.START_REFUSED}

"""What QwenTtsRealtime sends becomes commands; what is kept is bounded; silence ends a text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from cosyserve.protocol.codec import TASK_ID
from cosyserve.protocol.dashscope_realtime import RealtimeCodec
from cosyserve.protocol.errors import TextTooLong
from cosyserve.protocol.messages import (
    CancelTask,
    Command,
    ContinueTask,
    EndSession,
    FinishTask,
    Reply,
    RunTask,
    Several,
    TaskFailed,
    TaskFinished,
)
from cosyserve.protocol.text import TextLimits


@pytest.fixture
def codec() -> RealtimeCodec:
    numbers: Iterator[int] = itertools.count()
    return RealtimeCodec("cosyvoice-v2", TextLimits(10, 25), lambda: str(next(numbers)))


def take(codec: RealtimeCodec, kind: str, **fields: Any) -> Command | None:
    return codec.decode(orjson.dumps({"type": kind, **fields}))


def append(codec: RealtimeCodec, text: str) -> Command | None:
    return take(codec, "input_text_buffer.append", text=text)


def several(command: Command | None) -> tuple[Any, ...]:
    assert isinstance(command, Several)
    return command.commands


def mode(codec: RealtimeCodec, name: str) -> None:
    assert isinstance(take(codec, "session.update", session={"mode": name}), Reply)


def test_text_flows_into_one_task_until_it_is_committed(codec: RealtimeCodec) -> None:
    assert append(codec, "") is None
    run = append(codec, "one ")
    assert isinstance(run, RunTask)
    assert TASK_ID.fullmatch(run.task_id)
    assert append(codec, "two ") == ContinueTask(run.task_id, "two ")
    reply, finish = several(take(codec, "input_text_buffer.commit"))
    assert reply.at_once
    assert finish == FinishTask(run.task_id)
    following = append(codec, "three ")
    assert isinstance(following, RunTask)
    assert following.task_id != run.task_id


def test_a_committed_text_comes_in_pieces_that_messages_may_have(codec: RealtimeCodec) -> None:
    mode(codec, "commit")
    for piece in ("0123456789", "01234", "56789"):
        assert append(codec, piece) is None
    with pytest.raises(TextTooLong):
        append(codec, "too long")
    with pytest.raises(TextTooLong):
        append(codec, "more than ten")
    _, run, more, finish = several(take(codec, "input_text_buffer.commit"))
    assert (run.text, more.text) == ("0123456789", "0123456789")
    assert finish == FinishTask(run.task_id)


def test_what_is_not_committed_is_spoken_at_the_end_of_the_session(codec: RealtimeCodec) -> None:
    mode(codec, "commit")
    append(codec, "one")
    run, finish, end = several(take(codec, "session.finish"))
    assert (run.text, finish.task_id) == ("one", run.task_id)
    assert isinstance(end, EndSession)
    assert orjson.loads(end.farewell)["type"] == "session.finished"
    assert append(codec, "late") is None
    assert take(codec, "response.cancel") == CancelTask(run.task_id)
    assert take(codec, "response.cancel") is None


def test_a_cancel_stops_the_oldest_response_that_speaks(codec: RealtimeCodec) -> None:
    mode(codec, "commit")
    runs = []
    for text in ("one", "two"):
        append(codec, text)
        runs.append(several(take(codec, "input_text_buffer.commit"))[1])
    assert take(codec, "response.cancel") == CancelTask(runs[0].task_id)
    codec.encode(TaskFinished(runs[0].task_id, "cancelled"))
    assert take(codec, "response.cancel") == CancelTask(runs[1].task_id)


def test_silence_ends_a_text_that_flows_and_no_other(codec: RealtimeCodec) -> None:
    assert codec.pause() is None
    run = append(codec, "one ")
    assert isinstance(run, RunTask)
    assert codec.pause() == FinishTask(run.task_id)
    assert codec.pause() is None
    mode(codec, "commit")
    append(codec, "two ")
    assert codec.pause() is None


def test_the_rest_of_a_text_that_failed_is_its_own_up_to_a_silence(codec: RealtimeCodec) -> None:
    run = append(codec, "one ")
    assert isinstance(run, RunTask)
    codec.encode(TaskFailed(run.task_id, "Throttled", "no"))
    assert append(codec, "two ") == ContinueTask(run.task_id, "two ")
    assert codec.pause() == FinishTask(run.task_id)
    following = append(codec, "three ")
    assert isinstance(following, RunTask)
    assert following.task_id != run.task_id


def test_blanks_around_a_value_are_not_kept(codec: RealtimeCodec) -> None:
    padded = " " * 100_000
    session = {"sample_rate": f"16000{padded}", "voice": f"{padded}plain"}
    reply = take(codec, "session.update", session=session)
    assert isinstance(reply, Reply)
    shown = orjson.loads(reply.text)["session"]
    assert (shown["sample_rate"], shown["voice"]) == (16000, "plain")
    assert isinstance(take(codec, "session.update", session={"voice": None}), Reply)

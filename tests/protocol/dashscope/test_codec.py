"""The DashScope dialect's wire: commands in, sentences out."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.protocol.codec import Frame
from cosyserve.protocol.dashscope import DashScopeCodec
from cosyserve.protocol.errors import BadFrame, InvalidParameter, ModelNotFound, TTSError
from cosyserve.protocol.messages import (
    CancelTask,
    ContinueTask,
    FinishTask,
    Mark,
    ResultGenerated,
    RunTask,
    Sentence,
    TaskFailed,
    TaskFinished,
    TaskStarted,
    Word,
)
from cosyserve.protocol.text import count_characters
from support.tools.protocol_examples import METRICS

T = "0123456789abcdef0123456789abcdef"


def frame(action: str, payload: Any = None, task_id: Any = T) -> str:
    header = {"action": action, "task_id": task_id, "streaming": "duplex"}
    return orjson.dumps({"header": header, "payload": payload}).decode()


def run(model: str = "cosyvoice-v2", text: str = "", **parameters: Any) -> str:
    payload = {
        "model": model,
        "task_group": "audio",
        "task": "tts",
        "function": "SpeechSynthesizer",
        "input": {"text": text} if text else {},
        "parameters": {"voice": "v", **parameters},
    }
    return frame("run-task", payload)


def more(text: str, **extra: Any) -> str:
    return frame("continue-task", {"model": "cosyvoice-v2", "input": {"text": text, **extra}})


def started(**parameters: Any) -> DashScopeCodec:
    codec = DashScopeCodec(23.0, lambda: "an-id")
    codec.decode(run(**parameters))
    return codec


def result(data: bytes = b"x", **more: Any) -> ResultGenerated:
    return ResultGenerated(T, "a", data, METRICS, binary=True, **more)


def read(frames: tuple[Frame, ...]) -> list[tuple[str, Any, bytes | None]]:
    """Each frame's kind, payload and attachment."""
    found = []
    for each in frames:
        message = orjson.loads(each.text)
        payload = message["payload"]
        kind = payload.get("output", {}).get("type") or message["header"]["event"]
        found.append((kind, payload, each.attachment))
    return found


def kinds(frames: tuple[Frame, ...]) -> list[str]:
    return [kind for kind, _, _ in read(frames)]


def test_the_three_actions_are_read() -> None:
    codec = DashScopeCodec(23.0, lambda: "an-id")
    command = codec.decode(run(text="Hi"))
    assert isinstance(command, RunTask)
    assert (command.task_id, command.text, command.parameters.reference_audio_id) == (T, "Hi", "v")
    assert codec.decode(more("there")) == ContinueTask(T, "there")
    assert codec.decode(more("")) == ContinueTask(T, "")
    assert codec.decode(frame("continue-task", {"input": {"flush": True}})) == ContinueTask(
        T, "", flush=True
    )
    assert codec.decode(frame("finish-task", {"input": {}})) == FinishTask(T)
    assert codec.decode(frame("finish-task")) == FinishTask(T)
    cancel = frame("finish-task", {"input": {"directive": "cancel"}})
    assert codec.decode(cancel) == CancelTask(T)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("{", BadFrame),
        ("[]", InvalidParameter),
        ("{}", InvalidParameter),
        (frame("pause-task"), InvalidParameter),
        (frame("cancel-task"), InvalidParameter),
        (frame("continue-task", {"input": {}}), InvalidParameter),
        (frame("continue-task", {"input": {"text": 3}}), InvalidParameter),
        (frame("continue-task", {"input": {"flush": "yes"}}), InvalidParameter),
        (frame("finish-task", {"input": {"directive": "stop"}}), InvalidParameter),
        (frame("finish-task", {}, task_id="a b"), InvalidParameter),
        (frame("finish-task", {}, task_id=7), InvalidParameter),
        (run(model="gpt-4"), ModelNotFound),
        (frame("run-task", {"model": "cosyvoice-v2"}), InvalidParameter),
    ],
)
def test_what_cannot_be_read_is_refused(data: str, error: type[TTSError]) -> None:
    with pytest.raises(error):
        DashScopeCodec(23.0, lambda: "an-id").decode(data)


def test_a_refusal_knows_its_task() -> None:
    with pytest.raises(ModelNotFound) as info:
        DashScopeCodec(23.0, lambda: "an-id").decode(run(model="gpt-4"))
    assert (info.value.task_id, info.value.starting) == (T, True)


def test_a_task_is_told_in_sentences() -> None:
    codec = started()
    codec.decode(more("One here. Two"))
    codec.decode(more(" there."))
    assert kinds(codec.encode(TaskStarted(T))) == ["task-started"]
    first = read(codec.encode(result(b"1", sentences=(Sentence(0, 0, 9, "One here."),))))
    assert [(kind, data) for kind, _, data in first] == [
        ("sentence-begin", None),
        ("sentence-synthesis", b"1"),
    ]
    assert first[0][1]["output"]["original_text"] == "One here."
    assert first[0][1]["output"]["sentence"] == {"index": 0, "words": []}
    assert kinds(codec.encode(result(b"2"))) == ["sentence-synthesis"]
    second = read(codec.encode(result(b"3", sentences=(Sentence(1, 9, 13, " Two"),))))
    assert [kind for kind, _, _ in second] == [
        "sentence-end",
        "sentence-begin",
        "sentence-synthesis",
    ]
    assert second[0][1]["output"]["original_text"] == "One here."
    assert second[2][1]["output"]["sentence"]["index"] == 1
    last = read(codec.encode(TaskFinished(T)))
    assert [kind for kind, _, _ in last] == ["sentence-end", "task-finished"]
    # It was begun before all of it was known; its end tells the whole.
    assert last[0][1]["output"]["original_text"] == " Two there."


def test_every_binary_frame_is_announced_by_one_event() -> None:
    codec = started()
    frames = codec.encode(result(b"abc"))
    assert [each.attachment for each in frames] == [None, b"abc"]
    assert all(b'"data"' not in each.text for each in frames)


def test_an_engine_without_sentences_has_one() -> None:
    codec = started()
    codec.decode(more("Hi"))
    assert kinds(codec.encode(result())) == ["sentence-begin", "sentence-synthesis"]
    assert kinds(codec.encode(result())) == ["sentence-synthesis"]
    assert kinds(codec.encode(TaskFinished(T))) == ["sentence-end", "task-finished"]


def test_words_stand_at_the_end_of_their_sentence() -> None:
    codec = started(word_timestamp_enabled=True)
    codec.decode(more("One. Two three."))
    codec.encode(result(sentences=(Sentence(0, 0, 4, "One."),), words=(Word("One", 0, 0.5, 0, 3),)))
    frames = codec.encode(
        result(
            sentences=(Sentence(1, 5, 15, "Two three."),),
            words=(Word("Two", 0.75, 1, 5, 8), Word("three", 1, 1.5, 9, 14)),
        )
    )
    ended = read(frames)[0][1]["output"]["sentence"]
    assert ended == {
        "index": 0,
        "words": [
            {"text": "One", "begin_index": 0, "end_index": 3, "begin_time": 0, "end_time": 500}
        ],
    }
    words = read(codec.encode(TaskFinished(T)))[0][1]["output"]["sentence"]["words"]
    assert [(word["text"], word["begin_index"], word["end_index"]) for word in words] == [
        ("Two", 0, 3),
        ("three", 4, 9),
    ]


def test_a_late_word_belongs_to_the_sentence_before() -> None:
    codec = started(word_timestamp_enabled=True)
    codec.decode(more("One. Two."))
    codec.encode(result(sentences=(Sentence(0, 0, 4, "One."),)))
    frames = codec.encode(
        result(
            sentences=(Sentence(1, 5, 9, "Two."),),
            words=(Word("One", 0, 0.5, 0, 3), Word("Two", 0.5, 1, 5, 8)),
        )
    )
    assert [word["text"] for word in read(frames)[0][1]["output"]["sentence"]["words"]] == ["One"]


def test_characters_are_cumulative_and_han_count_twice() -> None:
    codec = started()
    codec.decode(more("你好 a"))
    assert read(codec.encode(result()))[0][1]["usage"] == {"characters": 6}
    codec.decode(more("b"))
    assert read(codec.encode(TaskFinished(T)))[-1][1]["usage"] == {"characters": 7}


def test_tags_are_not_counted() -> None:
    codec = started(enable_ssml=True)
    codec.decode(more("<speak>你好<br"))
    codec.decode(more("eak/></speak>"))
    codec.encode(result(sentences=(Sentence(0, 0, 2, "你好"),)))
    ended, finished = read(codec.encode(TaskFinished(T)))
    assert ended[1]["output"]["original_text"] == "你好"
    assert finished[1]["usage"] == {"characters": 4}


@given(st.lists(st.text("<>/s é你 ", max_size=9), max_size=9))
def test_characters_of_markup_are_counted_the_same_in_any_pieces(pieces: list[str]) -> None:
    pieces = [" ", "<", "speak>", *pieces, "<"]  # the last piece tells what the < before it is
    codec = started(enable_ssml=True)
    for piece in pieces:
        codec.decode(more(piece))
    whole = "".join(pieces)[:-1]
    rest = re.sub("<[^<>]*>", "", whole)
    payload = orjson.loads(codec.encode(TaskFinished(T))[-1].text)["payload"]
    assert payload["usage"]["characters"] == count_characters(rest)


@pytest.mark.parametrize("piece", [" ", "a", "<"])
def test_a_long_text_may_come_in_tiny_pieces(piece: str) -> None:
    codec = started(enable_ssml=True)
    codec.decode(more("" if piece == " " else "<speak>"))
    for _ in range(50_000):
        codec.decode(more(piece))
    payload = orjson.loads(codec.encode(TaskFinished(T))[-1].text)["payload"]
    assert payload["usage"]["characters"] == (49_999 if piece == "<" else 50_000)


def test_a_less_than_sign_in_plain_text_is_text() -> None:
    codec = started()
    codec.decode(more("<3 you>"))
    assert read(codec.encode(result()))[0][1]["usage"] == {"characters": 7}


def test_a_cancelled_task_has_no_last_sentence() -> None:
    codec = started()
    codec.encode(result())
    (finished,) = read(codec.encode(TaskFinished(T, "cancelled")))
    assert finished[0] == "task-finished"


def test_the_end_has_a_request_uuid() -> None:
    codec = started()
    header = orjson.loads(codec.encode(TaskFinished(T))[-1].text)["header"]
    assert header["attributes"] == {"request_uuid": "an-id"}


@pytest.mark.parametrize(
    ("code", "theirs"),
    [
        ("TaskTimeout", "CLIENT_ERROR"),
        ("Throttled", "Throttling.RateQuota"),
        ("ReferenceAudioNotFound", "InvalidParameter"),
        ("InternalError", "InternalError"),
    ],
)
def test_errors_have_the_codes_that_clients_know(code: str, theirs: str) -> None:
    (failed,) = started().encode(TaskFailed(T, code, "why"))
    header = orjson.loads(failed.text)["header"]
    assert header["error_code"] == theirs
    expected = {
        "TaskTimeout": "request timeout after 23 seconds.",
        "ReferenceAudioNotFound": "payload.parameters.voice: why",
    }
    assert header["error_message"] == expected.get(code, "why")


def test_marks_come_with_their_sound() -> None:
    frames = started(enable_ssml=True).encode(result(marks=(Mark("here", 1.5),)))
    assert read(frames)[-1][1]["output"]["marks"] == [{"name": "here", "time": 1500}]


def test_a_new_run_task_forgets_the_old_one() -> None:
    codec = started()
    codec.decode(more("aaaa"))
    codec.encode(result())
    codec.decode(run())
    codec.decode(more("b"))
    frames = codec.encode(result())
    assert kinds(frames) == ["sentence-begin", "sentence-synthesis"]
    assert read(frames)[0][1]["usage"] == {"characters": 1}

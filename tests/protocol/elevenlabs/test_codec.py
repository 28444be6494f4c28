"""The wire of the ElevenLabs dialect's two WebSockets, with the task machine behind it."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from cosyserve.protocol.codec import Frame
from cosyserve.protocol.elevenlabs import MultiStreamCodec, StreamCodec, stream_options
from cosyserve.protocol.elevenlabs.codec import MOST_FAILED
from cosyserve.protocol.errors import BadFrame, InvalidParameter, TTSError
from cosyserve.protocol.messages import (
    CancelTask,
    ChunkMetrics,
    ContinueTask,
    EndSession,
    FinishTask,
    ResultGenerated,
    RunTask,
    TaskFailed,
    TaskFinished,
    TaskMetrics,
    TaskStarted,
    Word,
)
from cosyserve.protocol.task import TaskProtocol


def message(text: str | None = None, context_id: str | None = None, **more: Any) -> str:
    fields = {"text": text, "context_id": context_id, **more}
    return orjson.dumps({name: v for name, v in fields.items() if v is not None}).decode()


def stream(**query: str) -> StreamCodec:
    return StreamCodec(stream_options("alba", query))


def multi(**query: str) -> MultiStreamCodec:
    return MultiStreamCodec(stream_options("alba", query))


def result(
    task_id: str, begin: float, seconds: float, *words: Word, data: bytes = b"x"
) -> ResultGenerated:
    metrics = ChunkMetrics(speech_len=seconds, server_cost_time=0.0, generate_time=0.0)
    return ResultGenerated(task_id, "a", data, metrics, begin=begin, words=words)


def read(frames: tuple[Frame, ...]) -> list[dict[str, Any]]:
    assert all(frame.attachment is None for frame in frames)
    return [orjson.loads(frame.text) for frame in frames]


# One text


def test_a_stream_from_its_first_message_to_its_last() -> None:
    codec = stream(output_format="pcm_24000")
    first = codec.decode(message(" ", voice_settings={"speed": 1.5}))
    assert isinstance(first, RunTask)
    assert (first.text, first.parameters.speed) == ("", 1.5)
    assert first.parameters.reference_audio_id == "alba"
    assert codec.decode(message("Hello ")) == ContinueTask(first.task_id, "Hello ")
    assert codec.decode(message("you. ", flush=True)) == ContinueTask(
        first.task_id, "you. ", flush=True
    )
    assert codec.decode(message("")) == EndSession()
    assert codec.decode(message("too late")) is None


def test_blanks_before_the_text_are_not_part_of_it() -> None:
    codec = stream()
    codec.decode(message(" "))
    assert codec.decode(message("  ")) == ContinueTask("stream", "")
    assert codec.decode(message(" Hi")) == ContinueTask("stream", "Hi")
    assert codec.decode(message(" there")) == ContinueTask("stream", " there")


def test_a_flush_ends_a_sentence_and_a_blank_follows() -> None:
    codec = stream()
    codec.decode(message("Hi"))
    assert codec.decode(message(flush=True)) == ContinueTask("stream", " ", flush=True)
    assert codec.decode(message(flush=True)) == ContinueTask("stream", "", flush=True)
    assert codec.decode(message("You", flush=True)) == ContinueTask("stream", "You ", flush=True)


@pytest.mark.parametrize(
    ("text", "spoken", "flush"),
    [
        ("I am here.", "I am here. ", True),
        ("Are you? ", "Are you? ", True),
        ('He said: "No!"', 'He said: "No!" ', True),
        ("\u4f60\u597d\u3002", "\u4f60\u597d\u3002 ", True),
        ("Yes.", "Yes. ", False),  # one word may be anything, such as Mr.
        ("Mr. ", "Mr. ", False),
        ("I am ", "I am ", False),
        ("I am", "I am", False),
    ],
)
def test_in_auto_mode_a_sentence_is_spoken_at_once(text: str, spoken: str, flush: bool) -> None:
    codec = stream(auto_mode="true")
    codec.decode(message("So "))
    assert codec.decode(message(text)) == ContinueTask("stream", spoken, flush)


def test_audio_and_its_end_are_told() -> None:
    codec = stream()
    codec.decode(message("Hi. "))
    assert codec.encode(TaskStarted("stream")) == ()
    (told,) = read(codec.encode(result("stream", 0.0, 0.5, data=b"sound")))
    assert base64.b64decode(told["audio"]) == b"sound"
    assert told["isFinal"] is None
    assert told["alignment"] is told["normalizedAlignment"] is None
    assert read(codec.encode(TaskFinished("stream"))) == [
        {"audio": None, "isFinal": True, "normalizedAlignment": None, "alignment": None}
    ]


def test_characters_go_on_from_where_the_message_before_ended() -> None:
    codec = stream()
    codec.decode(message("ab cd. "))
    first = Word("ab", 0.1, 0.3, 0, 2)
    second = Word("cd.", 1.2, 1.6, 3, 6)
    told = [
        read(codec.encode(event))[0]
        for event in (
            result("stream", 0.0, 0.5, first),
            result("stream", 0.5, 0.5),  # a pause: nothing begins in it
            result("stream", 1.0, 0.5, second),
            result("stream", 1.5, 0.5),
        )
    ]
    assert told[0]["alignment"] == {
        "chars": ["a", "b", " "],
        "charStartTimesMs": [100, 200, 300],
        "charDurationsMs": [100, 100, 200],
    }
    assert told[0]["normalizedAlignment"] == told[0]["alignment"]
    assert told[1]["alignment"] is None
    assert told[2]["alignment"]["chars"] == ["c", "d", "."]
    assert told[2]["alignment"]["charStartTimesMs"] == [700, 833, 967]
    assert told[3]["alignment"]["charStartTimesMs"] == [100]
    # A client that adds up what each message spans is where the speech is.
    spans = [
        each["alignment"]["charStartTimesMs"][-1] + each["alignment"]["charDurationsMs"][-1]
        for each in told
        if each["alignment"]
    ]
    assert sum(spans) == 2000


def test_what_no_chunk_had_is_told_before_the_end() -> None:
    codec = stream()
    codec.decode(message("ab"))
    codec.encode(result("stream", 0.0, 0.5, Word("ab", 0.0, 0.5, 0, 2)))
    codec.decode(message("?!"))
    rest, last = read(codec.encode(TaskFinished("stream")))
    assert (rest["audio"], rest["alignment"]["chars"]) == ("", ["?", "!"])
    assert last["isFinal"] is True


def test_with_ssml_the_words_are_told_and_not_the_markup() -> None:
    codec = stream(enable_ssml_parsing="true")
    codec.decode(message('<speak>One <break time="1s"/>two</speak>'))
    words = (Word("One", 0.0, 0.2, 0, 3), Word("two", 1.2, 1.5, 4, 7))
    (told,) = read(codec.encode(result("stream", 0.0, 1.5, *words)))
    assert "".join(told["alignment"]["chars"]) == "One two"
    assert told["alignment"]["charStartTimesMs"][-3:] == [1200, 1300, 1400]


def test_a_failure_is_told_by_its_name() -> None:
    codec = stream()
    codec.decode(message("Hi"))
    assert read(codec.encode(TaskFailed("stream", "ReferenceAudioNotFound", "no voice"))) == [
        {"message": "no voice", "error": "voice_not_found", "code": 1008}
    ]
    assert codec.decode(message("more")) is None


@pytest.mark.parametrize("begun", [False, True])
def test_a_message_that_is_refused_is_about_the_one_text(begun: bool) -> None:
    codec = stream()
    if begun:
        codec.decode(message("Hi"))
    with pytest.raises(InvalidParameter) as refused:
        codec.decode('{"text": 5}')
    assert (refused.value.task_id, refused.value.starting) == ("stream", not begun)


@pytest.mark.parametrize("codec", [stream(), multi()])
def test_what_is_no_json_closes_the_connection(codec: StreamCodec | MultiStreamCodec) -> None:
    with pytest.raises(BadFrame):
        codec.decode("{")
    with pytest.raises(InvalidParameter):
        codec.decode("[]")


# Many texts


def test_a_context_from_its_first_message_to_its_last() -> None:
    codec = multi(auto_mode="true")
    first = codec.decode(message(" ", "ctx", voice_settings={"speed": 1.5}))
    assert isinstance(first, RunTask)
    assert (first.task_id, first.text, first.parameters.speed) == ("ctx", "", 1.5)
    assert codec.decode(message("Hello you. ", "ctx", flush=True)) == ContinueTask(
        "ctx", "Hello you. ", flush=True
    )
    assert codec.decode(message("", "ctx", flush=True)) == ContinueTask("ctx", "", flush=True)
    assert codec.decode(message(None, "ctx", close_context=True)) == FinishTask("ctx")
    (told,) = read(codec.encode(result("ctx", 0.0, 0.5)))
    assert told["contextId"] == told["context_id"] == "ctx"
    assert "is_final" not in told
    (last,) = read(codec.encode(TaskFinished("ctx")))
    assert last["contextId"] == last["context_id"] == "ctx"
    assert last["isFinal"] is last["is_final"] is True
    assert codec.decode(message(None, "ctx", close_context=True)) is None


def test_an_empty_text_keeps_alive_and_opens_nothing() -> None:
    codec = multi()
    assert codec.decode(message("")) is None
    assert codec.decode(message("", "ctx")) is None
    assert codec.decode(message(None, "ctx", flush=True)) is None
    codec.decode(message("Hi ", "ctx"))
    assert codec.decode(message("", "ctx")) == ContinueTask("ctx", "")
    assert codec.decode(message("")) is None


def test_to_close_a_context_gives_up_what_no_flush_ended() -> None:
    codec = multi()
    codec.decode(message("Hi there. ", "a"))
    assert codec.decode(message(None, "a", close_context=True)) == CancelTask("a")
    codec.decode(message("Hi there. ", "b", flush=True))
    codec.decode(message("And ", "b"))
    assert codec.decode(message(None, "b", close_context=True)) == CancelTask("b")
    codec.decode(message(" ", "c"))
    assert codec.decode(message(None, "c", close_context=True)) == CancelTask("c")


@pytest.mark.parametrize("between", ["", " "])
def test_what_keeps_alive_after_a_flush_gives_up_nothing(between: str) -> None:
    codec = multi()
    codec.decode(message("Hi there. ", "a", flush=True))
    codec.decode(message(between, "a"))
    assert codec.decode(message(None, "a", close_context=True)) == FinishTask("a")


def test_to_close_it_once_more_gives_up_the_rest() -> None:
    codec = multi()
    codec.decode(message("Hi. ", "a", flush=True))
    codec.decode(message(None, "a", close_context=True))
    assert codec.decode(message("", "a")) is None
    assert codec.decode(message(None, "a", close_context=True)) == CancelTask("a")


def test_the_name_of_a_closed_context_is_free_at_once() -> None:
    codec = multi()
    codec.decode(message("Hi. ", "a", flush=True))
    codec.decode(message(None, "a", close_context=True))
    again = codec.decode(message("You. ", "a"))
    assert isinstance(again, RunTask)
    assert again.task_id != "a"
    for task_id in ("a", again.task_id):
        (told,) = read(codec.encode(result(task_id, 0.0, 0.5)))
        assert told["contextId"] == "a"
    codec.encode(TaskFinished("a"))
    assert codec.decode(message("More. ", "a")) == ContinueTask(again.task_id, "More. ")
    codec.decode(message(None, "a", flush=True))
    assert codec.decode(message(None, "a", close_context=True)) == FinishTask(again.task_id)


@pytest.mark.parametrize("name", [None, "a b", "\u00e9", "_1", "x" * 65])
def test_any_name_will_do(name: str | None) -> None:
    codec = multi()
    first = codec.decode(message("Hi ", name))
    other = codec.decode(message("Hi ", "other one"))
    assert isinstance(first, RunTask)
    assert isinstance(other, RunTask)
    assert first.task_id != other.task_id
    assert codec.decode(message("you", name)) == ContinueTask(first.task_id, "you")
    (told,) = read(codec.encode(result(first.task_id, 0.0, 0.5)))
    assert told["contextId"] == name


@pytest.mark.parametrize(("asked", "origin"), [("true", 1000), ("false", 0)])
def test_times_count_from_the_start_where_that_is_asked_for(asked: str, origin: int) -> None:
    codec = multi(sync_alignment=asked)
    codec.decode(message("ab cd ", "a"))
    codec.encode(result("a", 0.0, 1.0, Word("ab", 0.0, 0.5, 0, 2)))
    (told,) = read(codec.encode(result("a", 1.0, 1.0, Word("cd", 1.0, 1.5, 3, 5))))
    assert told["alignment"]["charStartTimesMs"][0] == origin


def test_a_context_that_failed_says_so_and_takes_no_more_of_its_text() -> None:
    codec = multi()
    codec.decode(message(" ", "a"))
    codec.decode(message("Hi ", "b"))
    (told,) = read(codec.encode(TaskFailed("a", "TaskTimeout", "no text came")))
    assert told == {
        "message": "no text came",
        "error": "input_timeout_exceeded",
        "code": 1008,
        "isFinal": True,
        "is_final": True,
        "contextId": "a",
        "context_id": "a",
    }
    assert codec.decode(message("late ", "a")) is None
    assert codec.decode(message("more ", "b")) == ContinueTask("b", "more ")
    again = codec.decode(message(" ", "a"))
    assert isinstance(again, RunTask)


def test_an_end_that_cannot_be_encoded_leaves_the_context_to_fail_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codec = multi()
    codec.decode(message("Hi ", "a"))

    def breaks(context: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(codec, "ended", breaks)
    metrics = TaskMetrics(speech_len=0.0, first_package_time=0.0, rtf=0.0)
    with pytest.raises(RuntimeError):
        codec.encode(TaskFinished("a", "stop", 0, metrics))
    (told,) = read(codec.encode(TaskFailed("a", "InternalError", "internal error")))
    assert (told["contextId"], told["isFinal"]) == ("a", True)


def test_to_close_a_failed_context_frees_its_name() -> None:
    codec = multi()
    codec.decode(message("Hi ", "a"))
    codec.encode(TaskFailed("a", "Throttled", "too many"))
    assert codec.decode(message(None, "a", close_context=True)) is None
    assert isinstance(codec.decode(message("Hi ", "a")), RunTask)


def test_failures_are_not_remembered_for_ever() -> None:
    codec = multi()
    for number in range(MOST_FAILED + 1):
        codec.decode(message("Hi ", f"c{number}"))
        codec.encode(TaskFailed(f"c{number}", "Throttled", "too many"))
    assert codec.decode(message("late ", "c1")) is None
    assert isinstance(codec.decode(message("Hi ", "c0")), RunTask)


def test_a_message_that_is_refused_is_about_its_context() -> None:
    codec = multi()
    protocol = TaskProtocol(codec)
    with pytest.raises(TTSError) as refused:
        protocol.receive(message(" ", "no such id", voice_settings={"speed": 9}))
    (told,) = read(protocol.answer(refused.value))
    assert told["contextId"] == "no such id"
    assert told["error"] == "invalid_parameters"
    assert protocol.receive(message("late ", "no such id")) is None
    assert isinstance(protocol.receive(message("Hi ", "other")), RunTask)
    with pytest.raises(TTSError) as refused:
        protocol.receive('{"text": 5, "context_id": "other"}')
    assert protocol.ends_task(refused.value)


def test_an_error_without_a_context_names_none() -> None:
    (told,) = read(multi().encode(TaskFailed("", "InvalidParameter", "not an object")))
    assert told == {"message": "not an object", "error": "invalid_parameters", "code": 1008}


def test_to_close_the_socket_ends_everything() -> None:
    codec = multi()
    codec.decode(message("Hi ", "a"))
    assert codec.decode(message(None, close_socket=True)) == EndSession()
    assert codec.decode(message("late ", "b")) is None


@pytest.mark.parametrize(
    ("text", "flush"), [("." * 200_000 + "a", False), ("a. b" * 50_000 + "! \u201d", True)]
)
def test_a_long_text_is_read_at_once(text: str, flush: bool) -> None:
    command = stream(auto_mode="true").decode(message(text))
    assert isinstance(command, RunTask)
    assert command.flush is flush


@pytest.mark.parametrize(
    ("text", "flush"),
    [
        ("One two.", True),
        ("One two.)", True),
        ("One two._", False),
        ("One two", False),
        ("One.", False),
        ("\u4f60\u597d\u3002", True),
        ("\u4f60\u597d\u3002\u201d", True),
        ("...", False),
    ],
)
def test_auto_mode_flushes_where_a_sentence_ends(text: str, flush: bool) -> None:
    command = stream(auto_mode="true").decode(message(text))
    assert isinstance(command, RunTask)
    assert command.flush is flush

"""Commands: what is taken, what is refused, and how the refusal reads."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.protocol.cosyvoice.codec import decode_command, encode_command
from cosyserve.protocol.errors import BadFrame, InvalidParameter, ModelNotFound, TTSError
from cosyserve.protocol.messages import CancelTask, Command, ContinueTask, FinishTask, RunTask
from support.tools.protocol_examples import COMMANDS, commands, json_values

GOOD = {"mode": "fast_replication", "reference_audio_id": "ref-1"}


def command(action: object = "run-task", task_id: object = "t-1", **payload: object) -> bytes:
    header = {"action": action, "task_id": task_id, "streaming": "duplex"}
    return orjson.dumps({"header": header, "payload": payload})


def run(**payload: object) -> bytes:
    return command(**{"model": "cosyvoice-v2", "parameters": GOOD, **payload})


def refused(data: bytes | str) -> TTSError:
    with pytest.raises(InvalidParameter) as caught:
        decode_command(data)
    return caught.value


@given(commands)
def test_what_is_encoded_decodes_to_the_same(command: Command) -> None:
    assert decode_command(encode_command(command)) == command


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_arbitrary_bytes_and_text_raise_nothing_but_tts_errors(data: bytes | str) -> None:
    with pytest.raises(TTSError):
        decode_command(data)


def fits(value: object) -> bool:
    """Whether orjson writes it: its integers have 64 bits."""
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


@given(json_values.filter(fits))
def test_arbitrary_json_raises_nothing_but_tts_errors(value: object) -> None:
    with pytest.raises(TTSError):
        decode_command(orjson.dumps(value))


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else ()
    return [path, *(p for key, each in inner for p in paths(each, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: object) -> Any:
    if not path:
        return new
    return {**value, path[0]: replaced(value[path[0]], path[1:], new)}


def attempt(data: bytes) -> object:
    try:
        return decode_command(data)
    except TTSError as error:
        return error


@given(st.data(), st.sampled_from(COMMANDS), json_values.filter(fits))
def test_a_command_with_anything_put_anywhere_decodes_or_raises_a_tts_error(
    data: st.DataObject, command: Command, new: object
) -> None:
    whole = orjson.loads(encode_command(command))
    path = data.draw(st.sampled_from(paths(whole)))
    outcome = attempt(orjson.dumps(replaced(whole, path, new)))
    if isinstance(outcome, TTSError):
        assert len(outcome.message) < 2000
        if path not in ((), ("header",), ("header", "task_id")):
            assert outcome.task_id == command.task_id
    else:
        assert isinstance(outcome, Command)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{not json",
        b"\xff\xfe",
        b'{"header": NaN}',
        b'{"a": "\\ud800", }',
        b'{"a": "\\ud800", "b": NaN}',
        b'{"a": "\\ud800", "b": 1e999}',
        '{"a": "\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b"\xef\xbb\xbf",
        b'\xef\xbb\xbf\xef\xbb\xbf{"header": {}}',
        b'{"a": "\\ud800", "b": ' + b"[" * 100_000,
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_is_not_json_is_a_bad_frame_1007(data: bytes | str) -> None:
    with pytest.raises(BadFrame) as caught:
        decode_command(data)
    assert caught.value.close_code == 1007
    # A close frame's reason has at most 123 bytes (RFC 6455, section 5.5).
    assert len(caught.value.message.encode()) <= 123


@pytest.mark.parametrize("data", [b"[]", b"1", b"null", b'"text"', b"true"])
def test_json_that_is_no_object_is_invalid(data: bytes) -> None:
    error = refused(data)
    assert error.message.startswith("message: ")
    assert error.task_id is None


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"{}", "header: missing"),
        (b'{"header": null}', "header: missing"),
        (b'{"header": []}', "header: an array"),
        (b'{"header": {"task_id": "t-1"}}', "header.action: missing"),
        (command(action=7), "header.action: 7"),
        (command(action="sing"), "header.action: 'sing'"),
        (b'{"header": {"action": "run-task"}}', "header.task_id: missing"),
        (command(task_id=7), "header.task_id: 7"),
        (command(task_id={}), "header.task_id: an object"),
        (command(task_id=""), "header.task_id: ''"),
        (command(task_id="a b"), "header.task_id: 'a b'"),
        (command(task_id="t\n"), "header.task_id: 't\\n'"),
        (command(task_id="ä"), "header.task_id: 'ä'"),
        (command(task_id="٣"), "header.task_id: '٣'"),
        (
            b'{"header": {"action": "run-task", "task_id": "t", "streaming": 1}}',
            "header.streaming: 1",
        ),
        (b'{"header": {"action": "run-task", "task_id": "t"}}', "payload: missing"),
        (b'{"header": {"action": "continue-task", "task_id": "t"}}', "payload: missing"),
        (b'{"header": {"action": "cancel-task", "task_id": "t"}, "payload": 1}', "payload: 1"),
        (run(task_group=1), "payload.task_group: 1"),
        (run(task=[]), "payload.task: an array"),
        (run(function=True), "payload.function: true"),
        (run(model=None), "payload.model: missing"),
        (run(model=2), "payload.model: 2"),
        (run(parameters=None), "payload.parameters: missing"),
        (run(parameters="x"), "payload.parameters: 'x'"),
        (run(parameters={**GOOD, "speed": 9}), "payload.parameters.speed: 9"),
        (run(input="text"), "payload.input: 'text'"),
        (run(input={"text": 7}), "payload.input.text: 7"),
        (command("continue-task"), "payload.input: missing"),
        (command("continue-task", input={}), "payload.input.text: missing"),
        (command("continue-task", input={"text": None}), "payload.input.text: missing"),
        (command("continue-task", input={"text": ["a"]}), "payload.input.text: an array"),
        (command("finish-task", input={"text": False}), "payload.input.text: false"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_wrong_field_is_named_with_its_value_and_what_is_allowed(data: bytes, field: str) -> None:
    message = refused(data).message
    assert message.startswith(field), message
    assert "; allowed: " in message


def test_an_unknown_model_is_named_with_those_that_are_served() -> None:
    with pytest.raises(ModelNotFound) as caught:
        decode_command(run(model="other" * 1000))
    assert "'other" in caught.value.message
    assert "cosyvoice-v2, CosyVoice2-0.5B" in caught.value.message
    assert len(caught.value.message) < 200
    assert caught.value.task_id == "t-1"


@pytest.mark.parametrize(
    ("data", "task_id"),
    [
        (run(model=7), "t-1"),
        (command(task_id="a b"), "a b"),
        (command(task_id="x" * 64, action="sing"), "x" * 64),
        (command(task_id="x" * 65), "x" * 61 + "..."),
        (command(task_id=7), None),
    ],
)
def test_errors_carry_the_task_id_that_could_be_read(data: bytes, task_id: str | None) -> None:
    assert refused(data).task_id == task_id


def test_errors_tell_whether_the_message_would_have_started_a_task() -> None:
    assert refused(run(model=7)).starting
    assert not refused(command("continue-task")).starting


def test_unknown_fields_are_ignored_and_null_means_absent() -> None:
    data = orjson.dumps(
        {
            "header": {"action": "run-task", "task_id": "t", "streaming": None, "new": 1},
            "payload": {
                "model": "cosyvoice-v2",
                "task": None,
                "parameters": {**GOOD, "seed": None, "speed": None, "instruct": None, "new": []},
                "input": None,
                "new": {},
            },
            "new": 1,
        }
    )
    decoded = decode_command(data)
    assert isinstance(decoded, RunTask)
    assert decoded.text == ""
    assert (decoded.parameters.seed, decoded.parameters.speed) == (None, 1.0)


def test_what_may_be_left_out() -> None:
    def bare(action: str) -> bytes:
        return orjson.dumps({"header": {"action": action, "task_id": "t"}})

    assert decode_command(bare("finish-task")) == FinishTask("t")
    assert decode_command(bare("cancel-task")) == CancelTask("t")
    assert decode_command(command("finish-task", input={})) == FinishTask("t-1")
    assert decode_command(command("continue-task", input={"text": ""})) == ContinueTask("t-1", "")


def test_run_task_as_clients_of_the_api_send_it() -> None:
    whole = orjson.loads(encode_command(COMMANDS[1]))
    assert whole["header"] == {"action": "run-task", "task_id": "t_2", "streaming": "duplex"}
    payload = whole["payload"]
    assert (payload["task_group"], payload["task"]) == ("audio", "tts")
    assert payload["function"] == "SpeechSynthesizer"
    assert payload["input"] == {"text": "你好，"}
    assert payload["parameters"]["sample_rate"] == 48000

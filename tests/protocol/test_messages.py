"""Every message class has an example, and every example survives the wire."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from cosyserve.protocol import messages
from cosyserve.protocol.cosyvoice.codec import (
    decode_command,
    decode_event,
    encode_command,
    encode_event,
)
from cosyserve.protocol.messages import Event, TaskCommand
from support.tools.protocol_examples import COMMANDS, EVENTS

# What messages are made of, no messages themselves.
PARTS = {
    *("StageTimes", "ChunkMetrics", "TaskMetrics", "EffectiveAudio"),
    *("Word", "Sentence", "Mark", "Heard", "QuotaLeft", "TraceContext"),
}
# What the wire of our own API has no word for.
OF_DIALECTS = {"EndSession", "Reply", "Several"}


def message_classes() -> set[type]:
    return {
        each
        for each in vars(messages).values()
        if dataclasses.is_dataclass(each)
        and isinstance(each, type)
        and each.__module__ == messages.__name__
        and each.__name__ not in PARTS | OF_DIALECTS
    }


def test_the_unions_hold_every_message_class() -> None:
    assert message_classes() == set(get_args(TaskCommand)) | set(get_args(Event))


def test_every_message_class_has_an_example() -> None:
    assert message_classes() == {type(each) for each in (*COMMANDS, *EVENTS)}


@pytest.mark.parametrize("name", sorted(each.__name__ for each in message_classes()))
def test_messages_are_frozen_and_have_a_task_id(name: str) -> None:
    example = next(x for x in (*COMMANDS, *EVENTS) if type(x).__name__ == name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        example.task_id = "other"  # type: ignore[misc]


@pytest.mark.parametrize("command", COMMANDS, ids=repr)
def test_commands_survive_the_wire(command: TaskCommand) -> None:
    assert decode_command(encode_command(command)) == command
    assert decode_command(encode_command(command).decode()) == command


@pytest.mark.parametrize("event", EVENTS, ids=repr)
def test_events_survive_the_wire(event: Event) -> None:
    frame = encode_event(event)
    assert frame.attachment is None
    assert decode_event(frame.text) == event
    assert decode_event(frame.text.decode()) == event

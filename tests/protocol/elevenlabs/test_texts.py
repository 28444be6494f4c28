"""Messages of the ElevenLabs dialect's clients."""

from __future__ import annotations

from typing import Any

import pytest

from cosyserve.protocol.elevenlabs.texts import Message, context_id_of, read_message
from cosyserve.protocol.errors import InvalidParameter


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"text": "Hi "}, Message("Hi ")),
        ({"text": ""}, Message("")),
        ({"text": None, "flush": True}, Message(None, flush=True)),
        ({"text": " "}, Message(" ", opens=True)),
        ({"text": "Hi ", "voice_settings": {"speed": 1.5}}, Message("Hi ", 1.5, opens=True)),
        (
            {"text": " ", "generation_config": {"chunk_length_schedule": [50]}},
            Message(" ", opens=True),
        ),
        ({"text": "Hi ", "try_trigger_generation": True, "xi_api_key": "k"}, Message("Hi ")),
        ({"close_context": True}, Message(None, close_context=True)),
        ({"close_socket": True, "flush": False}, Message(None, close_socket=True)),
    ],
)
def test_a_message(fields: dict[str, Any], expected: Message) -> None:
    assert read_message(fields) == expected


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"text": 5}, "text"),
        ({"text": "a", "flush": "yes"}, "flush"),
        ({"close_context": 1}, "close_context"),
        ({"close_socket": "1"}, "close_socket"),
        ({"text": " ", "voice_settings": {"speed": 9}}, "voice_settings.speed"),
        ({"pronunciation_dictionary_locators": [{}]}, "pronunciation_dictionary_locators"),
    ],
)
def test_a_field_that_is_refused_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        read_message(fields)
    assert refused.value.message.startswith(named)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, None), ({"context_id": ""}, None), ({"context_id": "a"}, "a"), ({"contextId": "b"}, "b")],
)
def test_the_context(fields: dict[str, Any], expected: str | None) -> None:
    assert context_id_of(fields) == expected


@pytest.mark.parametrize("context_id", [5, "c" * 257])
def test_a_context_that_is_refused(context_id: Any) -> None:
    with pytest.raises(InvalidParameter, match="context_id"):
        context_id_of({"context_id": context_id})

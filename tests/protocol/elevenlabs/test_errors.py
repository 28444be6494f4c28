"""Errors as the ElevenLabs dialect's clients know them."""

from __future__ import annotations

import pytest

from cosyserve.protocol.elevenlabs.rest import INTERNAL, error_body, error_message, status_of
from cosyserve.protocol.errors import BadFrame, InternalError, InvalidState, TTSError
from cosyserve.protocol.errors import ReferenceAudioNotFound as NoVoice
from support.tools.contracts import error_classes


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_name(kind: type[TTSError]) -> None:
    ours = {InternalError, InvalidState}  # no client of this dialect can bring about the second
    assert (status_of(kind.code) == INTERNAL) == (kind in ours)
    assert BadFrame.code == "InvalidParameter"


def test_the_body_of_an_answer() -> None:
    assert error_body(NoVoice("no such voice")) == {
        "detail": {"status": "voice_not_found", "message": "no such voice"}
    }


@pytest.mark.parametrize(
    ("code", "status", "number"),
    [
        ("ReferenceAudioNotFound", "voice_not_found", 1008),
        ("TaskTimeout", "input_timeout_exceeded", 1008),
        ("EngineUnavailable", "system_busy", 1011),
        ("InternalError", INTERNAL, 1011),
    ],
)
def test_a_message(code: str, status: str, number: int) -> None:
    assert error_message(code, "why") == {"message": "why", "error": status, "code": number}

"""The codec of this server's own API, as the task machine uses it."""

from __future__ import annotations

from cosyserve.protocol.codec import refuse_binary
from cosyserve.protocol.cosyvoice.codec import (
    CosyVoiceCodec,
    decode_command,
    encode_command,
    encode_event,
)
from support.tools.protocol_examples import COMMANDS, EVENTS


def test_the_codec_does_what_the_functions_do() -> None:
    codec = CosyVoiceCodec()
    for command in COMMANDS:
        data = encode_command(command)
        assert codec.decode(data) == decode_command(data) == command
    for event in EVENTS:
        assert codec.encode(event) == (encode_event(event),)


def test_binary_frames_are_refused_with_1003() -> None:
    error = refuse_binary()
    assert error.close_code == 1003
    assert len(error.message.encode()) <= 123  # the most a close frame's reason may have

"""Messages to and from the wire of `/api-ws/v1/audio/speech`: JSON with `header` and `payload`.

Decoding checks everything: what it returns can be trusted. Unknown fields are ignored, and null
means absent. Whatever the peer sends, only a TTSError comes out.
"""

from __future__ import annotations

from typing import Final

from .cosyvoice.codec import decode_command, encode_command
from .errors import BadFrame
from .event_codec import Frame, decode_event, encode_event
from .messages import Command, Event

__all__ = [
    "CosyVoiceCodec",
    "Frame",
    "decode_command",
    "decode_event",
    "encode_command",
    "encode_event",
    "refuse_binary",
]

CLOSE_UNSUPPORTED_DATA: Final = 1003  # RFC 6455, section 7.4.1


class CosyVoiceCodec:
    """The wire of this server's own API."""

    def decode(self, data: bytes | str) -> Command:
        return decode_command(data)

    def encode(self, event: Event) -> tuple[Frame, ...]:
        return (encode_event(event),)


def refuse_binary() -> BadFrame:
    """The error for a binary frame from a client: no command is binary."""
    return BadFrame("a binary frame; commands are JSON in text frames", CLOSE_UNSUPPORTED_DATA)

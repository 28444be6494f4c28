"""What a dialect's codec is: a client's text frames in, frames of the server's events out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol

from .errors import BadFrame
from .messages import Command, Event

LONGEST_TASK_ID: Final = 64
TASK_ID: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_TASK_ID}}}")
"""What the id of a task may be, in every dialect."""

CLOSE_UNSUPPORTED_DATA: Final = 1003
"""RFC 6455, section 7.4.1."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A text frame and, unless None, the binary frame to send right after it, even if empty.

    text: b"" sends none.
    """

    text: bytes
    attachment: bytes | None = None


class DialectCodec(Protocol):
    """A dialect's wire on one connection. It may remember what the connection's tasks were about."""

    def decode(self, data: bytes | str) -> Command | None:
        """Read a client's text frame; None if the frame asks for nothing.

        Raises only TTSError, with the task_id where it could read one.
        """

    def encode(self, event: Event) -> tuple[Frame, ...]:
        """The frames of an event, in order; none if the dialect does not report such an event."""


def refuse_binary() -> BadFrame:
    """The error for a binary frame from a client: no command is binary."""
    return BadFrame("a binary frame; commands are JSON in text frames", CLOSE_UNSUPPORTED_DATA)

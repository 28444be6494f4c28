"""A WebSocket's intake and what stands around it, in the test's hand: a loop, a transport, a parser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from cosyserve.protocol.errors import Throttled
from cosyserve.server.websocket.intake import SLICE, Intake

FRAME: Final = 6
"""Bytes of a ping, the smallest frame of a client's."""


@dataclass
class Limits:
    max_messages_per_second: int = 100
    max_control_frames_per_second: int = 10
    max_messages_per_second_per_token: int = 1_000_000
    max_control_frames_per_second_per_token: int = 1_000_000
    flood_timeout: float = 30.0


class Loop:
    """An event loop whose time the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self._numbers = count()
        self._due: dict[tuple[float, int], Callable[[], None]] = {}

    @property
    def idle(self) -> bool:
        return not self._due

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> Handle:
        return self.call_later(0.0, callback)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Handle:
        key = (self.now + seconds, next(self._numbers))
        self._due[key] = callback
        return Handle(self._due, key)

    def turn(self) -> None:
        """Call what is due first, at its time."""
        key = min(self._due)
        self.now = max(self.now, key[0])
        self._due.pop(key)()


@dataclass
class Handle:
    due: dict[tuple[float, int], Callable[[], None]]
    key: tuple[float, int]

    def cancel(self) -> None:
        self.due.pop(self.key, None)


class Line:
    """An intake of control frames or messages of FRAME bytes."""

    def __init__(self, limits: Limits, loop: Loop | None = None, *, control: bool = False) -> None:
        self.loop = loop or Loop()
        self.reading = True
        self.parsed = 0
        self.floods: list[Throttled] = []
        self.control = control
        self._rest = 0
        transport: Any = self
        any_loop: Any = self.loop
        self.intake = Intake(any_loop, transport, self.feed, limits, self.floods.append)

    def feed(self, data: bytes) -> None:
        assert len(data) <= SLICE
        frames, self._rest = divmod(self._rest + len(data), FRAME)
        self.parsed += frames
        for _ in range(frames):
            self.intake.frame(control=self.control)

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

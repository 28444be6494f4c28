"""Turns for complete heads: many connections that come at once do not delay those that are there."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

HEADS_PER_TURN: Final = 8
"""In one turn of the loop. Each takes half a millisecond, mostly the handshake of its library."""


class HeadTurns:
    """Acts on heads in the order in which they come, at most HEADS_PER_TURN of them in a turn of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._left = HEADS_PER_TURN  # of this turn
        self._next: asyncio.Handle | None = None  # the next turn, if this one has had a head

    def enter(self, act: Callable[[], None]) -> bool:
        """Act now if this turn has room, and return True; else in a later turn."""
        if self._next is None:
            self._next = self._loop.call_soon(self._turn)
        if not self._left or self._waiting:
            self._waiting.append(act)
            return False
        self._left -= 1
        act()
        return True

    def _turn(self) -> None:
        self._left = HEADS_PER_TURN
        self._next = self._loop.call_soon(self._turn) if self._waiting else None
        while self._waiting and self._left:
            self._left -= 1
            self._waiting.popleft()()

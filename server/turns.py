"""Turns: many who come at once do not delay those that are there, nor those who come alone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Turns:
    """Gives so many turns in each round of the event loop, in rotation among those who ask.

    In between, everything else that is ready has its turn: when hundreds of tasks come at once, those that
    speak already send their next sound before it is missed. For one event loop.
    """

    def __init__(self, each_round: int) -> None:
        self._each_round = each_round
        self._left = each_round  # of this round
        self._waiting: dict[str, deque[Callable[[], None]]] = {}  # by who asks, in rotation
        self._next: asyncio.Handle | None = None  # the next round, if this one has had a turn

    def enter(self, who: str, act: Callable[[], None]) -> bool:
        """Act now if this round has room, and return True; else in a later round."""
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._round)
        if not self._left or self._waiting:
            self._waiting.setdefault(who, deque()).append(act)
            return False
        self._left -= 1
        act()
        return True

    async def take(self, who: str) -> None:
        """Wait for a turn. Cancel-safe."""
        turn = asyncio.get_running_loop().create_future()
        self.enter(who, lambda: None if turn.done() else turn.set_result(None))
        await turn

    def _round(self) -> None:
        self._left = self._each_round
        self._next = asyncio.get_running_loop().call_soon(self._round) if self._waiting else None
        while self._waiting and self._left:
            self._left -= 1
            who = next(iter(self._waiting))
            acts = self._waiting.pop(who)
            act = acts.popleft()
            if acts:
                self._waiting[who] = acts
            act()

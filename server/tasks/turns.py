"""Beginning one after another, so that what has begun goes on."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """Gives turns in the order in which they are taken, one in each round of the event loop.

    In between, everything else that is ready has its turn. When hundreds of tasks come at once, those that
    speak already send their next sound before it is missed, and the others begin a little later; otherwise
    all of them would begin first, and then all would be late.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._next: asyncio.Handle | None = None

    async def take(self) -> None:
        """Wait for a turn. Cancel-safe."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        if self._next is None:
            self._next = loop.call_soon(self._give, loop)
        await turn

    def _give(self, loop: asyncio.AbstractEventLoop) -> None:
        self._next = None
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # else nobody waits for it any more
                turn.set_result(None)
                break
        if self._waiting:
            self._next = loop.call_soon(self._give, loop)

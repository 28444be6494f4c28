"""What an attack is, and what it finds when it begins."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..wire import LOST

ANSWER_TIMEOUT: Final = 15.0
"""Seconds without an answer after which there is none: longer than the server's own for a head."""
UNANSWERED: Final = "unanswered"
FIRST_SOUND: Final = 0.1
"""Seconds: the goal of most attacks; see Attack.first_sound."""


@dataclass(slots=True)
class Ground:
    """A server to attack, and what the attacker has got of it so far.

    token: the attacker's. voice: one of the server's. scale: the share of its full size that an attack has.
    got: statuses of answers, codes of closed WebSockets, and other ends, with how often they came.
    """

    url: str
    token: str = field(repr=False)
    voice: str
    scale: float = 1.0
    got: Counter[str] = field(default_factory=Counter)

    def many(self, count: int) -> int:
        """So many, to scale; one at least."""
        return max(1, round(count * self.scale))

    async def note(self, answer: Awaitable[int], what: str = "") -> int | None:
        """Count a status or a close code; returns it, None if the connection ended without one."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                code = await answer
        except TimeoutError:
            self.got[what + UNANSWERED] += 1
        except LOST:
            self.got[what + "cut off"] += 1
        else:
            self.got[f"{what}{code}"] += 1
            return code
        return None

    async def repeat(self, times_at_once: int, act: Callable[[], Awaitable[None]]) -> None:
        """Do the same for ever, so many times at once (to scale). A lost connection ends one of them."""

        async def again() -> None:
            while True:
                try:
                    await act()
                except LOST:
                    self.got["cut off"] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(self.many(times_at_once)):
                group.create_task(again())


Lead = Callable[[Ground], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Attack:
    """lead: attacks until it is cancelled, `seconds` after it began, or has done all that it had to do.

    about: what it does, for a person.
    first_sound: the goal, in seconds, for the 95th percentile of what another client waits for its first
    sound; None if that client stands in the same queue as the attackers.
    prepare: puts into the folder of the server's references, before the server runs, what the attack needs
    there; it gets the attacker's name and the scale.
    """

    name: str
    about: str
    lead: Lead
    seconds: float = 15.0
    first_sound: float | None = FIRST_SOUND
    prepare: Callable[[Path, str, float], None] | None = None

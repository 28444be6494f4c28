"""How many frames a second the server reads: of one WebSocket, and of all WebSockets of a token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import structlog

log = structlog.get_logger(__name__)

BURST_SECONDS: Final = 4.0
"""Seconds of a budget that may be spent at once."""
SHORTEST_WAIT: Final = 0.001
"""Seconds. A wait for a fraction of a frame could be too short for the clock to tell."""


class FrameLimits(Protocol):
    """The settings that budgets and intakes read."""

    @property
    def max_messages_per_second(self) -> int: ...
    @property
    def max_control_frames_per_second(self) -> int: ...
    @property
    def max_messages_per_second_per_token(self) -> int: ...
    @property
    def max_control_frames_per_second_per_token(self) -> int: ...
    @property
    def flood_timeout(self) -> float: ...


class Budget:
    """So many things a second, BURST_SECONDS' worth at once, after a rest twice that. clock: seconds.

    left: is spent from by its users, for every frame; it can be overdrawn, and `wait` then tells for how long
    nothing more should be spent.
    """

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self.rate = rate
        self._clock = clock
        self.left = self._most = rate * BURST_SECONDS
        self._at = clock()
        self._behind_since: float | None = None

    def wait(self) -> float:
        """Seconds until it is balanced; 0 if it is."""
        if self.left >= 0:
            return 0.0
        self._refill()
        if self.left >= 0:
            return 0.0
        if self._behind_since is None:
            self._behind_since = self._at
        return max(-self.left / self.rate, SHORTEST_WAIT)

    def behind(self) -> float:
        """For how many seconds it has been overdrawn without half a burst being saved since."""
        self._refill()
        return 0.0 if self._behind_since is None else self._at - self._behind_since

    def _refill(self) -> None:
        now = self._clock()
        self.left = min(self._most, self.left + (now - self._at) * self.rate)
        self._at = now
        if self.left >= self._most / 2:
            self._behind_since = None


class Turn(Protocol):
    """A connection's next turn to be parsed."""

    def cancel(self) -> None: ...


class _WaitingTurn:
    """One that waits for a token's budget."""

    def __init__(self, waiting: dict[_WaitingTurn, None], take: Callable[[], None]) -> None:
        self._waiting = waiting
        self.take = take
        waiting[self] = None

    def cancel(self) -> None:
        self._waiting.pop(self, None)


class TokenBudget:
    """The budgets that all connections of a token share. name: the token's.

    While one is overdrawn, connections with something to read wait in a line. Each turn spends what has
    been saved since the one before, and ends at the end of the line: so none gets more than another, and
    one that seldom sends waits for one turn of each that floods.
    """

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop, limits: FrameLimits) -> None:
        self._name = name
        self._loop = loop
        self._told_again_after = limits.flood_timeout
        self.messages = Budget(limits.max_messages_per_second_per_token, loop.time)
        self.control = Budget(limits.max_control_frames_per_second_per_token, loop.time)
        self._line: dict[_WaitingTurn, None] = {}  # the next one first
        self._next: asyncio.Handle | None = None
        self._told: float | None = None  # loop time of the last line in the log

    def wait(self) -> float:
        """Seconds until both budgets are balanced."""
        return self.messages.wait() or self.control.wait()

    def queue(self, turn: Callable[[], None]) -> Turn:
        """Call `turn` when the budgets are balanced and all before it had theirs."""
        self._tell()
        waiting = _WaitingTurn(self._line, turn)
        self._go_on()
        return waiting

    def _go_on(self) -> None:
        if self._line and self._next is None:
            self._next = self._loop.call_later(self.wait(), self._take_turn)

    def _take_turn(self) -> None:
        """One turn only: what is saved while the loop was busy must not all be spent at once."""
        self._next = None
        if self._line and not self.wait():
            turn = next(iter(self._line))
            turn.cancel()
            turn.take()
        self._go_on()

    def _tell(self) -> None:
        now = self._loop.time()
        if self._told is None or now - self._told >= self._told_again_after:
            self._told = now
            log.warning("token_floods", caller=self._name, connections_waiting=len(self._line) + 1)


class TokenBudgets:
    """The budget of each token, made when it is first needed. For one event loop."""

    def __init__(self, limits: FrameLimits) -> None:
        self._limits = limits
        self._budgets: dict[str, TokenBudget] = {}

    def of(self, name: str) -> TokenBudget:
        """The one of the token of this name."""
        if name not in self._budgets:
            loop = asyncio.get_running_loop()
            self._budgets[name] = TokenBudget(name, loop, self._limits)
        return self._budgets[name]

"""How many connections, tasks and uploads may run at once: over a limit they are refused, never queued."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

from cosyserve.protocol.errors import EngineUnavailable, Throttled

from ..auth import Caller

MAX_RETRY_AFTER: Final = 60
_SMOOTHING: Final = 0.1  # the newest task's share in the mean duration


class AdmissionLimits(Protocol):
    """The settings that admission reads."""

    @property
    def max_connections(self) -> int: ...
    @property
    def max_tasks(self) -> int: ...
    @property
    def max_tasks_per_token(self) -> int: ...
    @property
    def max_tasks_per_connection(self) -> int: ...
    @property
    def max_uploads(self) -> int: ...


class Ticket:
    """A place taken; given back once, by `release` or by leaving the context."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back: Callable[[], None] | None = give_back

    def release(self) -> None:
        if self._give_back is not None:
            give_back, self._give_back = self._give_back, None
            give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class TaskTicket(Ticket):
    """A task's place. `free` lets the next task have it before this one is accounted for."""

    def __init__(self, free: Callable[[], None], give_back: Callable[[], None]) -> None:
        super().__init__(give_back)
        self._freed = Ticket(free)

    def free(self) -> None:
        """To be called just before the last word goes out: whoever reads that finds the place free."""
        self._freed.release()

    def release(self) -> None:
        self.free()
        super().release()


class ConnectionTicket(Ticket):
    """A connection's place; `tasks` is how many tasks run on it."""

    tasks: int = 0


class Admission:
    """Counts what runs. For one event loop; no method waits but `wait_idle`.

    `clock` gives seconds; it only serves to estimate when a place will be free.
    """

    def __init__(
        self, limits: AdmissionLimits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._connections = 0
        self._uploads = 0
        self._tasks: Counter[str] = Counter()  # that hold a place, by the caller's name
        self._mean_duration = 1.0  # seconds, smoothed
        self._draining = False
        self._unaccounted = 0  # tasks that are not over, whether or not their place is free
        self._idle = asyncio.Event()  # there are none of these
        self._idle.set()

    @property
    def connections(self) -> int:
        return self._connections

    @property
    def tasks(self) -> int:
        return self._tasks.total()

    @property
    def draining(self) -> bool:
        return self._draining

    def connect(self) -> ConnectionTicket:
        """Take a place for a connection. Raises Throttled, EngineUnavailable (draining)."""
        self._refuse_if_draining()
        if self._connections >= self._limits.max_connections:
            raise Throttled(f"the server is at its limit of {self._connections} connections")
        self._connections += 1
        return ConnectionTicket(self._disconnected)

    def enter(self, caller: Caller, connection: ConnectionTicket | None = None) -> TaskTicket:
        """Take a place for a task. Raises Throttled, EngineUnavailable (draining)."""
        self._refuse_if_draining()
        limits, name = self._limits, caller.name
        if connection is not None:
            self._check(
                connection.tasks, limits.max_tasks_per_connection, "tasks on this connection"
            )
        self._check(self._tasks[name], limits.max_tasks_per_token, "tasks for this token")
        self._check(self.tasks, limits.max_tasks, "tasks in all")
        if connection is not None:
            connection.tasks += 1
        self._tasks[name] += 1
        self._unaccounted += 1
        self._idle.clear()
        began = self._clock()
        return TaskTicket(lambda: self._freed(name, connection, began), self._task_ended)

    def upload(self) -> Ticket:
        """Take a place for an upload, which is held in memory until it is stored.

        Raises Throttled, EngineUnavailable (draining).
        """
        self._refuse_if_draining()
        self._check(self._uploads, self._limits.max_uploads, "uploads at once")
        self._uploads += 1
        return Ticket(self._uploaded)

    def drain(self) -> None:
        """Refuse everything new from now on; running tasks continue."""
        self._draining = True

    async def wait_idle(self) -> None:
        """Wait until no task runs. Cancel-safe."""
        await self._idle.wait()

    def _refuse_if_draining(self) -> None:
        if self._draining:
            raise EngineUnavailable(
                "the server is shutting down; connect again to reach another one"
            )

    def _check(self, running: int, limit: int, what: str) -> None:
        if running >= limit:
            raise Throttled(f"at most {limit} {what} are allowed", self._retry_after(running))

    def _retry_after(self, running: int) -> int:
        """Seconds until one of `running` tasks should end, if they last as long as earlier ones."""
        return min(max(1, math.ceil(self._mean_duration / running)), MAX_RETRY_AFTER)

    def _freed(self, name: str, connection: ConnectionTicket | None, began: float) -> None:
        self._mean_duration += _SMOOTHING * (self._clock() - began - self._mean_duration)
        if connection is not None:
            connection.tasks -= 1
        self._tasks[name] -= 1
        if not self._tasks[name]:
            del self._tasks[name]

    def _task_ended(self) -> None:
        self._unaccounted -= 1
        if not self._unaccounted:
            self._idle.set()

    def _disconnected(self) -> None:
        self._connections -= 1

    def _uploaded(self) -> None:
        self._uploads -= 1

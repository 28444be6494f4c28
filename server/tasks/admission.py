"""How many connections, tasks and uploads may run at once: over a limit they are refused, never queued."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Sized
from types import TracebackType
from typing import Final, Protocol, Self

from cosyserve.protocol.errors import EngineUnavailable, TaskPreempted, Throttled, TTSError

from ..auth import Caller
from .capacity import Capacity
from .unheard import Unheard
from .waiting import Waiting, WaitingLimits

MAX_RETRY_AFTER: Final = 60
_SOON: Final = 1
"""Seconds in which those that wait for their first sound have it."""
_MOST_OF_WHAT_IS_LEFT: Final = 9.0
"""Times as many tasks as the engine could still take that a token may have, of several: nine tenths alone."""
_SMOOTHING: Final = 0.1  # the newest task's share in the mean duration


class AdmissionLimits(WaitingLimits, Protocol):
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
    def max_realtime_share(self) -> float | None: ...
    @property
    def max_uploads(self) -> int: ...
    @property
    def tokens(self) -> Sized: ...


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

    def __init__(
        self,
        name: str,
        waiting: Waiting[TaskTicket],
        unheard: Unheard[TaskTicket],
        empty: Ticket,
        spoke: Callable[[float, float], None],
        free: Callable[[], None],
        give_back: Callable[[], None],
    ) -> None:
        """name: the caller's. empty: held until there is text. spoke: see `spoke`."""
        super().__init__(give_back)
        self.spoke = spoke
        """Take note of a chunk: the seconds waited for the engine, and those of its speech."""
        self.name = name
        self._waiting = waiting
        self._unheard = unheard
        self._has_text = self._heard = False
        self._empty = empty
        self._freed = Ticket(free)
        unheard.begin(self)

    def await_text(self, give_up: Callable[[TTSError], None]) -> None:
        """Let another task have the place if none is free and this one has waited for text too long.

        `give_up` is called then, with the error that is to end the task. The place is free already.
        """
        self._waiting.add(self, give_up)

    def active(self, *, characters: int = 0, seconds: float = 0.0) -> None:
        """Text has come or sound goes out, which makes up for waiting."""
        self._empty.release()
        if seconds and not self._heard:
            self._heard = True
            self._unheard.heard(self)
        elif characters and not self._has_text:
            self._has_text = True
            self._unheard.has_text(self)
        self._waiting.active(self, characters, seconds)

    def keep(self) -> None:
        """All text has come: the place is this task's to the end."""
        self._empty.release()
        self._unheard.has_all_text(self)
        self._waiting.discard(self)

    def free(self) -> None:
        """To be called just before the last word goes out: whoever reads that finds the place free."""
        self.keep()
        self._unheard.discard(self)
        self._freed.release()

    def release(self) -> None:
        self.free()
        super().release()


class ConnectionTicket(Ticket):
    """A connection's place; `tasks` is how many tasks run on it."""

    tasks: int = 0


class Admission:
    """Counts what runs. For one event loop; no method waits but `wait_idle`.

    Of several tokens, none may hold more connections, uploads, or tasks on connections that have had no text
    yet, than places are left free: alone it gets half of them, and of n that want all they can get, each
    gets one part in n + 1, so that whoever comes next finds a place. Tasks with text have a limit per
    token, and those that speak are no more than the engine keeps up with; of these, a token alone gets nine
    tenths, and each gets one. Once all places are taken, one that waits for text gives its place up to the
    next: the one that has waited longest, among those of the token that has the most of them.

    `clock` gives seconds: how long tasks wait, and when a place should be free.
    """

    def __init__(
        self, limits: AdmissionLimits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._several = False
        self.share_among(len(limits.tokens))
        self._connections: Counter[str] = Counter()  # by the caller's name
        self._uploads: Counter[str] = Counter()
        self._tasks: Counter[str] = Counter()  # that hold a place, by the caller's name
        self._waiting: Waiting[TaskTicket] = Waiting(limits, clock)
        self.capacity = Capacity(
            limits.max_realtime_share, limits.max_tasks, lambda: self.speaking, clock
        )
        """How many tasks the engine keeps up with."""
        self._unheard: Unheard[TaskTicket] = Unheard(self.capacity.began, clock)
        self._empty: Counter[str] = Counter()  # tasks on connections that have had no text yet
        self._mean_duration = 1.0  # seconds, smoothed
        self._draining = False
        self._unaccounted = 0  # tasks that are not over, whether or not their place is free
        self._idle = asyncio.Event()  # there are none of these
        self._idle.set()

    @property
    def connections(self) -> int:
        return self._connections.total()

    @property
    def uploads(self) -> int:
        return self._uploads.total()

    @property
    def tasks(self) -> int:
        return self._tasks.total()

    @property
    def speaking(self) -> int:
        """Tasks but for those that have long waited for text."""
        return self.tasks - self._waiting.resting().total()

    @property
    def draining(self) -> bool:
        return self._draining

    def share_among(self, tokens: int) -> None:
        """So many tokens hold from now on; places are shared among several."""
        self._several = tokens > 1

    def connect(self, caller: Caller) -> ConnectionTicket:
        """Take a place for a connection. Raises Throttled, EngineUnavailable (draining)."""
        self._refuse_if_draining()
        limit = self._limits.max_connections
        if self.connections >= limit:
            raise Throttled(f"the server is at its limit of {limit} connections")
        self._check_share(self._connections, caller, limit - self.connections, "connections")
        return ConnectionTicket(_take(self._connections, caller.name))

    def enter(self, caller: Caller, connection: ConnectionTicket | None = None) -> TaskTicket:
        """Take a place for a task. Raises Throttled, EngineUnavailable (draining)."""
        self._refuse_if_draining()
        limits, name = self._limits, caller.name
        if connection is not None:
            self._check(
                connection.tasks, limits.max_tasks_per_connection, "tasks on this connection"
            )
        self._check(self._tasks[name], limits.max_tasks_per_token, "tasks for this token")
        if self.tasks >= limits.max_tasks:
            self._preempt(name)
            self._check(self.tasks, limits.max_tasks, "tasks in all")
        elif connection is not None:
            left = limits.max_tasks - self.tasks
            self._check_share(self._empty, caller, left, "tasks without text")
        self._check_capacity(name)
        if connection is not None:
            connection.tasks += 1
        give_back = _take(self._tasks, name)
        empty = _take(self._empty, name) if connection is not None else lambda: None
        self._unaccounted += 1
        self._idle.clear()
        began = self._clock()
        return TaskTicket(
            name,
            self._waiting,
            self._unheard,
            Ticket(empty),
            self.capacity.spoke,
            lambda: self._freed(give_back, connection, began),
            self._task_ended,
        )

    def upload(self, caller: Caller) -> Ticket:
        """Take a place for an upload, which is held in memory until it is stored.

        Raises Throttled, EngineUnavailable (draining).
        """
        self._refuse_if_draining()
        limit = self._limits.max_uploads
        self._check(self.uploads, limit, "uploads at once")
        self._check_share(self._uploads, caller, limit - self.uploads, "uploads under way")
        return Ticket(_take(self._uploads, caller.name))

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

    def _check_share(self, taken: Counter[str], caller: Caller, left: int, what: str) -> None:
        """Raises Throttled if the caller holds as many of these as places are left for everybody."""
        held = taken[caller.name]
        if self._several and held >= left:
            raise Throttled(f"this token has {held} {what}; the {left} places left are for others")

    def _check_capacity(self, name: str) -> None:
        """Raises Throttled if the engine would not keep up, or a caller left others too little room."""
        if self._several and not self._tasks[name]:
            return  # nobody is kept out by others altogether
        speaking = self._tasks - self._waiting.resting()
        retry_after = self._retry_after(max(1, speaking.total()))
        self._check_room(speaking, name, self.capacity.limit, "speaking", retry_after)
        unheard, most = self._unheard.counts(), self.capacity.beginnings
        self._check_room(unheard, name, most, "waiting for their first sound", _SOON)

    def _check_room(
        self, running: Counter[str], name: str, limit: float, what: str, retry_after: int
    ) -> None:
        """Raises Throttled if so many tasks run, by caller, that the engine does not keep up with more."""
        total, held = running.total(), running[name]
        left = limit - total
        if left < 1:
            raise Throttled(
                f"{total} tasks are {what}, as many as the engine keeps up with", retry_after
            )
        most = min(_MOST_OF_WHAT_IS_LEFT, max(1.0, limit - 1))
        if self._several and held >= most * left:
            raise Throttled(
                f"this token has {held} tasks {what}; the {int(left)} more that the engine keeps up with"
                " are for others",
                retry_after,
            )

    def _preempt(self, name: str) -> None:
        """Free the place of a task that has waited too long for text, if there is one, for this caller.

        Who has tasks without text takes no place from others, only from another of these.
        """
        ticket = self._waiting.first_to_yield()
        if ticket is None or (self._several and self._empty[name] and ticket.name != name):
            return
        if give_up := self._waiting.discard(ticket):
            ticket.free()
            give_up(
                TaskPreempted(
                    "all places for tasks were taken while this one waited for text: another has its place"
                )
            )

    def _retry_after(self, running: int) -> int:
        """Seconds until one of `running` tasks should end, if they last as long as earlier ones."""
        return min(max(1, math.ceil(self._mean_duration / running)), MAX_RETRY_AFTER)

    def _freed(
        self, give_back: Callable[[], None], connection: ConnectionTicket | None, began: float
    ) -> None:
        self._mean_duration += _SMOOTHING * (self._clock() - began - self._mean_duration)
        if connection is not None:
            connection.tasks -= 1
        give_back()

    def _task_ended(self) -> None:
        self._unaccounted -= 1
        if not self._unaccounted:
            self._idle.set()


def _take(places: Counter[str], name: str) -> Callable[[], None]:
    """Take a place; returns what gives it back."""
    places[name] += 1
    return lambda: _give_back(places, name)


def _give_back(places: Counter[str], name: str) -> None:
    places[name] -= 1
    if not places[name]:
        del places[name]

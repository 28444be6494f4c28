"""Keeps one engine running: notices its death, builds the next, and waits between failures."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ....interface import EngineError, EngineNotReady

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When the next engine may be built. Seconds.

    The first death is answered at once. Each further failure (an engine that died, or could not
    be built) doubles the wait from `first_delay` up to `longest_delay`, until an engine has lived
    for `stable`. With `breaker_failures` failures within `breaker_window` the breaker is open: only
    the longest wait is used until an engine is stable.
    """

    first_delay: float = 1.0
    longest_delay: float = 60.0
    stable: float = 120.0
    breaker_failures: int = 5
    breaker_window: float = 600.0


class Backoff:
    """The policy's state. It has no clock: every call is given the time."""

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._failures: deque[float] = deque()
        """When they happened, within the breaker's window."""
        self._in_a_row = 0
        self._up_since: float | None = None
        """None while no engine runs."""
        self._open = False
        """The breaker."""

    @property
    def in_a_row(self) -> int:
        """Failures since an engine was last stable."""
        return self._in_a_row

    @property
    def breaker_open(self) -> bool:
        return self._open

    def up(self, now: float) -> None:
        """An engine runs."""
        self._up_since = now

    def failed(self, now: float) -> float:
        """It died, or could not be built; returns how long to wait before the next try."""
        policy = self._policy
        if self._up_since is not None and now - self._up_since >= policy.stable:
            self._in_a_row = 0
            self._open = False
            self._failures.clear()
        self._up_since = None
        self._in_a_row += 1
        self._failures.append(now)
        while now - self._failures[0] > policy.breaker_window:
            self._failures.popleft()
        if len(self._failures) >= policy.breaker_failures:
            self._open = True
        if self._open:
            return policy.longest_delay
        if self._in_a_row == 1:
            return 0.0
        doublings = min(self._in_a_row - 2, 30)
        return min(policy.first_delay * 2.0**doublings, policy.longest_delay)


class Supervised(Protocol):
    """One engine, from its start to its death."""

    async def died(self) -> None:
        """Returns when the engine is gone, however that came about."""

    def fail(self) -> None:
        """Tell whoever uses it that it is gone. Never waits."""

    async def close(self) -> None:
        """Free all that is left of it: processes, sockets, threads. Idempotent."""


H = TypeVar("H", bound=Supervised)


@dataclass(slots=True)
class SupervisorCounts:
    """failed_starts: engines that could not be built. rebuild_seconds: of the latest, waits included."""

    deaths: int = 0
    failed_starts: int = 0
    rebuilds: int = 0
    rebuild_seconds: float = 0.0


class Supervisor(Generic[H]):
    """Holds the engine that runs now. For one event loop.

    build: makes a running engine; it may take minutes, but must not block the loop. It is never called
    while another engine of this supervisor still runs.
    """

    def __init__(
        self,
        build: Callable[[], Awaitable[H]],
        policy: RestartPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._build = build
        self._clock = clock
        self._sleep = sleep
        self._backoff = Backoff(policy or RestartPolicy())
        self._current: H | None = None
        """None while there is no engine that runs."""
        self._task: asyncio.Task[None] | None = None
        """Watches the engine and rebuilds it; None before the start and after the stop."""
        self._stopping = asyncio.Event()
        self.counts = SupervisorCounts()

    @property
    def current(self) -> H | None:
        """The engine that runs; None while there is none."""
        return self._current

    @property
    def breaker_open(self) -> bool:
        return self._backoff.breaker_open

    @property
    def failures_in_a_row(self) -> int:
        return self._backoff.in_a_row

    def need(self) -> H:
        """The engine that runs. Raises EngineNotReady while there is none."""
        if self._current is None:
            starting = self._task is not None
            raise EngineNotReady(
                "the speech model is being started again"
                if starting
                else "the speech model is not running"
            )
        return self._current

    async def start(self) -> None:
        """Build the first engine. Raises what building raises: nothing is tried again then."""
        if self._task is not None:
            return
        self._stopping.clear()
        engine = await self._build()
        self._current = engine
        self._backoff.up(self._clock())
        self._task = asyncio.create_task(self._run(engine), name="speech LM supervisor")

    async def stop(self) -> None:
        """End the engine; one that is being built is waited for and taken down. Idempotent."""
        task, self._task = self._task, None
        if task is None:
            return
        engine, self._current = self._current, None
        if engine is not None:
            engine.fail()
        self._stopping.set()
        await task

    async def _run(self, first: H) -> None:
        engine: H | None = first
        while engine is not None:
            if await self._unless_stopped(engine.died()):
                self._note_death(engine)
            await self._close(engine)
            engine = None if self._stopping.is_set() else await self._rebuild()

    async def _unless_stopped(self, work: Awaitable[None]) -> bool:
        """Wait for it; False, and it is cancelled, if `stop` comes first."""
        waiting = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((waiting, stopping), return_when=asyncio.FIRST_COMPLETED)
            return waiting.done() and not self._stopping.is_set()
        finally:
            waiting.cancel()
            stopping.cancel()
            await asyncio.gather(waiting, stopping, return_exceptions=True)

    def _note_death(self, engine: H) -> None:
        self._current = None
        self.counts.deaths += 1
        _log.error("the speech model's engine died")
        engine.fail()

    async def _close(self, engine: H) -> None:
        try:
            await engine.close()
        except Exception:
            _log.exception("a dead engine could not be cleared away")

    async def _rebuild(self) -> H | None:
        """The next engine, however often that must be tried; None if it was stopped meanwhile."""
        began = self._clock()
        delay = self._failed()
        while await self._unless_stopped(self._sleep(delay)):
            try:
                engine = await self._build()
            except Exception as error:
                self.counts.failed_starts += 1
                # An EngineError's words say enough without the trace.
                trace = None if isinstance(error, EngineError) else error
                _log.error("the speech model does not start: %s", error, exc_info=trace)
                delay = self._failed()
                continue
            self._came_up(engine, began)
            return engine
        return None

    def _came_up(self, engine: H, began: float) -> None:
        now = self._clock()
        self._backoff.up(now)
        self.counts.rebuilds += 1
        self.counts.rebuild_seconds = now - began
        if self._stopping.is_set():
            engine.fail()
            return
        self._current = engine
        _log.warning("the speech model runs again, after %.1f s", now - began)

    def _failed(self) -> float:
        was_open = self._backoff.breaker_open
        delay = self._backoff.failed(self._clock())
        if self._backoff.breaker_open and not was_open:
            _log.critical(
                "the speech model fails again and again; it is tried every %.0f s from now on",
                delay,
            )
        return delay

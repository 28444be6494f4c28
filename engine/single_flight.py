"""Compute a value once, however many callers ask for it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Computations under way, one per key. For one event loop.

    Nothing is remembered: the result goes to the callers that wait, and so does a failure.
    """

    def __init__(self) -> None:
        self._running: dict[K, asyncio.Task[V]] = {}

    def __contains__(self, key: K) -> bool:
        """Whether a computation for the key is under way."""
        return key in self._running

    async def run(self, key: K, compute: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """The result of the computation under way for the key, else of `compute`, which begins now.

        Cancelling a caller never cancels the computation: the others still wait for it.
        Raises what the computation raises.
        """
        running = self._running.get(key)
        if running is None:
            running = asyncio.create_task(compute())
            self._running[key] = running
            running.add_done_callback(partial(self._done, key))
        return await asyncio.shield(running)

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    def _done(self, key: K, task: asyncio.Task[V]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # marks it as seen: asyncio reports no loss if every caller has left

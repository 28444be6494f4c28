"""Threads for one kind of blocking work, so that a crowd of one kind keeps no other waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Threads:
    """At most `count` threads, started when they are needed; more work waits in order.

    The part of the program that owns the work owns the threads, and closes them.
    """

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """What the call returns, on a thread that sees the caller's context variables.

        Cancelling ends the waiting: a call that has begun goes on. Raises what the call raises.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._count, thread_name_prefix=self._name)
        work = partial(copy_context().run, call, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Drop what waits and let the threads end; does not wait for what runs. `run` starts them again."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


async def uninterrupted(work: Coroutine[Any, Any, _T]) -> _T:
    """What the work returns; cancelling takes effect when it is over.

    For work that goes on all the same, a call in a thread above all, while the caller holds the place or
    the memory that it takes. Cancelling a second time ends the waiting. Raises what the work raises.
    """
    running = asyncio.create_task(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        if not running.cancelled():
            running.exception()  # marks it as seen: nobody is left to tell
        raise

"""The end of a server, told to all that still runs: every task ends with a last word to its client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from cosyserve.protocol.errors import EngineUnavailable, TTSError


class Shutdown:
    """Whether the server ends now, and who is to be told so. For one event loop."""

    def __init__(self) -> None:
        self._tell: dict[object, Callable[[TTSError], None]] = {}
        self._began = False

    def begin(self) -> None:
        """Tell all who are to be told. A second call does nothing."""
        if not self._began:
            self._began = True
            for tell in list(self._tell.values()):
                tell(_error())

    @contextmanager
    def told(self, tell: Callable[[TTSError], None]) -> Iterator[None]:
        """A context in which the shutdown calls `tell`, once, with the last word; at once if it has begun."""
        key = object()
        self._tell[key] = tell
        try:
            if self._began:
                tell(_error())
            yield
        finally:
            del self._tell[key]

    @asynccontextmanager
    async def raised(self) -> AsyncIterator[None]:
        """A context that the shutdown interrupts where it waits. Raises EngineUnavailable then."""
        running = asyncio.current_task()
        assert running is not None
        before, told = running.cancelling(), []

        def interrupt(error: TTSError) -> None:
            told.append(error)
            running.cancel()

        try:
            with self.told(interrupt):
                yield
        except asyncio.CancelledError:
            # Somebody else may have cancelled it as well: then nobody listens.
            if not told or running.uncancel() > before:
                raise
            raise told[0] from None


def _error() -> EngineUnavailable:
    return EngineUnavailable("the server is shutting down; connect again to reach another one")

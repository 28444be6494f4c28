"""A session of the engine as SSML uses it: held to the engine's contract, and freed in the background."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from cosyserve.engine.interface import PcmChunk, Session

from ..tasks.contract import calling


class HeldSession:
    """Every step raises ContractBroken if the engine raises what the interface forbids."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._entered = False  # whether __aexit__ has to be called
        self._leaving: asyncio.Task[None] | None = None  # frees the session; made by `leave`

    async def enter(self) -> None:
        with calling("enter"):
            await self._session.__aenter__()
        self._entered = True

    async def feed(self, text: str) -> None:
        with calling("feed"):
            await self._session.feed(text)

    async def flush(self) -> None:
        with calling("flush"):
            await self._session.flush()

    async def finish(self) -> None:
        with calling("finish"):
            await self._session.finish()

    def chunks(self) -> AsyncIterator[PcmChunk]:
        """The speech, to be read with `contract.next_chunk`."""
        with calling("iteration"):
            return aiter(self._session)

    def leave(self) -> asyncio.Task[None]:
        """Free the session in a task of its own, since an engine may take long. Idempotent."""
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave())
        return self._leaving

    async def _leave(self) -> None:
        with calling("cancel"):
            await self._session.cancel()
            if self._entered:
                await self._session.__aexit__(None, None, None)

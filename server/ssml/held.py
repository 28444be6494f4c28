"""An engine's session as SSML uses it: held to its contract, and left without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from cosyserve.engine.interface import PcmChunk, Session

from ..tasks.contract import calling


class HeldSession:
    """Every step raises ContractBroken for what no engine may raise."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._entered = False
        self._leaving: asyncio.Task[None] | None = None

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
        """To be read with `contract.next_chunk`."""
        with calling("iteration"):
            return aiter(self._session)

    def leave(self) -> asyncio.Task[None]:
        """Free what it holds, in a task of its own: an engine may take long. The same one every time."""
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave())
        return self._leaving

    async def _leave(self) -> None:
        with calling("cancel"):
            await self._session.cancel()
            if self._entered:
                await self._session.__aexit__(None, None, None)

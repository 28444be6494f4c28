"""An engine's session as the server calls it: held to `engine.interface.Session`, left in bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Final, cast

import numpy as np

from cosyserve.engine.interface import EngineError, PcmChunk, PhoneticSession, Session, Sounds
from cosyserve.protocol.errors import TTSError

from ..errors import ContractBroken, must_propagate, report

LEAVE_TIMEOUT: Final = 10.0
"""Seconds that the server waits for an engine to free a session."""


@contextmanager
def calling(step: str) -> Iterator[None]:
    """Around a call into the engine: turns an exception that no engine may raise into a ContractBroken.

    step: the call's name in the log. A SystemExit is such an exception, too: an engine does not end the
    server.
    """
    try:
        yield
    except (EngineError, TTSError, ContractBroken):
        raise
    except BaseException as error:
        if must_propagate(error):
            raise
        raise ContractBroken(f"{step} raised {type(error).__name__}") from error


class CheckedSession:
    """A session of which every call raises EngineError or ContractBroken, and nothing else."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._entered = False
        self._finished = False
        self._chunks: AsyncIterator[PcmChunk] | None = None
        self._leaving: asyncio.Task[None] | None = None

    async def enter(self) -> None:
        """Enter its context; a session that cannot be entered is freed before this raises."""
        try:
            with calling("enter"):
                await self._session.__aenter__()
        except BaseException:
            await self.left()
            raise
        self._entered = True

    async def feed(self, text: str) -> None:
        with calling("feed"):
            await self._session.feed(text)

    async def say(self, word: str, sounds: Sounds) -> None:
        """As PhoneticSession; only for the session of a PhoneticEngine."""
        with calling("say"):
            await cast(PhoneticSession, self._session).say(word, sounds)

    async def flush(self) -> None:
        with calling("flush"):
            await self._session.flush()

    async def finish(self) -> None:
        self._finished = True
        with calling("finish"):
            await self._session.finish()

    async def next_chunk(self) -> PcmChunk | None:
        """The next chunk; None once all is spoken. To be called by one reader, until it gives None.

        Raises ContractBroken as well for what is no chunk of speech, or an end before `finish`.
        """
        with calling("iteration"):
            if self._chunks is None:
                self._chunks = aiter(self._session)
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                chunk = None
        if chunk is None and not self._finished:
            raise ContractBroken("iteration ended before finish or cancel")
        return None if chunk is None else _checked(chunk)

    def leave(self) -> asyncio.Task[None]:
        """Free the session, in a task of its own, since an engine may take long. The same one every time."""
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave())
        return self._leaving

    async def left(self) -> None:
        """Free the session, and wait for that, but not for ever.

        Whoever waits may be cancelled meanwhile: the session is freed all the same.
        """
        leaving = self.leave()
        done, _ = await asyncio.wait({leaving}, timeout=LEAVE_TIMEOUT)
        if done:
            leaving.result()
        else:
            report(ContractBroken(f"cancel takes over {LEAVE_TIMEOUT:g} s"))

    async def _leave(self) -> None:
        with calling("cancel"):
            await self._session.cancel()
            if self._entered:
                await self._session.__aexit__(None, None, None)


Checked = Callable[[Session], CheckedSession]
"""Makes a session of the engine one that the server calls."""


def _checked(chunk: object) -> PcmChunk:
    if not isinstance(chunk, PcmChunk):
        raise ContractBroken(f"iteration yielded a {type(chunk).__name__}, which is no PcmChunk")
    samples: object = chunk.samples
    if not isinstance(samples, np.ndarray):
        raise ContractBroken(f"a chunk's samples are a {type(samples).__name__}, no array")
    if samples.dtype != np.float32 or samples.ndim != 1:
        found = f"{samples.dtype} of {samples.ndim} dimensions"
        raise ContractBroken(f"a chunk's samples are {found}; they must be float32 of one")
    if not len(samples):
        raise ContractBroken("iteration yielded an empty chunk")
    if not np.isfinite(samples).all():
        raise ContractBroken("a chunk's samples are not all finite")
    return chunk

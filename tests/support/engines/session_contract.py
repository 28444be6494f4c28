"""What engine.interface.Session promises, as checks that any session can be put to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import numpy as np
import pytest

from cosyserve.engine.interface import PcmChunk, Session

QUIET = 0.2
"""Seconds after which a session is taken for one that waits for text; one that is only slow passes, too."""


@dataclass(frozen=True)
class Subject:
    """Sessions of one kind. texts: two that a flush may part. tells_all: whether each text is heard."""

    open: Callable[[], Session]
    texts: tuple[str, str] = ("One two three. ", "Four five six. ")
    tells_all: bool = True


async def it_ends_with_finish_and_not_before(subject: Subject) -> None:
    first, second = subject.texts
    async with subject.open() as session:
        chunks = aiter(session)
        await session.feed("")
        await session.feed(first)
        await session.flush()
        await session.flush()
        following = await _all_there_is(chunks)
        await session.feed(second)
        await session.finish()
        await session.finish()
        rest = await _rest(chunks, following)
        assert rest or not subject.tells_all
        await session.flush()
        assert await _is_over(chunks)


async def each_chunk_is_one_row_of_finite_floats(subject: Subject) -> None:
    async with subject.open() as session:
        await session.feed(subject.texts[0])
        await session.finish()
        chunks = [chunk async for chunk in session]
    assert chunks
    for chunk in chunks:
        assert isinstance(chunk, PcmChunk)
        assert (chunk.samples.dtype, chunk.samples.ndim) == (np.float32, 1)
        assert len(chunk.samples)
        assert np.isfinite(chunk.samples).all()


async def a_text_of_nothing_ends_without_a_chunk(subject: Subject) -> None:
    async with subject.open() as session:
        await session.finish()
        assert [chunk async for chunk in session] == []


async def cancel_ends_it_while_it_waits_for_text(subject: Subject) -> None:
    async with subject.open() as session:
        following = asyncio.ensure_future(anext(aiter(session)))
        await asyncio.sleep(0)
        await session.cancel()
        with pytest.raises(StopAsyncIteration):
            await following


async def cancel_ends_it_at_once_whatever_is_ready(subject: Subject) -> None:
    async with subject.open() as session:
        chunks = aiter(session)
        await session.feed(subject.texts[0])
        await session.flush()
        await anext(chunks)
        await session.cancel()
        await session.cancel()
        assert await _is_over(chunks)


async def nothing_happens_after_cancel(subject: Subject) -> None:
    async with subject.open() as session:
        await session.cancel()
        await session.feed(subject.texts[0])
        await session.flush()
        await session.finish()
        assert [chunk async for chunk in session] == []


async def leaving_cancels_it(subject: Subject) -> None:
    async with subject.open() as session:
        chunks = aiter(session)
        await session.feed(subject.texts[0])
        await session.flush()
        await anext(chunks)
    assert await _is_over(chunks)


CONTRACT = (
    it_ends_with_finish_and_not_before,
    each_chunk_is_one_row_of_finite_floats,
    a_text_of_nothing_ends_without_a_chunk,
    cancel_ends_it_while_it_waits_for_text,
    cancel_ends_it_at_once_whatever_is_ready,
    nothing_happens_after_cancel,
    leaving_cancels_it,
)


async def _all_there_is(chunks: AsyncIterator[PcmChunk]) -> asyncio.Future[PcmChunk]:
    """Read until nothing comes any more; what is still waited for. It must not end meanwhile."""
    while True:
        following = asyncio.ensure_future(anext(chunks))
        done, _ = await asyncio.wait({following}, timeout=QUIET)
        if not done:
            return following
        await following


async def _rest(
    chunks: AsyncIterator[PcmChunk], following: asyncio.Future[PcmChunk]
) -> list[PcmChunk]:
    try:
        return [await following, *[chunk async for chunk in chunks]]
    except StopAsyncIteration:
        return []


async def _is_over(chunks: AsyncIterator[PcmChunk]) -> bool:
    return [chunk async for chunk in chunks] == []

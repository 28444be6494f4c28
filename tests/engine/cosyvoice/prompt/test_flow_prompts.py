"""Prompts on the device: one per voice, kept while used."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from cosyserve.engine.cosyvoice.flow import FlowPrompt
from cosyserve.engine.cosyvoice.prompt.caches import FlowPromptCache
from cosyserve.engine.cosyvoice.prompt.voice import VoicePrompt
from cosyserve.engine.interface import EngineDied


def voice(name: str) -> VoicePrompt:
    return VoicePrompt(name, (), torch.zeros(10), torch.zeros(20, 80), torch.zeros(192))


class Maker:
    """Makes prompts of 100 bytes, when it is let."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def __call__(self, voice: VoicePrompt) -> FlowPrompt:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.made.append(voice.content_id)
        return cast(FlowPrompt, SimpleNamespace(nbytes=100))


def cache(maker: Maker, limit: int = 1000) -> FlowPromptCache:
    return FlowPromptCache(maker, limit=limit, token_bytes=7)


async def test_users_share_one_prompt() -> None:
    maker = Maker()
    maker.gate.clear()
    prompts = cache(maker)
    assert prompts.needed(voice("a")) == 70
    asked: list[asyncio.Task[Any]] = [
        asyncio.create_task(prompts.acquire(voice("a"))) for _ in range(3)
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert prompts.nbytes == 70
    assert prompts.needed(voice("a")) == 0
    asked.pop().cancel()
    maker.gate.set()
    first, second = await asyncio.gather(*asked)
    assert first is second
    assert maker.made == ["a"]
    assert prompts.nbytes == 100
    assert await prompts.acquire(voice("a")) is first
    assert (prompts.counts.hits, prompts.counts.misses) == (1, 1)


async def test_the_idle_ones_go_least_used_first() -> None:
    maker = Maker()
    prompts = cache(maker, limit=200)
    for name in "abc":
        await prompts.warm(voice(name))
    assert prompts.nbytes == 200
    await prompts.warm(voice("b"))
    await prompts.warm(voice("d"))
    await prompts.warm(voice("b"))
    assert maker.made == ["a", "b", "c", "d"]


async def test_one_in_use_stays() -> None:
    maker = Maker()
    prompts = cache(maker, limit=0)
    await prompts.acquire(voice("a"))
    await prompts.warm(voice("b"))
    assert prompts.nbytes == 100
    prompts.make_room(1000)
    assert prompts.nbytes == 100
    prompts.release(voice("a"))
    assert prompts.nbytes == 0


async def test_one_that_everybody_left_is_kept_for_the_next() -> None:
    maker = Maker()
    maker.gate.clear()
    prompts = cache(maker)
    leaving = asyncio.create_task(prompts.acquire(voice("a")))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    maker.gate.set()
    await prompts.acquire(voice("a"))
    assert maker.made == ["a"]


async def test_make_room_frees_no_more_than_it_must() -> None:
    prompts = cache(Maker())
    for name in "abc":
        await prompts.warm(voice(name))
    prompts.make_room(150)
    assert prompts.nbytes == 100


async def test_a_failure_is_told_and_forgotten() -> None:
    maker = Maker()
    maker.error = EngineDied("no")
    prompts = cache(maker)
    with pytest.raises(EngineDied):
        await prompts.acquire(voice("a"))
    assert prompts.nbytes == 0
    maker.error = None
    await prompts.acquire(voice("a"))
    assert maker.made == ["a"]

"""When all places are taken, a task that waits for text gives its place up, and its client hears why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from cosyserve.engine.interface import Prompt
from cosyserve.protocol.errors import TTSError
from cosyserve.server.tasks.life import TaskLife
from cosyserve.server.voices.book import VoiceBook
from support.peers.last_word import WHOLE, WORDS, assert_usable, counted, say
from support.peers.peers import Peer
from support.peers.ways import HTTP, SOCKETS, Way

CODES: Final = {
    "websocket": "TaskPreempted",
    "dashscope": "Throttling.AllocationQuota",
    "dashscope_realtime": "Throttling.AllocationQuota",
    "elevenlabs": "task_preempted",
    "vllm_omni": "TaskPreempted",
}
NATIVE: Final = SOCKETS[0]


@pytest.mark.parametrize("way", SOCKETS, ids=str)
async def test_a_task_without_text_gives_its_place_to_the_next(
    served, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered, real = asyncio.Event(), TaskLife.may_be_preempted

    def offer(life: TaskLife, give_up: Callable[[TTSError], None]) -> None:
        real(life, give_up)
        offered.set()

    monkeypatch.setattr(TaskLife, "may_be_preempted", offer)
    async with (
        served(max_tasks=1, preempt_after=0) as (server, engine),
        Peer.of(server, engine) as alice,
        Peer.of(server, engine, "bob-secret") as bob,
    ):
        with capture_logs() as lines:
            async with way.open(alice) as holding:
                await holding.send(" ", finish=False)
                await offered.wait()
                async with NATIVE.open(bob) as next_one:
                    assert len((await say(next_one)).sound) == WHOLE
                heard = await holding.heard()
                assert (heard.sound, heard.failed) == (b"", CODES[way.transport])
                await server.services.admission.wait_idle()
                await assert_usable(alice, way, holding)
        assert not engine.open
        assert counted(alice)[way.transport, "failed", "TaskPreempted"] == 1
        ended = [line for line in lines if line["event"] == "task_ended"]
        assert [line["code"] for line in ended if line["outcome"] == "failed"] == ["TaskPreempted"]


@pytest.mark.parametrize("way", [*SOCKETS, *HTTP], ids=str)
async def test_a_task_whose_text_is_whole_keeps_its_place(served, way: Way) -> None:
    async with (
        served(max_tasks=1, preempt_after=0) as (server, engine),
        Peer.of(server, engine) as alice,
        Peer.of(server, engine, "bob-secret") as bob,
        way.open(alice) as speaking,
        NATIVE.open(bob) as refused,
    ):
        engine.gate.clear()
        await speaking.send(WORDS)
        hearing = asyncio.create_task(speaking.heard())
        await engine.opened.wait()
        (session,) = engine.sessions
        while not session.finished:
            session.changed.clear()
            await session.changed.wait()
        assert (await say(refused)).failed == "Throttled"
        engine.gate.set()
        assert len((await hearing).sound) == WHOLE


@pytest.mark.parametrize("way", SOCKETS, ids=str)
async def test_a_task_whose_voice_is_not_there_yet_keeps_its_place(
    served, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go_on, real = asyncio.Event(), asyncio.Event(), VoiceBook.resolve

    async def hold(book: VoiceBook, *arguments: Any) -> Prompt:
        asked.set()
        await go_on.wait()
        return await real(book, *arguments)

    monkeypatch.setattr(VoiceBook, "resolve", hold)
    async with (
        served(max_tasks=1, preempt_after=0) as (server, engine),
        Peer.of(server, engine) as alice,
        Peer.of(server, engine, "bob-secret") as bob,
        way.open(alice) as waiting,
        NATIVE.open(bob) as refused,
    ):
        await waiting.send(WORDS, finish=False)
        await asked.wait()
        assert (await say(refused)).failed == "Throttled"
        await waiting.finish()
        go_on.set()
        assert len((await waiting.heard()).sound) == WHOLE

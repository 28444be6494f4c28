"""A task that runs when the server ends has a last word, in its dialect's form, and a reason in the log."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest
from structlog.testing import capture_logs

from cosyserve.protocol.errors import EngineUnavailable
from cosyserve.server.tasks.shutdown import Shutdown
from support.engines.faulty_engine import Fault
from support.peers.last_word import WORDS, counted, engine_of
from support.peers.peers import Peer
from support.peers.ways import HTTP, INTERNAL, SOCKETS, Way

NAMES: Final = {
    "websocket": "EngineUnavailable",
    "rest": "EngineUnavailable",
    "dashscope": "ServiceUnavailable",
    "dashscope_realtime": "ServiceUnavailable",
    "elevenlabs": "system_busy",
    "openai": "server_unavailable",
    "vllm_omni": "EngineUnavailable",
}


def _hold(peer: Peer, after: int) -> asyncio.Event:
    """Let the engine say so many words and then wait for ever; the event is set when it does."""
    held, never = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        held.set()
        await never.wait()

    engine = engine_of(peer)
    engine.fault, engine.after = Fault("waits", "iteration", wait, ""), after
    return held


@pytest.mark.parametrize("way", [*SOCKETS, *HTTP], ids=str)
@pytest.mark.parametrize("after", [0, 1])
async def test_every_task_has_its_last_word(faulty: Peer, way: Way, after: int) -> None:
    held = _hold(faulty, after)
    with capture_logs() as lines:
        async with way.open(faulty) as conversation:
            await conversation.send(WORDS)
            hearing = asyncio.create_task(conversation.heard())
            await held.wait()
            await faulty.server.close()
            heard = await hearing
            if way in SOCKETS:
                assert heard.failed == NAMES[way.transport]
                assert (await conversation.heard()).closed == 1012
            elif (
                heard.sound and way.internal_later is None
            ):  # a format without words: it has no end
                assert (heard.failed, heard.closed) == (None, 1)
            else:
                told = NAMES[way.transport]
                within = bool(heard.sound) or way.internal == INTERNAL  # a batch tells of each item
                assert heard.failed == (told if within else f"503 {told}")
                assert "the server is shutting down" in heard.told
    assert not faulty.engine.open
    assert counted(faulty) == {(way.transport, "failed", "EngineUnavailable"): 1}
    (ended,) = [line for line in lines if line["event"] == "task_ended"]
    assert (ended["outcome"], ended["code"]) == ("failed", "EngineUnavailable")


@pytest.mark.parametrize("way", SOCKETS, ids=str)
async def test_a_connection_without_a_task_is_only_closed(faulty: Peer, way: Way) -> None:
    async with way.open(faulty) as conversation:
        await faulty.server.close()
        heard = await conversation.heard()
        assert (heard.closed, heard.told) == (1012, "")


async def test_what_begins_after_the_shutdown_is_told_at_once() -> None:
    shutdown = Shutdown()
    shutdown.begin()
    told: list[Exception] = []
    with shutdown.told(told.append):
        shutdown.begin()
    assert [type(each) for each in told] == [EngineUnavailable]


async def test_a_wait_is_interrupted_and_goes_on_elsewhere() -> None:
    shutdown, waiting = Shutdown(), asyncio.Event()

    async def work() -> str | None:
        try:
            async with shutdown.raised():
                waiting.set()
                await asyncio.Event().wait()
        except EngineUnavailable:
            await asyncio.sleep(0)
            return "told"

    working = asyncio.create_task(work())
    await waiting.wait()
    shutdown.begin()
    assert await working == "told"


async def test_who_is_cancelled_at_the_shutdown_stays_cancelled() -> None:
    shutdown, waiting = Shutdown(), asyncio.Event()

    async def work() -> None:
        async with shutdown.raised():
            waiting.set()
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    await waiting.wait()
    shutdown.begin()
    working.cancel()
    await asyncio.wait({working})
    assert working.cancelled()

"""No task ends without a last word: whatever fails, its client is told, the log and the metrics know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from cosyserve.protocol.codec import CosyVoiceCodec
from cosyserve.protocol.dashscope import DashScopeCodec
from cosyserve.protocol.elevenlabs import MultiStreamCodec, StreamCodec
from cosyserve.protocol.messages import (
    Event,
    ResultGenerated,
    TaskFailed,
    TaskFinished,
    TaskStarted,
)
from cosyserve.server import speaker, synthesis
from cosyserve.server.account import TaskAccount
from cosyserve.server.metrics import Metrics, TaskMeter
from cosyserve.server.outbox import Outbox
from support.fake_engine import RATE, WORD_SECONDS, FakeSession
from support.faulty_engine import (
    EARLY_END,
    FAULTS,
    SECRET,
    Fault,
    FaultyEngine,
    FaultySession,
    cancel_who_calls,
    raises,
)
from support.peers import PATH, Peer, message, run_task, text
from support.ways import HTTP, SOCKETS, Conversation, Heard, Way

from .conftest import Served

WAYS = (*SOCKETS, *HTTP)
WORDS = "one two three"
WHOLE = 3 * 2 * round(WORD_SECONDS * RATE)
CODECS = {
    "native socket": CosyVoiceCodec,
    "dashscope socket": DashScopeCodec,
    "elevenlabs stream-input": StreamCodec,
    "elevenlabs multi-stream-input": MultiStreamCodec,
}

each_way = pytest.mark.parametrize("way", WAYS, ids=str)
each_socket = pytest.mark.parametrize("way", SOCKETS, ids=str)
Broken = pytest.MonkeyPatch


@pytest.fixture
async def faulty(served: Served) -> Any:
    async with served(FaultyEngine()) as (server, engine), Peer.of(server, engine) as peer:
        yield peer


def engine_of(peer: Peer) -> FaultyEngine:
    assert isinstance(peer.engine, FaultyEngine)
    return peer.engine


async def say(conversation: Conversation, words: str = WORDS) -> Heard:
    await conversation.send(words)
    return await conversation.heard()


def assert_told(way: Way, heard: Heard) -> None:
    """The failure was told in the dialect's words, and in no others."""
    expected = way.internal_later if heard.sound else way.internal
    assert heard.failed == expected
    if expected is None:
        assert heard.closed == 1
    assert SECRET not in heard.told
    assert "Traceback" not in heard.told


def counted(peer: Peer) -> dict[tuple[str, str, str], float]:
    """How many tasks ended, by transport, outcome and code."""
    found: dict[tuple[str, str, str], float] = {}
    for family in peer.server.services.metrics.registry.collect():
        for sample in family.samples:
            if sample.name == "cosyserve_tasks_total":
                key = tuple(sample.labels[name] for name in ("transport", "outcome", "code"))
                found[key] = found.get(key, 0) + sample.value  # type: ignore[index,arg-type]
    return found


async def assert_accounted(
    peer: Peer, way: Way, lines: list[Any], broke: str | None = None
) -> None:
    """One task failed of an internal error: so say the metrics and the log, once and with the traceback."""
    await peer.server.services.admission.wait_idle()
    assert counted(peer) == {(way.transport, "failed", "InternalError"): 1}
    (error,) = [line for line in lines if line["event"] == "unexpected_error"]
    assert error["exc_info"].__traceback__ is not None
    assert (broke or "") in error.get("broke", "")
    assert ("broke" in error) == (broke is not None)
    (ended,) = [line for line in lines if line["event"] == "task_ended"]
    assert (ended["transport"], ended["outcome"], ended["code"]) == (
        *(way.transport, "failed", "InternalError"),
    )
    assert not engine_of(peer).open


async def assert_usable(peer: Peer, way: Way, conversation: Conversation) -> None:
    """The next task is spoken: on this connection, if the dialect keeps it, else on another."""
    if way.keeps:
        assert len((await say(conversation)).sound) == WHOLE
        return
    assert (await conversation.heard()).closed == way.closes
    async with way.open(peer) as another:
        assert len((await say(another)).sound) == WHOLE


@each_way
@pytest.mark.parametrize(
    ("fault", "after"),
    [(fault, n) for fault in FAULTS for n in ((0, 1) if fault.step == "iteration" else (0,))],
    ids=str,
)
async def test_a_fault_of_the_engine(faulty: Peer, way: Way, fault: Fault, after: int) -> None:
    engine = engine_of(faulty)
    engine.fault, engine.after = fault, after
    with capture_logs() as lines:
        async with way.open(faulty) as conversation:
            assert_told(way, await say(conversation))
            await assert_accounted(faulty, way, lines, fault.broke)
            engine.fault = None
            await assert_usable(faulty, way, conversation)

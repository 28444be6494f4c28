"""How a task failed: what its client was told, what was counted, what was logged."""

from __future__ import annotations

from typing import Any, Final

from support.engines.fake_engine import RATE, WORD_SECONDS
from support.engines.faulty_engine import SECRET, FaultyEngine
from support.peers.conversations import Conversation, Heard
from support.peers.peers import Peer
from support.peers.ways import Way

WORDS: Final = "one two three"
WHOLE: Final = 3 * 2 * round(WORD_SECONDS * RATE)
"""Bytes of WORDS' speech."""


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

"""The life of a task, without a transport."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from cosyserve.engine.interface import Prompt
from cosyserve.protocol.errors import ReferenceAudioNotFound, Throttled
from cosyserve.protocol.messages import ResultGenerated, TaskStarted
from cosyserve.protocol.parameters import AudioFormat, Mode, SpeechParameters
from cosyserve.server.auth import Caller
from cosyserve.server.tasks.life import TaskLife
from support.engines.fake_engine import RATE, WORD_SECONDS
from support.peers.last_word import say
from support.peers.peers import Peer
from support.peers.ways import HTTP, SOCKETS, Way

PARAMETERS = SpeechParameters(
    mode=Mode.FAST, reference_audio_id="plain", output_format=AudioFormat.PCM
)
WORD = 2 * round(WORD_SECONDS * RATE)


def life_of(peer: Peer, **services: Any) -> TaskLife:
    changed = replace(peer.server.services, **services)
    return TaskLife(PARAMETERS, Caller("alice"), changed, "websocket", task_id="t")


async def all_events(life: TaskLife) -> list[TaskStarted | ResultGenerated]:
    async with aclosing(life.events()) as events:
        return [event async for event in events]


async def test_from_text_to_totals(peer: Peer) -> None:
    life = life_of(peer)
    life.enter()
    await life.feed("one ")
    await life.finish("two")
    started, *results = await all_events(life)
    assert started == TaskStarted("t")
    assert [len(each.data) for each in results if isinstance(each, ResultGenerated)] == [WORD] * 2
    assert [each.begin for each in results if isinstance(each, ResultGenerated)] == [
        0.0,
        WORD_SECONDS,
    ]
    finished = life.finished("stop")
    assert (finished.characters, finished.metrics.speech_len) == (7, 2 * WORD_SECONDS)
    life.settle("finished")
    with capture_logs() as lines:
        life.over()
    (ended,) = lines
    assert (ended["event"], ended["transport"], ended["outcome"]) == (
        "task_ended",
        "websocket",
        "finished",
    )


async def test_text_that_comes_before_the_voice_keeps_its_order(peer: Peer) -> None:
    class LateVoices:
        def __init__(self) -> None:
            self.found = asyncio.Event()

        async def resolve(self, *_: object) -> Prompt:
            await self.found.wait()
            return Prompt("plain")

    voices = LateVoices()
    life = life_of(peer, voices=cast(Any, voices))
    await life.feed("one ")
    await life.feed("two ", flush=True)
    await life.feed("", flush=True)
    speaking = asyncio.create_task(all_events(life))
    await asyncio.sleep(0)
    assert not peer.engine.sessions
    await life.feed("three ")
    voices.found.set()
    await life.finish("four")
    assert len(await speaking) == 5
    (session,) = peer.engine.sessions
    assert (session.text, session.flushes) == ("one two three four", [8])
    life.over()


async def test_a_task_that_is_refused_is_over(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise Throttled("at most 1 tasks in all are allowed")

    monkeypatch.setattr(peer.server.services.admission, "enter", full)
    with capture_logs() as lines, pytest.raises(Throttled):
        life_of(peer).enter()
    (ended,) = lines
    assert (ended["event"], ended["outcome"], ended["code"]) == (
        "task_ended",
        "throttled",
        "Throttled",
    )


async def test_only_the_first_outcome_counts(peer: Peer) -> None:
    life = life_of(peer)
    life.fail(ReferenceAudioNotFound("no voice"))
    life.settle("finished")
    with capture_logs() as lines:
        life.over()
    assert (lines[0]["outcome"], lines[0]["code"]) == ("failed", "ReferenceAudioNotFound")


async def test_a_task_that_nobody_settled_was_left_by_its_client(peer: Peer) -> None:
    with capture_logs() as lines:
        life_of(peer).over()
    assert (lines[0]["outcome"], lines[0]["code"]) == ("disconnected", "")


async def test_closing_the_events_frees_the_session(peer: Peer) -> None:
    life = life_of(peer)
    await life.finish("one two")
    async with aclosing(life.events()) as events:
        async for event in events:
            if isinstance(event, ResultGenerated):
                break
        assert peer.engine.open
    assert not peer.engine.open
    life.over()


async def test_what_a_task_waits_for_the_engine_alone_is_measured(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[float] = []
    capacity = peer.server.services.admission.capacity
    monkeypatch.setattr(capacity, "spoke", lambda waited, seconds: measured.append(seconds))
    life = life_of(peer)
    life.enter()
    await life.feed("one two three ")
    async with aclosing(life.events()) as events:
        for _ in range(4):  # the start and three words, with text to come
            await anext(events)
        assert not measured
        await life.finish("four five")
        async for _ in events:
            pass
    # The first of these was asked for before the text was whole.
    assert len(measured) >= 1
    assert set(measured) == {WORD_SECONDS}
    life.over()


async def test_the_first_sound_is_no_measure(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[float] = []
    capacity = peer.server.services.admission.capacity
    monkeypatch.setattr(capacity, "spoke", lambda waited, seconds: measured.append(seconds))
    life = life_of(peer)
    life.enter()
    await life.finish("one")
    await all_events(life)
    assert not measured
    life.over()


@pytest.mark.parametrize("way", [*SOCKETS, *HTTP], ids=str)
async def test_the_engine_knows_whose_text_it_is(peer: Peer, way: Way) -> None:
    async with way.open(peer) as conversation:
        await say(conversation)
    assert {session.options.tenant for session in peer.engine.sessions} == {"alice"}

"""A task of a WebSocket by itself: what it sends, and when no more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosedError

from cosyserve.engine.interface import Prompt
from cosyserve.protocol.codec import Frame
from cosyserve.protocol.cosyvoice.codec import CosyVoiceCodec, encode_command
from cosyserve.protocol.messages import CancelTask, FinishTask, RunTask
from cosyserve.protocol.parameters import Mode, SpeechParameters
from cosyserve.protocol.task import TaskProtocol, TaskState
from cosyserve.server.auth import Caller
from cosyserve.server.tasks.life import TaskLife
from cosyserve.server.tasks.places import EndedTasks
from cosyserve.server.websocket.task import WebSocketTask
from support.peers.peers import Peer

TASK = RunTask("t", "cosyvoice-v2", SpeechParameters(mode=Mode.FAST, reference_audio_id="plain"))


class SentFrames:
    """In the place of an Outbox."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    async def send(self, frames: Sequence[Frame], seconds: float = 0.0) -> None:
        self.frames += frames


class LateVoice:
    """In the place of a VoiceBook."""

    def __init__(self) -> None:
        self.voice: asyncio.Future[Prompt] = asyncio.get_running_loop().create_future()

    async def resolve(self, owner: str | None, wanted: str, hosted: object = None) -> Prompt:
        return await self.voice


def task_of(
    peer: Peer,
    protocol: TaskProtocol,
    outbox: SentFrames,
    voices: LateVoice,
    text_timeout: float = 60,
) -> WebSocketTask:
    services = replace(peer.server.services, voices=cast(Any, voices))
    life = TaskLife(TASK.parameters, Caller("alice"), services, "websocket", task_id="t")
    life.enter()
    return WebSocketTask(life, protocol, cast(Any, outbox), text_timeout, EndedTasks())


async def test_a_dropped_task_sends_nothing_though_its_voice_came_at_that_moment(
    peer: Peer,
) -> None:
    protocol, outbox, voices = (
        TaskProtocol(CosyVoiceCodec(), one_at_a_time=True),
        SentFrames(),
        LateVoice(),
    )
    protocol.receive(encode_command(TASK))
    task = task_of(peer, protocol, outbox, voices)
    running = asyncio.create_task(task.run())
    for _ in range(5):
        await asyncio.sleep(0)
    voices.voice.set_result(Prompt("plain"))
    protocol.receive(encode_command(TASK))  # the same id again: what is sent now is another's
    task.drop("cancelled")
    running.cancel()
    await asyncio.wait({running})
    task.over()
    assert protocol.state("t") is TaskState.ACCEPTED
    assert not outbox.frames
    assert not peer.engine.open


async def test_flushes_that_wait_for_the_voice_are_kept_as_one(peer: Peer) -> None:
    protocol, outbox, voices = TaskProtocol(CosyVoiceCodec()), SentFrames(), LateVoice()
    protocol.receive(encode_command(TASK))
    task = task_of(peer, protocol, outbox, voices)
    for text in ("one", *[""] * 1000, "two", *[""] * 1000):
        await task.feed(text, flush=not text)
    for _ in range(1000):
        await task.feed("")
    protocol.receive(encode_command(FinishTask("t")))
    await task.finish("")
    voices.voice.set_result(Prompt("plain"))
    await task.run()
    task.over()
    assert peer.engine.sessions[0].flushes == [3, 6]
    assert peer.engine.sessions[0].text == "onetwo"
    assert protocol.state("t") is TaskState.FINISHED


async def test_a_finished_text_does_not_time_out(peer: Peer) -> None:
    protocol, outbox, voices = TaskProtocol(CosyVoiceCodec()), SentFrames(), LateVoice()
    protocol.receive(encode_command(TASK))
    task = task_of(peer, protocol, outbox, voices, text_timeout=0.01)
    await task.feed("one")
    protocol.receive(encode_command(FinishTask("t")))
    await task.finish("")
    asyncio.get_running_loop().call_later(0.05, voices.voice.set_result, Prompt("plain"))
    await task.run()
    task.over()
    assert protocol.state("t") is TaskState.FINISHED


async def test_a_client_that_is_gone_when_it_is_sent_to_is_no_failure(peer: Peer) -> None:
    class ClosedOutbox(SentFrames):
        async def send(self, frames: Sequence[Frame], seconds: float = 0.0) -> None:
            raise ConnectionClosedError(None, None)

    protocol, voices = TaskProtocol(CosyVoiceCodec()), LateVoice()
    protocol.receive(encode_command(TASK))
    task = task_of(peer, protocol, ClosedOutbox(), voices)
    voices.voice.set_result(Prompt("plain"))
    with capture_logs() as lines:
        await task.run()
        task.over()
    assert [(line["event"], line["outcome"]) for line in lines] == [("task_ended", "disconnected")]
    assert task.failed_with is None
    assert not peer.engine.open


async def test_the_place_is_free_before_the_last_event_is_out(peer: Peer) -> None:
    places: list[int] = []

    class CountingOutbox(SentFrames):
        async def send(self, frames: Sequence[Frame], seconds: float = 0.0) -> None:
            places.append(peer.server.services.admission.tasks)
            await super().send(frames, seconds)

    protocol, outbox, voices = TaskProtocol(CosyVoiceCodec()), CountingOutbox(), LateVoice()
    protocol.receive(encode_command(TASK))
    protocol.receive(encode_command(CancelTask("t")))
    task = task_of(peer, protocol, outbox, voices)
    assert peer.server.services.admission.tasks == 1
    task.cancel()
    await task.run()
    task.over()
    assert places == [0]
    assert [b"task-finished" in frame.text for frame in outbox.frames] == [True]

"""No task ends without a last word: whatever fails, its client is told, the log and the metrics know."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from itertools import count
from typing import Any, NoReturn

import pytest
from structlog.testing import capture_logs

from cosyserve.protocol.codec import CosyVoiceCodec
from cosyserve.protocol.dashscope import DashScopeCodec
from cosyserve.protocol.elevenlabs import MultiStreamCodec, StreamCodec
from cosyserve.protocol.messages import (
    EffectiveAudio,
    Event,
    ResultGenerated,
    TaskFailed,
    TaskFinished,
    TaskStarted,
)
from cosyserve.server import speaker, synthesis
from cosyserve.server.account import TaskAccount
from cosyserve.server.encoders import Encoded
from cosyserve.server.metrics import Metrics, TaskMeter
from cosyserve.server.openai import routes as openai_routes
from cosyserve.server.outbox import Outbox
from support.fake_engine import RATE, WORD_SECONDS
from support.faulty_engine import (
    EARLY_END,
    FAULTS,
    SECRET,
    Fault,
    FaultyEngine,
    cancel_who_calls,
    raises,
    wait_for_what_is_cancelled,
)
from support.peers import Peer, message, run_task, text
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

LATE = [
    fault
    for fault in FAULTS
    if fault.name in ("an empty chunk", "iteration raises RuntimeError", "cancel raises OSError")
]

each_way = pytest.mark.parametrize("way", WAYS, ids=str)
each_socket = pytest.mark.parametrize("way", SOCKETS, ids=str)


@pytest.fixture
async def faulty(served: Served) -> AsyncIterator[Peer]:
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
@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_a_fault_of_the_engine(faulty: Peer, way: Way, fault: Fault) -> None:
    await one_fails_and_the_next_is_spoken(faulty, way, fault, after=0)


@each_way
@pytest.mark.parametrize("fault", LATE, ids=str)
async def test_a_fault_after_the_first_sound(faulty: Peer, way: Way, fault: Fault) -> None:
    await one_fails_and_the_next_is_spoken(faulty, way, fault, after=1)


async def one_fails_and_the_next_is_spoken(peer: Peer, way: Way, fault: Fault, after: int) -> None:
    engine = engine_of(peer)
    engine.fault, engine.after = fault, after
    with capture_logs() as lines:
        async with way.open(peer) as conversation:
            assert_told(way, await say(conversation))
            await assert_accounted(peer, way, lines, fault.broke)
            engine.fault = None
            await assert_usable(peer, way, conversation)


@each_socket
@pytest.mark.parametrize("after", [0, 1])
async def test_an_iteration_that_ends_while_text_is_expected_fails_at_once(
    faulty: Peer, way: Way, after: int
) -> None:
    engine = engine_of(faulty)
    engine.fault, engine.after = EARLY_END, after
    with capture_logs() as lines:
        async with way.open(faulty) as conversation:
            await conversation.send(WORDS + " ", finish=False)
            assert_told(way, await conversation.heard())
            await assert_accounted(faulty, way, lines, EARLY_END.broke)
            engine.fault = None
            await conversation.finish()  # it was on its way: nothing answers it
            await assert_usable(faulty, way, conversation)


@each_socket
async def test_a_task_that_its_engine_cancels_fails(faulty: Peer, way: Way) -> None:
    engine = engine_of(faulty)
    engine.fault = Fault("", "iteration", cancel_who_calls, "")
    with capture_logs() as lines:
        async with way.open(faulty) as conversation:
            assert_told(way, await say(conversation))
            engine.fault = None
            await assert_usable(faulty, way, conversation)
    (error,) = [line for line in lines if line["event"] == "unexpected_error"]
    assert error["broke"] == "the task that called the engine was cancelled"
    assert counted(faulty)[way.transport, "failed", "InternalError"] == 1


async def test_an_engine_that_goes_on_after_cancel_is_left_alone(
    faulty: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speaker, "ENDS", 0.05)
    released = asyncio.Event()

    async def deaf() -> None:
        while not released.is_set():
            with suppress(asyncio.CancelledError):
                await released.wait()

    engine = engine_of(faulty)
    engine.fault, engine.after = Fault("deaf", "iteration", deaf, ""), 1
    with capture_logs() as lines:
        async with faulty.socket() as socket:
            await socket.send(run_task("t"), text("continue-task", "t", WORDS + " "))
            await socket.until("result-generated")
            await socket.send(message("cancel-task", "t"))
            end = (await socket.until("task-finished"))[-1]
            assert end["payload"]["output"]["finish_reason"] == "cancelled"
            engine.fault = None
            await socket.send(run_task("t"), text("finish-task", "t", "four"))
            await socket.until("task-started")
            released.set()
            await socket.until("task-finished")  # and nothing of the first task
    assert [line["broke"] for line in lines if line["event"] == "unexpected_error"] == [
        "iteration goes on 0.05 s after it was cancelled"
    ]
    assert counted(faulty) == {
        ("websocket", "cancelled", ""): 1,
        ("websocket", "finished", ""): 1,
    }


@each_way
async def test_a_session_that_is_never_freed_keeps_no_client_waiting(
    faulty: Peer, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthesis, "LETS_GO", 0.05)
    engine = engine_of(faulty)
    never = asyncio.Event()
    engine.fault = Fault("never freed", "cancel", never.wait, "")
    with capture_logs() as lines:
        async with way.open(faulty) as conversation:
            heard = await say(conversation)
            never.set()
    assert (len(heard.sound), heard.failed, heard.closed) == (WHOLE, None, None)
    (error,) = [line for line in lines if line["event"] == "unexpected_error"]
    assert error["broke"] == "cancel takes over 0.05 s"


# What is no engine's fault.


class _BrokenEncoder:
    """In the place of an encoder. at: the step that fails."""

    effective = EffectiveAudio("pcm", RATE, None)

    def __init__(self, at: str) -> None:
        self._at = at

    def encode(self, samples: Any) -> Encoded:
        if self._at == "encode":
            raise RuntimeError(SECRET)
        return Encoded(bytes(2 * len(samples)), len(samples) / RATE)

    def flush(self) -> Encoded:
        raise RuntimeError(SECRET)


def break_encoding(peer: Peer, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(synthesis, "open_encoder", lambda *_, **__: _BrokenEncoder("encode"))


def break_flushing(peer: Peer, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(synthesis, "open_encoder", lambda *_, **__: _BrokenEncoder("flush"))


def break_opening(peer: Peer, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(synthesis, "open_encoder", raises(RuntimeError, SECRET))


def break_voices(peer: Peer, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(peer.server.services.voices, "resolve", broken)


def lose_voices(peer: Peer, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(peer.server.services.voices, "resolve", lambda *_: wait_for_what_is_cancelled())


def break_text_accounts(peer: Peer, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TaskAccount, "text", broken)


def break_chunk_accounts(peer: Peer, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TaskAccount, "chunk", broken)


def break_the_meter(peer: Peer, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TaskMeter, "chunk", broken)


def broken(*arguments: object, **named: object) -> NoReturn:
    raise RuntimeError(SECRET)


@each_way
@pytest.mark.parametrize(
    "break_it",
    [
        break_encoding,
        break_flushing,
        break_opening,
        break_voices,
        lose_voices,
        break_text_accounts,
        break_chunk_accounts,
        break_the_meter,
    ],
)
async def test_a_fault_of_the_server(
    faulty: Peer, way: Way, break_it: Callable[[Peer, pytest.MonkeyPatch], None]
) -> None:
    with capture_logs() as lines:
        async with way.open(faulty) as conversation:
            with pytest.MonkeyPatch.context() as patch:
                break_it(faulty, patch)
                assert_told(way, await say(conversation))
                await faulty.server.services.admission.wait_idle()
            errors = {each["exc_info"] for each in lines if each["event"] == "unexpected_error"}
            assert all(error.__traceback__ is not None for error in errors)
            assert counted(faulty) == {(way.transport, "failed", "InternalError"): 1}
            assert not faulty.engine.open
            await assert_usable(faulty, way, conversation)


@each_way
async def test_a_task_that_cannot_be_counted_is_refused(faulty: Peer, way: Way) -> None:
    async with way.open(faulty) as conversation:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Metrics, "task_arrived", broken)
            assert_told(way, await say(conversation))
        await assert_usable(faulty, way, conversation)


@each_way
@pytest.mark.parametrize("owner", [TaskAccount, TaskMeter])
async def test_a_task_that_cannot_be_accounted_for_ends_all_the_same(
    faulty: Peer, way: Way, owner: type
) -> None:
    with capture_logs() as lines:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, "totals" if owner is TaskAccount else "ended", broken)
            async with way.open(faulty) as conversation:
                heard = await say(conversation)
        await faulty.server.services.admission.wait_idle()
    assert len(heard.sound) == WHOLE
    told = way in SOCKETS and owner is TaskAccount  # the last event has the totals
    assert heard.failed == (way.internal if told else None)
    assert "unexpected_error" in [line["event"] for line in lines]
    (ended,) = [line for line in lines if line["event"] == "task_ended"]
    assert ended["outcome"] == ("failed" if told else "finished")


# What cannot be encoded.


def break_codec(patch: pytest.MonkeyPatch, way: Way, *kinds: type[Event]) -> None:
    """Events of these kinds cannot be encoded any more."""
    codec = CODECS[way.name]
    encode = codec.encode

    def fails(self: Any, event: Event) -> Any:
        if isinstance(event, kinds):
            raise RuntimeError(SECRET)
        return encode(self, event)

    patch.setattr(codec, "encode", fails)


@each_socket
@pytest.mark.parametrize("kind", [TaskStarted, ResultGenerated, TaskFinished])
async def test_an_event_that_cannot_be_encoded(faulty: Peer, way: Way, kind: type[Event]) -> None:
    with capture_logs() as lines:
        async with way.open(faulty) as conversation:
            with pytest.MonkeyPatch.context() as patch:
                break_codec(patch, way, kind)
                assert_told(way, await say(conversation))
                await assert_accounted(faulty, way, lines)
            await assert_usable(faulty, way, conversation)


@each_socket
@pytest.mark.parametrize("kind", [ResultGenerated, TaskFinished])
async def test_a_last_word_that_cannot_be_encoded_either_closes(
    faulty: Peer, way: Way, kind: type[Event]
) -> None:
    with capture_logs() as lines:
        async with way.open(faulty) as conversation:
            with pytest.MonkeyPatch.context() as patch:
                break_codec(patch, way, kind, TaskFailed)
                heard = await say(conversation)
            assert (heard.failed, heard.closed) == (None, 1011)
            assert SECRET not in heard.told
    await faulty.server.services.admission.wait_idle()
    assert counted(faulty) == {(way.transport, "failed", "InternalError"): 1}
    assert "failure_not_told" in [line["event"] for line in lines]


@each_socket
async def test_a_message_that_the_codec_breaks_on_closes(faulty: Peer, way: Way) -> None:
    with capture_logs() as lines:
        async with way.open(faulty) as conversation:
            await conversation.send(WORDS, finish=False)
            await engine_of(faulty).opened.wait()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(CODECS[way.name], "decode", broken)
                await conversation.finish()
                heard = await conversation.heard()
            assert heard.closed == 1011
            assert SECRET not in heard.told
    await faulty.server.services.admission.wait_idle()
    assert counted(faulty) == {(way.transport, "failed", "InternalError"): 1}
    assert [line["event"] for line in lines].count("unexpected_error") == 1


@each_socket
async def test_a_frame_that_cannot_be_written(faulty: Peer, way: Way) -> None:
    with capture_logs() as lines:
        async with way.open(faulty) as conversation:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Outbox, "send", broken)
                heard = await say(conversation)
            assert (heard.failed, heard.closed, heard.sound) == (None, 1011, b"")
    await faulty.server.services.admission.wait_idle()
    assert counted(faulty) == {(way.transport, "failed", "InternalError"): 1}
    assert "failure_not_told" in [line["event"] for line in lines]


WRITERS = {
    "rest events": ("rest.speech", "speech_event"),
    "rest whole": ("rest.speech", "speech_whole"),
    "openai events": ("openai.routes", "audio_delta"),
    "elevenlabs/with-timestamps": ("elevenlabs.routes", "timed_speech"),
    "elevenlabs/stream/with-timestamps": ("elevenlabs.routes", "timed_speech"),
}
WRITTEN = [way for way in HTTP if way.name in WRITERS]
STREAMED = [way for way in WRITTEN if way.internal_later != way.internal]


def break_writer(patch: pytest.MonkeyPatch, way: Way, *numbers: int) -> None:
    """What is written of an answer at these turns cannot be written."""
    place, name = WRITERS[way.name]
    module = importlib.import_module(f"cosyserve.server.{place}")
    write, turn = getattr(module, name), count()

    def fails(*arguments: Any, **named: Any) -> Any:
        if next(turn) in numbers:
            raise RuntimeError(SECRET)
        return write(*arguments, **named)

    patch.setattr(module, name, fails)


@pytest.mark.parametrize(
    ("way", "turn"), [*((way, 0) for way in WRITTEN), *((way, 1) for way in STREAMED)], ids=str
)
async def test_a_body_that_cannot_be_written(faulty: Peer, way: Way, turn: int) -> None:
    with capture_logs() as lines:
        async with way.open(faulty) as conversation:
            with pytest.MonkeyPatch.context() as patch:
                break_writer(patch, way, turn)
                assert_told(way, await say(conversation))
            await assert_accounted(faulty, way, lines)
            await assert_usable(faulty, way, conversation)


@pytest.mark.parametrize("way", STREAMED, ids=str)
async def test_a_body_whose_failure_cannot_be_told_either_has_no_end(
    faulty: Peer, way: Way
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        break_writer(patch, way, 1, 2)
        patch.setattr(openai_routes, "error_event", broken)
        async with way.open(faulty) as conversation:
            heard = await say(conversation)
    assert (heard.failed, heard.closed) == (None, 1)
    assert SECRET not in heard.told
    await faulty.server.services.admission.wait_idle()
    assert counted(faulty) == {(way.transport, "failed", "InternalError"): 1}

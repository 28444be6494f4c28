"""No task ends without a last word, whatever fails in the server itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from itertools import count
from typing import Any, NoReturn

import pytest
from structlog.testing import capture_logs

from cosyserve.protocol.cosyvoice.codec import CosyVoiceCodec
from cosyserve.protocol.dashscope import DashScopeCodec
from cosyserve.protocol.dashscope_realtime import RealtimeCodec
from cosyserve.protocol.elevenlabs import MultiStreamCodec, StreamCodec
from cosyserve.protocol.messages import (
    EffectiveAudio,
    Event,
    ResultGenerated,
    TaskFailed,
    TaskFinished,
    TaskStarted,
)
from cosyserve.protocol.vllm_omni import VllmOmniCodec
from cosyserve.server.audio import Encoded
from cosyserve.server.dialects import openai as openai_routes
from cosyserve.server.observe.metrics import Metrics, TaskMeter
from cosyserve.server.tasks import synthesis
from cosyserve.server.tasks.account import TaskAccount
from cosyserve.server.websocket.outbox import Outbox
from support.engines.fake_engine import RATE
from support.engines.faulty_engine import SECRET, raises, wait_for_what_is_cancelled
from support.peers.last_word import (
    WHOLE,
    WORDS,
    assert_accounted,
    assert_told,
    assert_usable,
    counted,
    engine_of,
    say,
)
from support.peers.peers import Peer
from support.peers.ways import HTTP, SOCKETS, Way

CODECS = {
    "native socket": CosyVoiceCodec,
    "dashscope socket": DashScopeCodec,
    "dashscope_realtime socket": RealtimeCodec,
    "elevenlabs stream-input": StreamCodec,
    "elevenlabs multi-stream-input": MultiStreamCodec,
    "vllm_omni socket": VllmOmniCodec,
}


each_way = pytest.mark.parametrize("way", [*SOCKETS, *HTTP], ids=str)
each_socket = pytest.mark.parametrize("way", SOCKETS, ids=str)


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
    # Where a dialect answers messages, the frame may be such an answer.
    assert {line["event"] for line in lines} & {"failure_not_told", "unexpected_error"}


WRITERS = {
    "rest events": ("dialects.cosyvoice", "speech_event"),
    "rest whole": ("dialects.cosyvoice", "speech_whole"),
    "openai events": ("dialects.openai", "audio_delta"),
    "elevenlabs/with-timestamps": ("dialects.elevenlabs", "timed_speech"),
    "elevenlabs/stream/with-timestamps": ("dialects.elevenlabs", "timed_speech"),
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

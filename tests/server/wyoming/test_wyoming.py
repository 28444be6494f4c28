"""Wyoming's port, with the library's own client, and with peers that are not to be trusted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from structlog.testing import capture_logs
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event, Eventable
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeVoice,
)

from cosyserve.server.app import RunningServer
from cosyserve.server.settings import SettingsError, load_settings
from support.engines.fake_engine import FakeEngine
from support.listening.audio import make_file, speechlike
from support.peers.last_word import counted
from support.peers.peers import Peer

ADDRESS = "tcp://127.0.0.1:0"
PLAIN = SynthesizeVoice(name="plain")


@pytest.fixture
async def wyoming(served) -> AsyncIterator[tuple[RunningServer, FakeEngine]]:
    async with served(wyoming=ADDRESS) as (server, engine):
        yield server, engine


def port(server: RunningServer) -> int:
    assert server.wyoming is not None
    return int(server.wyoming.url.rpartition(":")[2])


@asynccontextmanager
async def client(server: RunningServer) -> AsyncIterator[AsyncTcpClient]:
    async with AsyncTcpClient("127.0.0.1", port(server)) as connected:
        yield connected


async def say(peer: AsyncTcpClient, *events: Eventable) -> None:
    for each in events:
        await peer.write_event(each.event())


async def until(peer: AsyncTcpClient, last: str | None) -> list[Event]:
    """Events up to that one; None: to the end of the connection."""
    got: list[Event] = []
    while not got or got[-1].type != last:
        event = await peer.read_event()
        if event is None:
            assert last is None, f"the connection ended after {got}"
            return got
        got.append(event)
    return got


def sound(events: list[Event]) -> bytes:
    return b"".join(AudioChunk.from_event(each).audio for each in events if each.payload)


def kinds(events: list[Event]) -> list[str]:
    found = [each.type for each in events]
    return [kind for index, kind in enumerate(found) if index == 0 or found[index - 1] != kind]


async def assert_counted(server: RunningServer, outcome: str, code: str, times: int) -> None:
    """That so many tasks ended like this, and no other."""
    await server.services.admission.wait_idle()
    async with Peer.of(server, FakeEngine()) as peer:
        assert counted(peer) == {("wyoming", outcome, code): times}


async def test_the_voices_are_described(wyoming) -> None:
    server, engine = wyoming
    async with client(server) as peer:
        await say(peer, Describe())
        (event,) = await until(peer, "info")
    (program,) = Info.from_event(event).tts
    assert program.installed
    assert program.supports_synthesize_streaming
    assert program.attribution.name
    own = [(voice.id, voice.name) for voice in engine.capabilities.voices]
    assert [(voice.name, voice.description) for voice in program.voices] == own
    assert all(voice.installed and voice.languages for voice in program.voices)


@pytest.mark.parametrize("shared", [True, False])
async def test_clips_are_voices_of_those_who_may_use_them(served, shared: bool) -> None:
    async with served(wyoming=ADDRESS, references_shared=shared) as (server, engine):
        async with Peer.of(server, engine) as alice:
            clip = await alice.upload(make_file(speechlike(16000, 3.0), 16000, "wav", "pcm_s16le"))
        async with client(server) as peer:
            await say(peer, Describe())
            (event,) = await until(peer, "info")
            (program,) = Info.from_event(event).tts
            assert (clip in [voice.name for voice in program.voices]) == shared
            await say(peer, Synthesize("one", SynthesizeVoice(name=clip)))
            got = await until(peer, "audio-stop" if shared else None)
            assert (kinds(got)[-1] == "error") == (not shared)


async def test_a_whole_text(wyoming) -> None:
    server, _ = wyoming
    async with client(server) as peer:
        await say(peer, Synthesize("one two three", PLAIN))
        got = await until(peer, "audio-stop")
        assert kinds(got) == ["audio-start", "audio-chunk", "audio-stop"]
        start, *chunks, stop = got
        assert AudioStart.from_event(start).rate == 24000
        seconds = sum(AudioChunk.from_event(each).seconds for each in chunks)
        assert seconds == pytest.approx(0.15)
        assert AudioStop.from_event(stop).timestamp == 150
        await say(peer, Synthesize("four"))  # in the first voice
        assert sound(await until(peer, "audio-stop"))
    await assert_counted(server, "finished", "", 2)


async def test_text_is_spoken_as_it_comes(wyoming) -> None:
    server, engine = wyoming
    async with client(server) as peer:
        await say(peer, SynthesizeStart(PLAIN), SynthesizeChunk("one "))
        assert kinds(await until(peer, "audio-chunk")) == ["audio-start", "audio-chunk"]
        await say(peer, SynthesizeChunk("two "), SynthesizeChunk("three"))
        await until(peer, "audio-chunk")
        # Home Assistant sends the whole text once more, for servers that take no pieces.
        await say(peer, Synthesize("one two three", PLAIN), SynthesizeStop())
        got = await until(peer, "synthesize-stopped")
        assert kinds(got) == ["audio-chunk", "audio-stop", "synthesize-stopped"]
        assert len(engine.sessions) == 1
        assert engine.sessions[0].text == "one two three"


async def test_texts_come_in_turn(wyoming) -> None:
    server, _ = wyoming
    async with client(server) as peer:
        await say(peer, SynthesizeStart(PLAIN), SynthesizeChunk("one "), SynthesizeStop())
        await say(peer, Synthesize("two three", PLAIN))
        first = await until(peer, "synthesize-stopped")
        second = await until(peer, "audio-stop")
        assert [len(sound(each)) for each in (first, second)] == [2400, 4800]


async def test_a_ping_is_answered_and_the_unknown_ignored(wyoming) -> None:
    server, _ = wyoming
    async with client(server) as peer:
        for kind in ("transcribe", "synthesize-stop", "select-program"):
            await peer.write_event(Event(kind, {"name": "x"}, b"payload"))
        await say(peer, SynthesizeChunk("nobody asked"), Ping("hello"))
        (event,) = await until(peer, "pong")
        assert Pong.from_event(event).text == "hello"


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (Synthesize("one", SynthesizeVoice(name="nobody")).event(), "ReferenceAudioNotFound"),
        (Synthesize("one", SynthesizeVoice(name="x" * 129)).event(), "InvalidParameter"),
        (Event("synthesize", {"text": 5}), "InvalidParameter"),
        (Event("synthesize", {"voice": []}), "InvalidParameter"),
        (Synthesize("x" * 20_001, PLAIN).event(), "TextTooLong"),
    ],
)
async def test_a_failure_is_told_and_ends_the_connection(wyoming, event: Event, code: str) -> None:
    server, _ = wyoming
    async with client(server) as peer:
        await peer.write_event(event)
        got = await until(peer, None)
        assert [Error.from_event(each).code for each in got if each.type == "error"] == [code]


async def test_a_second_start_is_refused(wyoming) -> None:
    server, _ = wyoming
    async with client(server) as peer:
        await say(peer, SynthesizeStart(PLAIN), SynthesizeStart(PLAIN))
        assert Error.from_event((await until(peer, "error"))[-1]).code == "InvalidState"


async def test_a_shutdown_has_the_last_word(wyoming) -> None:
    server, _ = wyoming
    async with client(server) as speaking, client(server) as idle:
        await say(speaking, SynthesizeStart(PLAIN), SynthesizeChunk("one "))
        await until(speaking, "audio-chunk")
        await say(idle, Ping())
        await until(idle, "pong")
        closing = asyncio.create_task(server.close())
        assert kinds(await until(speaking, None)) == ["error"]
        assert kinds(await until(idle, None)) == ["error"]
    await closing
    await assert_counted(server, "failed", "EngineUnavailable", 1)
    assert server.services.admission.connections == 0
    with pytest.raises(ConnectionRefusedError):
        async with client(server):
            pass


async def test_one_who_leaves_stops_the_speech(wyoming) -> None:
    server, engine = wyoming
    with capture_logs() as lines:
        async with client(server) as peer:
            await say(peer, SynthesizeStart(PLAIN), SynthesizeChunk("one "))
            await until(peer, "audio-chunk")
        await server.services.admission.wait_idle()
    assert not engine.open
    (ended,) = [line for line in lines if line["event"] == "task_ended"]
    assert (ended["transport"], ended["outcome"]) == ("wyoming", "disconnected")


async def test_connections_and_tasks_count(served) -> None:
    async with served(wyoming=ADDRESS, tokens=(), max_connections=1) as (server, engine):
        async with client(server) as one, client(server) as two:
            await say(one, Ping())
            await until(one, "pong")
            await say(two, Ping())
            (error,) = await until(two, None)
            assert "limit of 1 connections" in Error.from_event(error).text
    async with served(wyoming=ADDRESS, max_tasks_per_connection=1) as (server, engine):
        engine.gate.clear()
        async with client(server) as peer:
            await say(peer, SynthesizeStart(PLAIN), SynthesizeStop(), Synthesize("two", PLAIN))
            got = await until(peer, None)
            assert Error.from_event(got[-1]).code == "Throttled"


async def raw(server: RunningServer, sent: bytes) -> bytes:
    """All that comes back for these bytes, up to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port(server))
    try:
        writer.write(sent)
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"x" * 300_000,
        b'{"type": "describe", "payload_length": 1000000000}\n',
        b'{"type": "synthesize", "data_length": 3}\n{{{',
        b'{"type": "synthesize", "data_length": 2}\n[]',
        b"{}\n",
    ],
)
async def test_what_is_no_event_ends_the_connection(wyoming, sent: bytes) -> None:
    server, _ = wyoming
    told = await raw(server, sent)
    assert json.loads(told.partition(b"\n")[0])["type"] == "error"
    async with client(server) as peer:  # others notice nothing
        await say(peer, Ping())
        await until(peer, "pong")


@pytest.mark.parametrize("sent", [b"", b'{"type": "ping"'])
async def test_a_first_event_that_does_not_come_in_time(served, sent: bytes) -> None:
    async with served(wyoming=ADDRESS, head_timeout=0.05) as (server, _):
        with suppress(ConnectionResetError):  # an end as good as any
            assert await raw(server, sent) == b""
        assert len(server.services.sockets) == 0


async def test_an_idle_connection_is_closed(served) -> None:
    async with served(wyoming=ADDRESS, wyoming_idle_timeout=0.05) as (server, _):
        async with client(server) as peer:
            await say(peer, Ping())
            assert kinds(await until(peer, None)) == ["pong"]


async def test_one_who_floods_is_parted_with(served) -> None:
    limits: dict[str, Any] = {"max_messages_per_second": 100, "flood_timeout": 0.01}
    async with served(wyoming=ADDRESS, **limits) as (server, _):
        with capture_logs() as lines:
            told = await raw(server, b'{"type": "nothing"}\n' * 2000)
        assert b"messages a second are allowed" in told
        assert "connection_floods" in [line["event"] for line in lines]


@pytest.mark.parametrize("given", ["0.0.0.0:10200", "tcp://0.0.0.0:10200", "tcp://x", "http://::1"])
def test_where_it_may_listen(given: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({"wyoming": given})
    assert "wyoming" in str(refused.value)


def test_it_is_opened_by_a_setting_of_its_own() -> None:
    settings = load_settings({"wyoming": "tcp://0.0.0.0:10200", "wyoming_open": True})
    assert settings.wyoming == ("0.0.0.0", 10200)
    assert any("wyoming" in notice for notice in settings.notices)
    assert load_settings({"wyoming": "tcp://[::1]:10200"}).wyoming == ("::1", 10200)
    assert load_settings({"wyoming": "none"}).wyoming is None


async def test_without_the_library_the_start_says_what_is_missing(
    served, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cosyserve.server.wyoming.server", None)
    with pytest.raises(SettingsError, match=r"cosyserve\[wyoming\]"):
        async with served(wyoming=ADDRESS):
            pass


async def test_one_who_does_not_read_is_cut_off(served) -> None:
    async with served(wyoming=ADDRESS, send_timeout=0.2, send_buffer_bytes=4096) as (
        server,
        engine,
    ):
        with capture_logs() as lines:
            async with client(server) as peer:
                await say(peer, Synthesize("word " * 3000, PLAIN))
                await until(peer, "audio-chunk")
                assert peer._reader is not None
                peer._reader._transport.pause_reading()  # type: ignore[attr-defined]
                await server.services.admission.wait_idle()
        assert not engine.open
        assert "connection_cut" in [line["event"] for line in lines]

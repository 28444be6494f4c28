"""A dialect is one value: this one is written here, and no file of the product knows of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from cosyserve.protocol.codec import Frame
from cosyserve.protocol.errors import InvalidParameter, TTSError
from cosyserve.protocol.fields import JsonObject
from cosyserve.protocol.messages import (
    Command,
    ContinueTask,
    Event,
    FinishTask,
    ResultGenerated,
    RunTask,
    TaskFailed,
    TaskFinished,
    TaskStarted,
)
from cosyserve.protocol.parameters import AudioFormat, Mode, SpeechParameters
from cosyserve.server.app import serve
from cosyserve.server.dialects import (
    Dialect,
    HttpRoute,
    Terms,
    UpgradeTarget,
    WebSocketRoute,
    text_limits,
)
from cosyserve.server.dialects.served import DIALECTS
from cosyserve.server.http.bodies import read_body
from cosyserve.server.http.task import HttpTask, SpeechBody
from cosyserve.server.settings import Settings, load_settings
from cosyserve.server.voices.book import HostedVoices
from support.engines.fake_engine import RATE, WORD_SECONDS, FakeEngine
from support.peers.peers import Peer, Socket

WORD: Final = 2 * round(WORD_SECONDS * RATE)
"""Bytes of a word's speech."""
KEY: Final = {"X-Telegraph-Key": "alice-secret"}


def parameters(voice: str) -> SpeechParameters:
    return SpeechParameters(
        mode=Mode.FAST,
        reference_audio_id=voice,
        output_format=AudioFormat.PCM,
        audio_transport="binary",
    )


class TelegraphCodec:
    """Every frame is a piece of text; STOP ends it."""

    def __init__(self, voice: str) -> None:
        self._voice = voice
        self._begun = False

    def decode(self, data: bytes | str) -> Command | None:
        text = data if isinstance(data, str) else data.decode()
        if text == "MUMBLE":
            raise InvalidParameter("nobody understands that").for_task("wire")
        if text == "STOP":
            return FinishTask("wire")
        if self._begun:
            return ContinueTask("wire", text)
        self._begun = True
        return RunTask("wire", "telegraph", parameters(self._voice), text)

    def encode(self, event: Event) -> tuple[Frame, ...]:
        match event:
            case TaskStarted():
                return ()
            case ResultGenerated():
                return (Frame(b"SOUND", event.data),)
            case TaskFinished():
                return (Frame(b"END"),)
            case TaskFailed():
                return (Frame(b"LOST " + event.error_message.encode()),)


def terms(target: UpgradeTarget, settings: Settings) -> Terms:
    return Terms(
        codec=TelegraphCodec(target.parts["voice"]),
        limits=text_limits(settings),
        text_timeout=60,
        first_timeout=None,
        idle_timeout=None,
        failure_closes=4000,
    )


async def telegram(request: web.Request) -> web.StreamResponse:
    text = (await read_body(request)).decode()
    voice = request.query.get("voice", "samuel")
    return await HttpTask(request, parameters(voice), text).stream({}, SpeechBody())


def error_body(error: TTSError, request_id: str) -> JsonObject:
    return {"lost": error.message}


TELEGRAPH: Final = Dialect(
    name="telegraph",
    error_body=error_body,
    websockets=(WebSocketRoute("/telegraph/{voice}", terms),),
    http=(HttpRoute("POST", "/telegraph", telegram),),
    http_prefixes=("/telegraph",),
    token_header="x-telegraph-key",
    hosted_voices=lambda settings: HostedVoices({"samuel": "male"}, default="plain"),
)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Peer]:
    """A server that speaks this dialect besides its own ones; its client has no token of itself."""
    flags = {
        "port": 0,
        "host": "127.0.0.1",
        "tokens": ("alice=alice-secret",),
        "references": str(tmp_path),
    }
    engine = FakeEngine()
    async with serve(load_settings(flags), engine, (*DIALECTS, TELEGRAPH)) as server:
        async with aiohttp.ClientSession(server.url) as http:
            yield Peer(server, engine, http)


def counted(peer: Peer, name: str) -> float | None:
    registry = peer.server.services.metrics.registry
    return registry.get_sample_value(f"cosyserve_{name}", {"transport": "telegraph"})


async def test_its_websocket(office: Peer) -> None:
    assert counted(office, "connections") == 0
    async with office.socket("/telegraph/samuel", additional_headers=KEY) as socket:
        assert counted(office, "connections") == 1
        await socket.send("one ", "two", "STOP")
        got = [await socket.raw.recv() for _ in range(5)]
    assert got[::2] == ["SOUND", "SOUND", "END"]
    assert [len(sound) for sound in got[1::2]] == [WORD, WORD]
    await office.server.services.admission.wait_idle()
    assert counted(office, "characters_total") == len("one two")
    assert office.engine.sessions[0].text == "one two"


async def last_words(socket: Socket) -> AsyncIterator[str | bytes]:
    with suppress(ConnectionClosed):
        while True:
            yield await socket.raw.recv()


async def test_its_failures_and_its_close_code(office: Peer) -> None:
    async with office.socket("/telegraph/samuel", additional_headers=KEY) as socket:
        await socket.send("one ", "MUMBLE")
        got = [frame async for frame in last_words(socket)]
    assert got[-1] == "LOST nobody understands that"
    assert socket.raw.close_code == 4000


async def test_its_http_route_and_its_voices(office: Peer) -> None:
    async with office.http.post("/telegraph", data=b"one two", headers=KEY) as answer:
        assert answer.status == 200
        assert len(await answer.read()) == 2 * WORD
    await office.server.services.admission.wait_idle()
    assert counted(office, "connections_opened_total") == 1
    assert counted(office, "characters_total") == len("one two")


async def test_its_error_body(office: Peer) -> None:
    for method, path, status in (
        ("POST", "/telegraph?voice=nobody", 404),
        ("POST", "/telegraph/nothing", 404),
        ("PUT", "/telegraph", 405),
    ):
        async with office.http.request(method, path, data=b"one", headers=KEY) as answer:
            assert answer.status == status
            assert list(await answer.json()) == ["lost"]


async def test_its_token_header_is_nobody_elses(office: Peer) -> None:
    async with office.http.post("/telegraph", data=b"one") as answer:
        assert (answer.status, list(await answer.json())) == (401, ["lost"])
    async with office.http.get("/v1/models", headers=KEY) as answer:
        assert (answer.status, list(await answer.json())) == (401, ["error"])
    uri = office.server.url.replace("http", "ws", 1)
    for path in ("/telegraph/samuel", "/api-ws/v1/inference"):
        headers = KEY if path == "/api-ws/v1/inference" else {}
        with pytest.raises(InvalidStatus, match="401"):
            await connect(uri + path, additional_headers=headers)

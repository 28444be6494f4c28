"""Every way to have a text spoken: each WebSocket dialect, each HTTP one, streamed and whole."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp
from websockets.exceptions import ConnectionClosed

from support.fake_engine import RATE
from support.peers import Peer, Socket, message, run_task, text

INTERNAL: Final = "InternalError"


@dataclass(frozen=True)
class Heard:
    """What one text brought. failed: how its failure was told, in the dialect's words, None if it was not.

    closed: the code of a WebSocket that closed after it; for HTTP, 1 where the body has no end.
    """

    sound: bytes
    failed: str | None
    closed: int | None
    told: str


class Conversation(Protocol):
    """A client's end of one way."""

    async def send(self, words: str, *, finish: bool = True) -> None:
        """Say a text, the next one, in a task of its own."""

    async def finish(self) -> None:
        """Say that the text is whole: for one that was sent without this."""

    async def heard(self) -> Heard:
        """All that comes back for the text, up to its end."""


@dataclass(frozen=True)
class Way:
    """transport: its name in the metrics. keeps: whether the connection takes another task after a failure.

    internal: an InternalError in the dialect's own words, told before the first sound or after it (None:
    nothing tells it, the body is cut off). closes: the code of the close that follows.
    """

    name: str
    transport: str
    open: Callable[[Peer], AbstractAsyncContextManager[Conversation]]
    internal: str
    internal_later: str | None
    keeps: bool = True
    closes: int | None = None

    def __str__(self) -> str:
        return self.name


async def _send(socket: Socket, *frames: str) -> None:
    """Send what can be sent: the server may have closed after the first of them."""
    with suppress(ConnectionClosed):
        await socket.send(*frames)


class _Tasks:
    """The native WebSocket and the one of DashScope."""

    def __init__(self, socket: Socket, run: Callable[[str], str]) -> None:
        self._socket = socket
        self._run = run
        self._task = 0

    @property
    def task_id(self) -> str:
        return f"t{self._task}"

    async def send(self, words: str, *, finish: bool = True) -> None:
        self._task += 1
        await _send(
            self._socket, self._run(self.task_id), text("continue-task", self.task_id, words)
        )
        if finish:
            await self.finish()

    async def finish(self) -> None:
        await _send(self._socket, message("finish-task", self.task_id))

    async def heard(self) -> Heard:
        sound, told = b"", ""
        while True:
            try:
                data = await self._socket.raw.recv()
            except ConnectionClosed as error:
                return Heard(sound, None, _code(error), told)
            if isinstance(data, bytes):
                sound += data
                continue
            told += data
            header, payload = (json.loads(data)[name] for name in ("header", "payload"))
            assert header["task_id"] == self.task_id
            if header["event"] == "result-generated" and "audio" in payload["output"]:
                sound += base64.b64decode(payload["output"]["audio"]["data"])
            elif header["event"] == "task-finished":
                return Heard(sound, None, None, told)
            elif header["event"] == "task-failed":
                return Heard(sound, header["error_code"], None, told)


class _Contexts:
    """ElevenLabs' two WebSockets; named: whether a text has a context."""

    def __init__(self, socket: Socket, *, named: bool) -> None:
        self._socket = socket
        self._named = named
        self._context = 0

    async def send(self, words: str, *, finish: bool = True) -> None:
        self._context += 1
        await self._say(text=" ", voice_settings={"speed": 1.0})
        await self._say(text=words)
        if finish:
            await self.finish()

    async def finish(self) -> None:
        if self._named:
            await self._say(flush=True)
            await self._say(close_context=True)
        else:
            await self._say(text="")

    async def _say(self, **fields: Any) -> None:
        if self._named:
            fields["context_id"] = f"c{self._context}"
        await _send(self._socket, json.dumps(fields))

    async def heard(self) -> Heard:
        sound, told = b"", ""
        while True:
            try:
                data = await self._socket.raw.recv()
            except ConnectionClosed as error:
                return Heard(sound, None, _code(error), told)
            assert isinstance(data, str)
            told += data
            found = json.loads(data)
            assert not self._named or found["contextId"] == f"c{self._context}"
            sound += base64.b64decode(found.get("audio") or "")
            if "error" in found:
                return Heard(sound, found["error"], None, told)
            if found["isFinal"]:
                return Heard(sound, None, None, told)


class _Requests:
    """An HTTP call for each text. parse: the sound of a whole body, and how it tells of a failure."""

    def __init__(
        self,
        peer: Peer,
        path: str,
        body: Callable[[str], dict[str, Any]],
        parse: Callable[[bytes], tuple[bytes, str | None]],
    ) -> None:
        self._peer = peer
        self._path = path
        self._body = body
        self._parse = parse
        self._words = ""

    async def send(self, words: str, *, finish: bool = True) -> None:
        assert finish, "a request is whole"
        self._words = words

    async def finish(self) -> None:
        raise NotImplementedError

    async def heard(self) -> Heard:
        data, cut = b"", None
        async with self._peer.http.post(self._path, json=self._body(self._words)) as answer:
            try:
                async for piece in answer.content.iter_any():
                    data += piece
            except aiohttp.ClientPayloadError:
                cut = 1
            told = data.decode(errors="replace")
            if answer.status != 200:
                return Heard(b"", _status(answer.status, json.loads(data)), cut, told)
        return Heard(*self._parse(data), cut, told)


def _code(error: ConnectionClosed) -> int | None:
    return None if error.rcvd is None else error.rcvd.code


def _status(status: int, body: dict[str, Any]) -> str:
    """An answer that is an error, by whatever name its dialect gives it."""
    name = body.get("code") or body.get("detail", {}).get("status") or body["error"]["code"]
    return f"{status} {name}"


def _events(data: bytes) -> list[dict[str, Any]]:
    lines = [line for line in data.split(b"\n") if line]
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


def _native_events(data: bytes) -> tuple[bytes, str | None]:
    events = _events(data)
    sound = b"".join(base64.b64decode(each["output"]["audio"]["data"]) for each in events)
    error = events[-1]["error"]
    return sound, error and error["code"]


def _native_whole(data: bytes) -> tuple[bytes, str | None]:
    return base64.b64decode(json.loads(data)["output"]["audio"]["data"]), None


def _openai_events(data: bytes) -> tuple[bytes, str | None]:
    events = _events(data)
    sound = b"".join(base64.b64decode(each.get("audio", "")) for each in events)
    error = events[-1].get("error")
    return sound, error and error["code"]


def _timed_lines(data: bytes) -> tuple[bytes, str | None]:
    return b"".join(base64.b64decode(each["audio_base64"]) for each in _events(data)), None


def _bare(data: bytes) -> tuple[bytes, str | None]:
    return data, None


def _socket(
    path: str, conversation: Callable[[Socket], Conversation]
) -> Callable[[Peer], AbstractAsyncContextManager[Conversation]]:
    @asynccontextmanager
    async def opened(peer: Peer) -> AsyncIterator[Conversation]:
        async with peer.socket(path) as socket:
            yield conversation(socket)

    return opened


def _requests(
    path: str,
    body: Callable[[str], dict[str, Any]],
    parse: Callable[[bytes], tuple[bytes, str | None]],
) -> Callable[[Peer], AbstractAsyncContextManager[Conversation]]:
    @asynccontextmanager
    async def opened(peer: Peer) -> AsyncIterator[Conversation]:
        yield _Requests(peer, path, body, parse)

    return opened


def _dashscope_run(task_id: str) -> str:
    return message(
        "run-task",
        task_id,
        model="cosyvoice-v2",
        task_group="audio",
        task="tts",
        function="SpeechSynthesizer",
        parameters={"voice": "plain", "format": "pcm", "sample_rate": RATE},
    )


def _native_body(stream: bool) -> Callable[[str], dict[str, Any]]:
    def body(words: str) -> dict[str, Any]:
        asked = {
            "mode": "fast_replication",
            "reference_audio_id": "plain",
            "text": words,
            "output_format": "pcm",
        }
        return {"model": "CosyVoice2-0.5B", "input": asked, "stream": stream}

    return body


def _openai_body(stream_format: str) -> Callable[[str], dict[str, Any]]:
    def body(words: str) -> dict[str, Any]:
        return {
            "model": "tts-1",
            "input": words,
            "voice": "plain",
            "response_format": "pcm",
            "stream_format": stream_format,
        }

    return body


_SPEECH: Final = "/v1/text-to-speech/plain"
_PCM: Final = f"?output_format=pcm_{RATE}"


def _elevenlabs(
    path: str, parse: Callable[[bytes], tuple[bytes, str | None]]
) -> Callable[[Peer], AbstractAsyncContextManager[Conversation]]:
    return _requests(_SPEECH + path + _PCM, lambda words: {"text": words}, parse)


_ELEVENLABS: Final = "internal_server_error"
_HTTP: Final = "500 InternalError"
_OPENAI: Final = "500 internal_error"

SOCKETS: Final = (
    Way(
        "native socket",
        "websocket",
        _socket("/api-ws/v1/audio/speech", lambda socket: _Tasks(socket, run_task)),
        *(INTERNAL, INTERNAL),
    ),
    Way(
        "dashscope socket",
        "dashscope",
        _socket("/api-ws/v1/inference", lambda socket: _Tasks(socket, _dashscope_run)),
        *(INTERNAL, INTERNAL),
        keeps=False,
        closes=1000,
    ),
    Way(
        "elevenlabs stream-input",
        "elevenlabs",
        _socket(f"{_SPEECH}/stream-input{_PCM}", lambda socket: _Contexts(socket, named=False)),
        *(_ELEVENLABS, _ELEVENLABS),
        keeps=False,
        closes=1008,
    ),
    Way(
        "elevenlabs multi-stream-input",
        "elevenlabs",
        _socket(
            f"{_SPEECH}/multi-stream-input{_PCM}", lambda socket: _Contexts(socket, named=True)
        ),
        *(_ELEVENLABS, _ELEVENLABS),
    ),
)
_URL: Final = "/api/v1/audio/speech"
HTTP: Final = (
    Way(
        "rest events", "rest", _requests(_URL, _native_body(True), _native_events), _HTTP, INTERNAL
    ),
    Way("rest whole", "rest", _requests(_URL, _native_body(False), _native_whole), _HTTP, _HTTP),
    Way(
        "openai sound",
        "openai",
        _requests("/v1/audio/speech", _openai_body("audio"), _bare),
        *(_OPENAI, None),
    ),
    Way(
        "openai events",
        "openai",
        _requests("/v1/audio/speech", _openai_body("sse"), _openai_events),
        *(_OPENAI, "internal_error"),
    ),
    *(
        Way(
            f"elevenlabs{path}", "elevenlabs", _elevenlabs(path, parse), "500 " + _ELEVENLABS, later
        )
        for path, parse, later in (
            ("", _bare, None),
            ("/stream", _bare, None),
            ("/with-timestamps", _timed_lines, "500 " + _ELEVENLABS),
            ("/stream/with-timestamps", _timed_lines, None),
        )
    ),
)

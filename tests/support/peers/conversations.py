"""A client's end of each API: says a text, and hears all that comes back, failures too."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

import aiohttp
from websockets.exceptions import ConnectionClosed

from support.peers.peers import Peer, Socket, message, text


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


async def _send(socket: Socket, *frames: str) -> None:
    """Send what can be sent: the server may have closed after the first of them."""
    with suppress(ConnectionClosed):
        await socket.send(*frames)


class Tasks:
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


class Contexts:
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


class Utterances:
    """vLLM-Omni's WebSocket."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._index = -1
        self._open = False  # its text goes on: also that of one that has failed

    async def send(self, words: str, *, finish: bool = True) -> None:
        if self._open:
            await self.finish()
        self._index, self._open = self._index + 1, True
        if not self._index:
            await self._say("session.config", voice="plain", response_format="pcm")
        await self._say("input.text", text=words or " ")  # an empty one begins nothing
        if finish:
            await self.finish()

    async def finish(self) -> None:
        self._open = False
        await self._say("input.done")

    async def _say(self, kind: str, **fields: Any) -> None:
        await _send(self._socket, json.dumps({"type": kind, **fields}))

    async def heard(self) -> Heard:
        sound, told, failed = b"", "", None
        while True:
            try:
                data = await self._socket.raw.recv()
            except ConnectionClosed as error:
                return Heard(sound, failed, _code(error), told)
            if isinstance(data, bytes):
                sound += data
                continue
            told += data
            found = json.loads(data)
            if found["type"] == "error":
                failed = found["code"]
                continue
            assert found["utterance_index"] == self._index
            if found["type"] == "session.done":
                return Heard(sound, failed, None, told)


class Responses:
    """DashScope's realtime WebSocket, in mode server_commit."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._open = False  # its text goes on: also that of one that has failed

    async def begin(self) -> None:
        """Configure the session."""
        await self._say("session.update", session={"voice": "plain"})
        while (await self._socket.next())["type"] != "session.updated":
            pass

    async def send(self, words: str, *, finish: bool = True) -> None:
        if self._open:
            await self.finish()
        self._open = True
        await self._say(
            "input_text_buffer.append", text=words or " "
        )  # an empty one begins nothing
        if finish:
            await self.finish()

    async def finish(self) -> None:
        self._open = False
        await self._say("input_text_buffer.commit")

    async def _say(self, kind: str, **fields: Any) -> None:
        await _send(self._socket, json.dumps({"type": kind, **fields}))

    async def heard(self) -> Heard:
        sound, told, failed = b"", "", None
        while True:
            try:
                data = await self._socket.raw.recv()
            except ConnectionClosed as error:
                return Heard(sound, failed, _code(error), told)
            assert isinstance(data, str)
            told += data
            found = json.loads(data)
            sound += base64.b64decode(found.get("delta", ""))
            if found["type"] == "error":
                failed = found["error"]["code"]
            elif found["type"] == "response.done":
                return Heard(sound, failed, None, told)


class Requests:
    """An HTTP call for each text. parse: the sound of a whole body, and how it tells of a failure."""

    def __init__(
        self,
        peer: Peer,
        path: str,
        body: Callable[[str], dict[str, Any]],
        parse: Callable[[bytes], tuple[bytes, str | None]],
        headers: Mapping[str, str],
    ) -> None:
        self._peer = peer
        self._path = path
        self._body = body
        self._parse = parse
        self._headers = headers
        self._words = ""

    async def send(self, words: str, *, finish: bool = True) -> None:
        assert finish, "a request is whole"
        self._words = words

    async def finish(self) -> None:
        raise NotImplementedError

    async def heard(self) -> Heard:
        data, cut = b"", None
        body = self._body(self._words)
        async with self._peer.http.post(self._path, json=body, headers=self._headers) as answer:
            try:
                async for piece in answer.content.iter_any():
                    data += piece
            except aiohttp.ClientPayloadError:
                cut = 1
            told = data.decode(errors="replace")
            if answer.status != 200:
                return Heard(b"", _status(answer.status, json.loads(data)), cut, told)
        return Heard(*self._parse(data), cut, told)


class Addressed(Requests):
    """Calls whose answer names the address of the sound. parse: gives that address."""

    async def heard(self) -> Heard:
        heard = await super().heard()
        if heard.failed is not None or heard.closed is not None:
            return heard
        async with aiohttp.ClientSession() as nobody, nobody.get(heard.sound.decode()) as answer:
            return replace(heard, sound=await answer.read())


def _code(error: ConnectionClosed) -> int | None:
    return None if error.rcvd is None else error.rcvd.code


def _status(status: int, body: dict[str, Any]) -> str:
    """An answer that is an error, by whatever name its dialect gives it."""
    name = body.get("code") or body.get("detail", {}).get("status") or body["error"]["code"]
    return f"{status} {name}"


def _events(data: bytes) -> list[dict[str, Any]]:
    lines = [line for line in data.split(b"\n") if line]
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


def native_events(data: bytes) -> tuple[bytes, str | None]:
    events = _events(data)
    sound = b"".join(base64.b64decode(each["output"]["audio"]["data"]) for each in events)
    error = events[-1]["error"]
    return sound, error and error["code"]


def native_whole(data: bytes) -> tuple[bytes, str | None]:
    return base64.b64decode(json.loads(data)["output"]["audio"]["data"]), None


def openai_events(data: bytes) -> tuple[bytes, str | None]:
    events = _events(data)
    sound = b"".join(base64.b64decode(each.get("audio", "")) for each in events)
    error = events[-1].get("error")
    return sound, error and error["code"]


def dashscope_events(data: bytes) -> tuple[bytes, str | None]:
    lines = [line[5:] for line in data.split(b"\n") if line.startswith(b"data:")]
    events = [json.loads(line) for line in lines]
    told = [each["output"].get("audio", {}) for each in events if "output" in each]
    sound = b"".join(base64.b64decode(each.get("data", "")) for each in told)
    return sound, events[-1].get("code")


def dashscope_address(data: bytes) -> tuple[bytes, str | None]:
    return json.loads(data)["output"]["audio"]["url"].encode(), None


def timed_lines(data: bytes) -> tuple[bytes, str | None]:
    return b"".join(base64.b64decode(each["audio_base64"]) for each in _events(data)), None


def batch_item(data: bytes) -> tuple[bytes, str | None]:
    """The one item of a batch."""
    (result,) = json.loads(data)["results"]
    return base64.b64decode(result.get("audio_data", "")), result.get("code")


def bare(data: bytes) -> tuple[bytes, str | None]:
    return data, None

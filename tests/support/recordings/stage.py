"""A server with the engine of the recordings, and clients of it whose every word is written down."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from .engine import USELESS, RecordedEngine
from .http import Answer, Request, fetch
from .product import RunningServer
from .sound import Sound, digest
from .talk import Talk
from .transcript import Transcript, on_one_line, without_sound
from .uploads import CLIP, FORM_TYPE, form

TOKENS = ("alice=alice-secret", "bob=bob-secret")
ALICE = {"Authorization": "Bearer alice-secret"}
BOB = {"Authorization": "Bearer bob-secret"}
NOBODY: Mapping[str, str] = {}

_UNTOLD = {**ALICE, "Content-Type": FORM_TYPE}
"""What a client sends as a matter of course."""

Show = Literal["all", "digest", "head"]

_QUIET: Mapping[str, Any] = {
    "user_agent_header": None,
    "compression": None,
    "proxy": None,
    "ping_interval": None,
    "max_size": None,
}


class Stage:
    """What an exchange plays on; whatever it does is written to the transcript, in its order."""

    def __init__(self, server: RunningServer, engine: RecordedEngine, references: Path) -> None:
        """references: the folder where they are kept."""
        self.server = server
        self.engine = engine
        self.references = references
        self.transcript = Transcript()
        self._headers: list[str] = []

    def say(self, text: str) -> None:
        """Say something of what came before."""
        self.transcript.add("=", text)

    @contextmanager
    def silence(self) -> Iterator[None]:
        """The engine says nothing within this."""
        self.engine.gate.clear()
        try:
            yield
        finally:
            self.engine.gate.set()

    # WebSocket

    @asynccontextmanager
    async def open(
        self,
        path: str,
        headers: Mapping[str, str] = ALICE,
        *,
        sound: Sound | None = None,
        name: str = "",
        head: bool = False,
        **options: Any,
    ) -> AsyncIterator[Talk]:
        """A connection. name: stands before its lines. head: write down how the upgrade was answered."""
        self._upgrade(path, headers, name, options)
        async with connect(
            self._address(path), additional_headers=headers, **_QUIET, **options
        ) as socket:
            if head and (response := socket.response):
                status = f"HTTP/1.1 {response.status_code} {response.reason_phrase}"
                self._head(status, response.headers.raw_items())
            yield Talk(socket, self.transcript, sound or Sound("pcm"), name)

    async def refused(self, path: str, headers: Mapping[str, str] = ALICE, **options: Any) -> None:
        """An upgrade that is answered with an error."""
        self._upgrade(path, headers, "", options)
        try:
            async with connect(
                self._address(path), additional_headers=headers, **_QUIET, **options
            ):
                raise AssertionError("the upgrade was not refused")
        except InvalidStatus as refused:
            response = refused.response
        body = bytes(response.body)
        status = f"HTTP/1.1 {response.status_code} {response.reason_phrase}"
        self._head(status, response.headers.raw_items(), body)
        self._body((body,))

    def _address(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.server.port}{path}"

    def _upgrade(
        self, path: str, headers: Mapping[str, str], name: str, options: Mapping[str, Any]
    ) -> None:
        self.transcript.add(f"{name}>", f"UPGRADE {path}")
        if offered := options.get("subprotocols"):
            self.transcript.add(f"{name}>", f"Sec-WebSocket-Protocol: {', '.join(offered)}")
        self._asked(headers)

    # HTTP

    async def request(
        self,
        method: str,
        path: str,
        body: Any = b"",
        headers: Mapping[str, str] = ALICE,
        *,
        sound: Sound | None = None,
        show: Show = "all",
    ) -> Answer:
        """Ask, and write down both. body: bytes, or what becomes JSON. show: as in `tell`."""
        encoded = body if isinstance(body, bytes) else json_bytes(body)
        return await self.ask(Request(method, path, headers, encoded), sound, show=show)

    async def get(self, path: str, headers: Mapping[str, str] = ALICE, **more: Any) -> Answer:
        return await self.request("GET", path, b"", headers, **more)

    async def post(
        self, path: str, body: Any, headers: Mapping[str, str] = ALICE, **more: Any
    ) -> Answer:
        return await self.request("POST", path, body, headers, **more)

    async def ask(
        self, request: Request, sound: Sound | None = None, *, show: Show = "all"
    ) -> Answer:
        answer = await self.fetch(request)
        self.tell(request, answer, sound, show=show)
        return answer

    async def fetch(self, request: Request) -> Answer:
        """Ask without writing it down; for what goes on at once."""
        return await fetch(self.server.port, request)

    def tell(
        self, request: Request, answer: Answer, sound: Sound | None = None, *, show: Show = "all"
    ) -> None:
        """Write down what was asked and answered.

        show: the head and the body, the head only, or a digest of the body with its type.
        """
        self.transcript.add(">", f"{request.method} {request.path}")
        self._asked(request.headers)
        if request.body:
            self.transcript.add(">", request.shown or _shown(request.body))
        if show == "digest":
            self._head(answer.status, [("Content-Type", answer.header("Content-Type"))])
            self.transcript.add("<", f"<{digest(answer.body)}>")
        else:
            self._head(answer.status, answer.headers, answer.body)
        if show == "all":
            self._body(answer.parts, sound)
        if not answer.ended and request.method != "HEAD":
            self.say("the body has no end")
        if sound is not None and answer.status.startswith("HTTP/1.1 200"):
            self.say(sound.told())

    def _asked(self, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            if (name, value) not in _UNTOLD.items():
                told = "<digest>" if name == "If-None-Match" else value
                self.transcript.add(">", f"{name}: {told}")
        if not headers:
            self.transcript.add(">", "(no token)")

    def _head(self, status: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> None:
        """The status, and the headers unless they are those of the answer before."""
        told = [f"{name}: {_header(name, value, body)}" for name, value in headers]
        self.transcript.add("<", status)
        for line in told if told != self._headers else ["(the same headers)"]:
            self.transcript.add("<", line)
        self._headers = told

    def _body(self, parts: Iterable[bytes], sound: Sound | None = None) -> None:
        for part in parts:
            text = _shown(part)
            if text.startswith("<") and sound is not None:
                text = f"<{sound.take(part)}>"
            self.transcript.add("<", without_sound(text, sound))

    # Voices

    async def upload(self, words: str = "What is said.", **fields: str) -> str:
        """A clip of alice's, of which nothing is written down; its id."""
        answer = await self.fetch(form(CLIP, {"text": words, **fields}, ALICE))
        assert " 200 " in answer.status, answer
        return str(answer.json()["id"])

    async def useless_voice(self) -> str:
        """The id of a clip that was a voice when it was uploaded, and is none any more."""
        reference_id = await self.upload()
        self.engine.known.clear()
        self.engine.refuses = USELESS
        return reference_id


def _header(name: str, value: str, body: bytes) -> str:
    """What a header says, less what no two answers have in common."""
    match name.lower():
        case "date":
            return "<date>"
        case "sec-websocket-accept":
            return "<digest of the key>"
        case "etag":
            return re.sub("[0-9a-f]{16,}", "<digest>", value)
        case "content-security-policy":
            return re.sub("(?<='sha256-)[^']*", "<digest>", value)
        case "server":
            return f"{value.partition('/')[0]}/<version>"
        case "content-length" if value == str(len(body)):
            return "<length>"
        case "x-request-id":
            return "<uuid>, as in the body" if value.encode() in body else "<uuid>"
        case _:
            return value


def json_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _shown(data: bytes) -> str:
    """Text as it is, on one line; of anything else the digest."""
    try:
        text = on_one_line(data.decode())
    except UnicodeDecodeError:
        return f"<{digest(data)}>"
    return text if text.isprintable() else f"<{digest(data)}>"

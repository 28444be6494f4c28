"""The WebSocket side: the handshake, and one reader per connection that feeds its speakers."""

from __future__ import annotations

import asyncio
import http
import uuid
from collections.abc import Sequence

import orjson
import structlog
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers, MultipleValuesError
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from cosyserve.protocol.codec import refuse_binary
from cosyserve.protocol.errors import (
    BadFrame,
    NotFound,
    TTSError,
    Unauthorized,
)
from cosyserve.protocol.limits import TextLimits
from cosyserve.protocol.messages import CancelTask, Command, ContinueTask, FinishTask, RunTask
from cosyserve.protocol.rest import error_body
from cosyserve.protocol.task import TaskProtocol

from .admission import ConnectionTicket
from .auth import SUBPROTOCOL, Caller
from .failures import as_tts_error, error_headers
from .outbox import Outbox
from .services import Services
from .speaker import Speaker

log = structlog.get_logger(__name__)

SPEECH_PATH = "/api-ws/v1/audio/speech"


class Handshake:
    """Decides which upgrades are accepted, and whose they are."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def check(self, socket: ServerConnection, request: Request) -> Response | None:
        """`process_request` of the server: None to go on, else the refusal."""
        try:
            if request.path.partition("?")[0].rstrip("/") != SPEECH_PATH:
                raise NotFound(f"there is no WebSocket here; it is at {SPEECH_PATH}")
            if self.caller(request) is None:
                raise Unauthorized("a valid token is needed")
            self._services.admission.connect().release()
        except TTSError as error:
            return refusal(error)
        return None

    def caller(self, request: Request) -> Caller | None:
        """Who asks: by the Authorization header, or, for browsers, by a subprotocol."""
        authenticator = self._services.authenticator
        try:
            authorization = request.headers.get("Authorization")
        except MultipleValuesError:
            return None
        if authorization is None:
            offers = ",".join(request.headers.get_all("Sec-WebSocket-Protocol")).split(",")
            if caller := authenticator.by_subprotocols([offer.strip() for offer in offers]):
                return caller
        return authenticator.by_header(authorization)


def select_subprotocol(
    socket: ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    """Ours if it is offered: the token that came as another one is never echoed."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def refusal(error: TTSError) -> Response:
    """An HTTP answer to an upgrade, with the same body as REST has."""
    status = http.HTTPStatus(error.status)
    body = orjson.dumps(error_body(error, str(uuid.uuid4())))
    headers = Headers(
        [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            *error_headers(error).items(),
        ]
    )
    return Response(status, status.phrase, headers, body)


class SpeechConnection:
    """One accepted connection: receives until the peer is gone, whatever its speakers are doing."""

    def __init__(
        self,
        socket: ServerConnection,
        caller: Caller,
        place: ConnectionTicket,
        services: Services,
    ) -> None:
        settings = services.settings
        self._socket = socket
        self._caller = caller
        self._place = place
        self._services = services
        self._outbox = Outbox(socket, settings.send_timeout)
        self._protocol = TaskProtocol(
            limits=TextLimits(settings.max_message_characters, settings.max_task_characters)
        )
        self._speakers: dict[str, Speaker] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve the connection to its end; leaves no task running."""
        try:
            await self._read()
        except ConnectionClosed:
            pass
        except BadFrame as error:
            await self._socket.close(error.close_code, error.message)
        finally:
            for task in self._running:
                task.cancel()
            if self._running:
                await asyncio.wait(self._running)

    async def _read(self) -> None:
        while True:
            data = await self._receive()
            if data is None:
                await self._socket.close(1000, "idle")
                return
            try:
                if isinstance(data, bytes):
                    raise refuse_binary()
                command = self._protocol.receive(data)
                if command is not None:
                    await self._obey(command)
            except BadFrame:
                raise
            except TTSError as error:
                await self._refuse(error)

    async def _receive(self) -> str | bytes | None:
        """The next message; None if the connection has been idle, with no task, for its limit."""
        limit = self._services.settings.idle_connection_timeout
        if limit is None:
            return await self._socket.recv()
        while True:
            try:
                async with asyncio.timeout(limit):
                    return await self._socket.recv()
            except TimeoutError:
                if not self._speakers:
                    return None

    async def _obey(self, command: Command) -> None:
        if isinstance(command, RunTask):
            await self._start(command)
            return
        speaker = self._speakers.get(command.task_id)
        if speaker is None:  # it has just sent its last event
            return
        try:
            match command:
                case ContinueTask():
                    await speaker.feed(command.text)
                case FinishTask():
                    await speaker.finish(command.text)
                case CancelTask():
                    speaker.cancel()
        except Exception as error:
            speaker.fail(as_tts_error(error))

    async def _start(self, command: RunTask) -> None:
        services, parameters = self._services, command.parameters
        meter = services.metrics.task_arrived("websocket", parameters, self._caller)
        try:
            ticket = services.admission.enter(self._caller, self._place)
        except TTSError as error:
            meter.refused(error.code)
            if frame := self._protocol.fail(command.task_id, error):
                await self._outbox.send(frame)
            return
        speaker = Speaker(command, self._caller, services, self._protocol, self._outbox, meter)
        self._speakers[command.task_id] = speaker
        task = asyncio.create_task(speaker.run())
        self._running.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            ticket.release()
            self._running.discard(task)
            if self._speakers.get(command.task_id) is speaker:
                del self._speakers[command.task_id]

        task.add_done_callback(ended)
        await speaker.feed(command.text)

    async def _refuse(self, error: TTSError) -> None:
        """Answer a message that could not be obeyed; it ends the running task that it was for."""
        speaker = self._speakers.get(error.task_id or "")
        if speaker is not None and self._protocol.ends_task(error):
            speaker.fail(error)
        else:
            await self._outbox.send(self._protocol.refuse(error))

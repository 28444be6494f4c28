"""The address of a server, and the one WebSocket to it that carries many tasks, told apart by task_id.

Data flows one way: frames -> decode_event -> the task's receiver. A receiver may make the reading
wait (that is how a slow reader pushes back on the server), but only as long as it promises to.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from ssl import SSLContext
from time import perf_counter
from typing import Final, Protocol, Self
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from cosyserve.protocol.cosyvoice.codec import decode_event, encode_command
from cosyserve.protocol.errors import TTSError
from cosyserve.protocol.messages import (
    Event,
    ResultGenerated,
    TaskCommand,
    TaskFailed,
    TaskFinished,
)

from .errors import (
    AuthenticationFailed,
    ClientError,
    ConnectionFailed,
    ConnectionLost,
    InvalidRequest,
    UnexpectedMessage,
)

SPEECH_PATH: Final = "/api-ws/v1/audio/speech"
MAX_MESSAGE: Final = 16 * 2**20
"""Bytes of a frame: minutes of sound as base64; more is not a chunk."""
_IPV6_HINT: Final = "put an IPv6 address in brackets, as in http://[::1]:8000"
_HTTP_SCHEME: Final = {"http": "http", "ws": "http", "https": "https", "wss": "https"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's address, the token for it, and the TLS context where it is not the default one.

    `http` is the base of all REST routes, without a slash at its end.
    """

    http: str
    token: str | None = field(default=None, repr=False)
    tls: SSLContext | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, token: str | None = None, tls: SSLContext | None = None) -> Self:
        """Take an http, https, ws or wss URL; a path before the API's own one is kept.

        Raises InvalidRequest.
        """
        try:
            parts = urlsplit(url.strip())
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            reason = _IPV6_HINT if "[" not in url and url.count(":") > 2 else error
            raise InvalidRequest(f"{url!r} is not an address: {reason}") from None
        if parts.scheme not in _HTTP_SCHEME or not host:
            raise InvalidRequest(
                f"{url!r} is not a server's address; an address looks like http://127.0.0.1:8000"
            )
        path = parts.path.rstrip("/").removesuffix(SPEECH_PATH)
        return cls(
            urlunsplit((_HTTP_SCHEME[parts.scheme], _plain_zone(parts.netloc), path, "", "")),
            _clean_token(token),
            tls,
        )

    @property
    def websocket(self) -> str:
        """The URL of the speech WebSocket."""
        return "ws" + self.http.removeprefix("http") + SPEECH_PATH

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @property
    def token_refused(self) -> str:
        """The message for a person whose token the server did not accept."""
        if self.token is None:
            return f"{self.http} requires a token, and none was given"
        return f"{self.http} does not accept this token"

    def not_reached(self, error: Exception) -> ConnectionFailed:
        """The error for a person, from the one that a connection or a request failed with."""
        return ConnectionFailed(f"cannot reach {self.http}: {_failure(error)}")

    def no_answer(self, timeout: float) -> ConnectionFailed:
        """The error for a person, after `timeout` seconds without an answer."""
        return ConnectionFailed(f"cannot reach {self.http}: no answer within {timeout:g} s")


def _plain_zone(netloc: str) -> str:
    """The netloc with a plain % before an IPv6 zone, as resolvers take it; RFC 6874 escapes it."""
    before, bracket, host = netloc.rpartition("[")
    return before + bracket + (host.replace("%25", "%", 1) if bracket else host)


def _clean_token(token: str | None) -> str | None:
    token = token.strip() if token else ""
    if not token.isascii() or not token.isprintable():
        raise InvalidRequest("the token must be printable ASCII")
    return token or None


class Receiver(Protocol):
    """Takes the events of one task."""

    async def receive(self, event: Event, received_at: float) -> None:
        """Take an event. While this waits, nothing is read from the connection."""

    def connection_lost(self, error: ClientError) -> None:
        """Hear that no more events come, because of `error`."""


class Connection:
    """An open WebSocket and the tasks on it: made by `open`, ended by `close` or by the server."""

    def __init__(self, socket: ClientConnection, endpoint: Endpoint) -> None:
        self._socket = socket
        self._endpoint = endpoint
        # Tasks whose last event has not come, by task_id.
        self._receivers: dict[str, Receiver] = {}
        # Why the connection is gone; None while it is open.
        self._lost: ClientError | None = None
        # Commands of `send_soon` on their way: asyncio itself keeps no reference to a task.
        self._sending: set[asyncio.Task[None]] = set()
        # Dispatches events until the connection is gone; never raises.
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, endpoint: Endpoint, open_timeout: float) -> Self:
        """Connect within `open_timeout` seconds. Raises ConnectionFailed, AuthenticationFailed."""
        try:
            socket = await connect(
                endpoint.websocket,
                additional_headers=endpoint.headers,
                ssl=endpoint.tls,
                compression=None,  # the sound is compressed by its own format or not at all
                max_size=MAX_MESSAGE,
                open_timeout=open_timeout,
                close_timeout=2,
                proxy=None,
            )
        except InvalidStatus as error:
            raise _handshake_refused(endpoint, error.response.status_code) from None
        except TimeoutError:
            raise endpoint.no_answer(open_timeout) from None
        except (OSError, InvalidHandshake) as error:
            raise endpoint.not_reached(error) from None
        return cls(socket, endpoint)

    @property
    def error(self) -> ClientError | None:
        """Why the connection is gone; None while it is open."""
        return self._lost

    def attach(self, task_id: str, receiver: Receiver) -> None:
        """Send the task's events to `receiver` until its last one. Raises ConnectionLost."""
        if self._lost is not None:
            raise self._lost
        self._receivers[task_id] = receiver

    async def send(self, command: TaskCommand) -> None:
        """Send, waiting while the server takes nothing. Raises ConnectionLost."""
        try:
            await self._socket.send(encode_command(command), text=True)
        except ConnectionClosed as error:
            raise self._lost or _closed(self._endpoint, error) from None

    def send_soon(self, command: TaskCommand) -> None:
        """Send without waiting; a failure is ignored, since the server then ends the task itself."""
        task = asyncio.create_task(self._send_quietly(command))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def close(self) -> None:
        """Close in order, at most 2 s; the tasks on it are cancelled by the server. Idempotent."""
        self._end(ConnectionLost("the connection was closed by this client"))
        await self._socket.close()
        await self._reading
        if self._sending:
            await asyncio.wait(self._sending)

    async def _send_quietly(self, command: TaskCommand) -> None:
        try:
            await self.send(command)
        except ClientError:
            _log.debug("%s was not sent: the connection is gone", type(command).__name__)

    async def _read(self) -> None:
        try:
            async for event in self._events():
                await self._dispatch(event)
        except ConnectionClosed as error:
            self._end(_closed(self._endpoint, error))
        except (TTSError, UnexpectedMessage) as error:
            self._end(UnexpectedMessage(f"{self._endpoint.http} does not speak this API: {error}"))
            await self._socket.close(1002)
        except Exception as error:
            _log.exception("reading from %s failed", self._endpoint.http)
            self._end(ConnectionLost(f"reading failed: {error!r}"))
            await self._socket.close(1011)

    async def _events(self) -> AsyncIterator[Event]:
        """Events as they come; a result with the binary frame that follows it, if it announces one."""
        announced: ResultGenerated | None = None
        while True:
            frame = await self._socket.recv()
            if isinstance(frame, bytes):
                if announced is None:
                    raise UnexpectedMessage("a binary frame that no event announced")
                event: Event = replace(announced, data=frame)
                announced = None
            else:
                event = decode_event(frame)
                if isinstance(event, ResultGenerated) and event.binary:
                    announced = event
                    continue
            yield event

    async def _dispatch(self, event: Event) -> None:
        received_at = perf_counter()
        if isinstance(event, TaskFinished | TaskFailed):
            receiver = self._receivers.pop(event.task_id, None)
        else:
            receiver = self._receivers.get(event.task_id)
        # A task that another client owns, or whose end has come already, has no receiver.
        if receiver is not None:
            await receiver.receive(event, received_at)

    def _end(self, error: ClientError) -> None:
        if self._lost is None:
            self._lost = error
        receivers, self._receivers = self._receivers, {}
        for receiver in receivers.values():
            receiver.connection_lost(self._lost)


def _handshake_refused(endpoint: Endpoint, status: int) -> ClientError:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return AuthenticationFailed(endpoint.token_refused)
    reason = f"HTTP {status}"
    if status == HTTPStatus.NOT_FOUND:
        reason += ": there is no speech API at this address"
    elif status == HTTPStatus.SERVICE_UNAVAILABLE:
        reason += ": the server accepts no new connections now"
    return ConnectionFailed(f"{endpoint.websocket} answers {reason}")


def _closed(endpoint: Endpoint, error: ConnectionClosed) -> ConnectionLost:
    close = error.rcvd
    if close is None:
        return ConnectionLost(f"the connection to {endpoint.http} broke")
    reason = f" ({close.reason})" if close.reason else ""
    return ConnectionLost(f"{endpoint.http} closed the connection: code {close.code}{reason}")


def _failure(error: Exception) -> str:
    """The reason of a failed connection, and what to do about it where that is known."""
    if isinstance(error, ConnectionRefusedError) or _all_refused(str(error)):
        return "nothing listens there; is the server running? (cosyserve serve)"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _all_refused(message: str) -> bool:
    """Whether asyncio's message lists refusals only, one for each address of a name."""
    refusals = message.count(f"[Errno {errno.ECONNREFUSED}]")
    return message.startswith("Multiple exceptions: ") and refusals == message.count("[Errno ")

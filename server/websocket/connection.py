"""One connection, a WebSocket or one of Wyoming: reads its frames and passes its commands to its tasks."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from cosyserve.protocol.codec import Frame, refuse_binary
from cosyserve.protocol.errors import BadFrame, InternalError, Throttled, TTSError, Unauthorized
from cosyserve.protocol.messages import (
    CancelTask,
    Command,
    ContinueTask,
    EndSession,
    FinishTask,
    Reply,
    RunTask,
    Several,
    TraceContext,
)
from cosyserve.protocol.task import TaskProtocol, TaskState

from ..auth import Caller
from ..dialects import ClientSilence, Dialect, Terms
from ..errors import as_tts_error
from ..observe.metrics import Outcome
from ..services import Services
from ..tasks.admission import ConnectionTicket
from ..tasks.life import TaskLife
from ..tasks.places import EndedTasks
from .budgets import TokenBudget
from .outbox import FrameWriter
from .task import WebSocketTask

log = structlog.get_logger(__name__)

LONGEST_REASON: Final = 123  # bytes; RFC 6455, section 5.5
SERVER_ENDS: Final = (CloseCode.SERVICE_RESTART, "the server is shutting down")
"""The code and the reason of the close."""
TOKEN_GONE: Final = (CloseCode.POLICY_VIOLATION, "the token is not valid any more")
MESSAGES_PER_TURN: Final = 8
"""Messages after which the reader lets others run: a queued one makes it wait for nothing."""


class SpeechSocket(Protocol):
    """A connection that gives whole messages.

    on_flood: called with what to tell a peer that is to be parted with, because it sends too much.
    read_at: `time.monotonic()` when something was last read.
    """

    read_at: float

    on_flood: Callable[[Throttled], None] | None

    def share(self, token: TokenBudget) -> None:
        """Spend from the budget of a token as well."""

    async def recv(self) -> str | bytes:
        """The next message. Cancel-safe. Raises BadFrame, and ConnectionClosed once none comes."""

    async def close(self, code: int, reason: str) -> None:
        """Close once all that was written is sent, and wait for that."""


class SpeechConnection:
    """One accepted connection: receives until the peer is gone, whatever its tasks are doing."""

    def __init__(
        self,
        socket: SpeechSocket,
        outbox: FrameWriter,
        caller: Caller,
        place: ConnectionTicket,
        services: Services,
        dialect: Dialect,
        terms: Terms,
        trace: TraceContext | None = None,
    ) -> None:
        """outbox: writes to the socket. trace: that the connection is a part of, if its client said so."""
        self._dialect = dialect
        self._terms = terms
        self._socket = socket
        self._caller = caller
        self._trace = trace
        self._place = place  # counts the tasks of this connection
        self._services = services
        self._outbox = outbox
        self._protocol = TaskProtocol(
            self._terms.codec, self._terms.limits, one_at_a_time=self._terms.one_at_a_time
        )
        self._tasks: dict[str, WebSocketTask] = {}  # by task_id: those that take commands
        # All that run: a task whose id was taken over runs on until it is stopped.
        self._running: dict[asyncio.Task[None], WebSocketTask] = {}
        self._ended_tasks = EndedTasks()
        self._began = False  # there was a run-task
        self._quiet_since = time.monotonic()  # since when no message came and no task ended
        self._silence_obeyed = True  # that of the terms, since the last message
        self._end: tuple[int, str] | None = None  # code and reason, once the last task has ended
        self._farewell = b""  # a text frame before that close
        self._parting = False  # nothing more is read, and the tasks are being told so
        self._revoked = False  # the caller's token holds no longer
        self._closing: asyncio.Task[None] | None = None  # closes the connection from this side
        socket.on_flood = self._end_flood
        socket.share(services.budgets.of(caller.name))

    async def run(self) -> None:
        """Serve the connection to its end; leaves no task running."""
        try:
            with (
                self._services.shutdown.told(self._end_with_server),
                self._services.authenticator.told(self._caller, self._revoke),
            ):
                await self._read()
        except ConnectionClosed:
            pass
        except BadFrame as error:
            log.warning("bad_frame", caller=self._caller.name, reason=error.message)
            self._stop_tasks("failed", error.code)
            await self._socket.close(error.close_code, error.message)
        except Exception as error:
            await self._close_broken(as_tts_error(error))
        finally:
            self._stop_tasks("disconnected")
            running = [task for task in (*self._running, self._closing) if task is not None]
            if running:
                await asyncio.wait(running)

    async def _read(self) -> None:
        if self._terms.greeting:
            await self._outbox.send(self._terms.greeting)
        for number in itertools.count(1):
            if not number % MESSAGES_PER_TURN:
                await asyncio.sleep(0)
            data = await self._receive()
            if data is None:
                await self._socket.close(CloseCode.NORMAL_CLOSURE, "idle")
                return
            if self._closing is not None or self._parting:
                continue  # it was on its way when the connection was closed
            try:
                if isinstance(data, bytes):
                    raise refuse_binary()
                if isinstance(data, ClientSilence):
                    command = self._protocol.take(data.command())
                else:
                    command = self._protocol.receive(data)
                if command is not None:
                    await self._handle(command)
            except BadFrame:
                raise
            except TTSError as error:
                await self._refuse(error)

    async def _receive(self) -> str | bytes | ClientSilence | None:
        """The next message, or the terms' silence when the client has been silent for so long.

        None if the connection has been idle, with no task, for its limit.
        """
        while True:
            limit = self._terms.idle_timeout if self._began else self._terms.first_timeout
            if limit is not None and not self._running:
                limit = max(0.0, limit - (time.monotonic() - self._quiet_since))
            silence = None if self._silence_obeyed else self._terms.silence
            if silence is not None and (limit is None or silence.seconds < limit):
                limit = silence.seconds
            else:
                silence = None
            try:
                async with asyncio.timeout(limit):
                    data = await self._socket.recv()
                self._quiet_since = time.monotonic()
                self._silence_obeyed = False
                return data
            except TimeoutError:
                if silence is not None:
                    self._silence_obeyed = True
                    return silence
                if not self._running and self._is_overdue():
                    return None

    def _is_overdue(self) -> bool:
        limit = self._terms.idle_timeout if self._began else self._terms.first_timeout
        return limit is not None and time.monotonic() - self._quiet_since >= limit

    async def _handle(self, command: Command) -> None:
        match command:
            case RunTask():
                await self._start(command)
            case EndSession(remainders, farewell):
                for speaking in list(self._tasks.values()):
                    await speaking.finish(remainders.get(speaking.task_id, ""))
                if self._end is None:
                    self._end, self._farewell = (CloseCode.NORMAL_CLOSURE, ""), farewell
                self._close_if_done()
            case Several(commands):
                for each in commands:
                    if self._closing is not None or self._parting:
                        break
                    if (taken := self._protocol.take(each)) is not None:
                        await self._handle(taken)
            case ContinueTask(task_id, text, flush):
                # A task that has just sent its last event is not there any more.
                if task := self._tasks.get(task_id):
                    await task.feed(text, flush=flush)
            case FinishTask(task_id, text):
                if task := self._tasks.get(task_id):
                    await task.finish(text)
            case Reply(text, at_once):
                if self._running and not at_once:
                    await asyncio.wait(self._running)
                await self._outbox.send([Frame(text if isinstance(text, bytes) else await text())])
            case CancelTask(task_id, played):
                if self._protocol.state(task_id) is TaskState.FINISHED and played is not None:
                    answer = self._ended_tasks.cancelled(task_id, played)
                    await self._outbox.send(self._protocol.send(answer))
                elif task := self._tasks.get(task_id):
                    task.cancel(played)

    async def _start(self, command: RunTask) -> None:
        self._began = True
        if self._terms.one_at_a_time and self._running:
            self._stop_tasks("cancelled")
            await asyncio.wait(self._running)  # only then is its place free
            if self._closing is not None or self._parting:  # it failed before it could be stopped
                return
        try:
            if self._revoked:
                raise Unauthorized(TOKEN_GONE[1])
            life = TaskLife(
                command.parameters,
                self._caller,
                self._services,
                self._dialect.websocket_label,
                self._dialect.hosted_voices(self._services.settings),
                command.task_id,
                command.model,
                command.trace or self._trace,
            )
            life.enter(self._place)
        except Exception as error:
            failure = as_tts_error(error)
            await self._send_failure(failure, self._protocol.fail(command.task_id, failure))
            refusals = self._services.metrics.refusal.labels(self._dialect.websocket_label)
            refusals.observe(time.monotonic() - self._socket.read_at)
            await asyncio.sleep(0)  # what follows means nothing now: first others have their answer
            return
        task = WebSocketTask(
            life, self._protocol, self._outbox, self._terms.text_timeout, self._ended_tasks
        )
        self._tasks[task.task_id] = task
        before = [*self._running] if self._terms.in_turn else []
        running = asyncio.create_task(task.run(before))
        self._running[running] = task
        running.add_done_callback(self._ended)
        await task.feed(command.text, flush=command.flush)

    def _ended(self, running: asyncio.Task[None]) -> None:
        """A task has sent its last event, or was stopped."""
        task = self._running.pop(running)
        task.over()
        self._quiet_since = time.monotonic()
        if self._tasks.get(task.task_id) is task:
            del self._tasks[task.task_id]
        if (failure := task.failed_with) is not None:
            if task.unreported:
                self._stop_tasks("failed", InternalError.code)
                self._close_soon(CloseCode.INTERNAL_ERROR, _reason(failure))
            else:
                self._close_after(failure)
        self._close_if_done()

    async def _refuse(self, error: TTSError) -> None:
        """Answer a message that cannot be handled; it ends the running task that it was for."""
        task = self._tasks.get(error.task_id or "")
        if task is not None and self._protocol.ends_task(error):
            task.fail(error)
        else:
            await self._send_failure(error, self._protocol.refuse(error))

    async def _send_failure(self, error: TTSError, frames: Sequence[Frame]) -> None:
        """Send an error that belongs to no task; its frames may be the last before the close."""
        if self._terms.failure_closes is not None:
            self._stop_tasks("failed", error.code)
        await self._outbox.send(frames)
        self._close_after(error)

    # Closing from this side.

    def _close_after(self, failure: TTSError) -> None:
        if self._terms.failure_closes is not None and not self._parting:
            self._close_soon(self._terms.failure_closes, _reason(failure))

    def _end_flood(self, error: Throttled) -> None:
        """Part with a client that sends too much."""
        log.warning("connection_floods", caller=self._caller.name, reason=error.message)
        self._part(error, CloseCode.POLICY_VIOLATION, _reason(error))

    def _end_with_server(self, error: TTSError) -> None:
        self._part(error, *SERVER_ENDS)

    def _revoke(self) -> None:
        """Take no new tasks, and close once none runs."""
        log.info("connection_revoked", caller=self._caller.name, tasks=len(self._running))
        self._revoked = True
        self._end = self._end or TOKEN_GONE
        self._close_if_done()

    def _part(self, error: TTSError, code: CloseCode, reason: str) -> None:
        """Fail every task, then close."""
        self._parting = True
        self._end, self._farewell = (code, reason), b""
        for task in self._running.values():
            task.fail(error)
        self._close_if_done()

    async def _close_broken(self, failure: TTSError) -> None:
        """Close, because nothing else can report a fault of the server to the client."""
        self._stop_tasks("failed", failure.code)
        await self._socket.close(CloseCode.INTERNAL_ERROR, _reason(failure))

    def _stop_tasks(self, outcome: Outcome, code: str = "") -> None:
        """Nothing more is sent for any task."""
        for running, task in self._running.items():
            if not running.cancelling():
                task.drop(outcome, code)
                running.cancel()

    def _close_if_done(self) -> None:
        if self._end is not None and not self._running:
            self._close_soon(*self._end, self._farewell)

    def _close_soon(self, code: int, reason: str, farewell: bytes = b"") -> None:
        """Close, which ends `run`, without waiting for it."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(code, reason, farewell))

    async def _close(self, code: int, reason: str, farewell: bytes) -> None:
        try:
            if farewell:
                await self._outbox.send([Frame(farewell)])
        except ConnectionClosed:
            pass
        finally:
            await self._socket.close(code, reason)


def _reason(failure: TTSError) -> str:
    return failure.message.encode(errors="replace")[:LONGEST_REASON].decode(errors="ignore")

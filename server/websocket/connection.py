"""The WebSocket side: one reader per connection that feeds its speakers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import structlog
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from cosyserve.protocol.codec import Frame, refuse_binary
from cosyserve.protocol.errors import BadFrame, InternalError, TTSError
from cosyserve.protocol.messages import (
    CancelTask,
    Command,
    ContinueTask,
    EndSession,
    FinishTask,
    RunTask,
)
from cosyserve.protocol.task import TaskProtocol

from ..auth import Caller
from ..delivery.patient import PatientConnection
from ..dialects import Route, Terms
from ..errors import as_tts_error
from ..observe.metrics import Outcome
from ..services import Services
from ..tasks.admission import ConnectionTicket
from ..tasks.life import TaskLife
from .outbox import Outbox
from .speaker import Speaker

log = structlog.get_logger(__name__)

LONGEST_REASON: Final = 123  # bytes; RFC 6455, section 5.5


class SpeechConnection:
    """One accepted connection: receives until the peer is gone, whatever its speakers are doing."""

    def __init__(
        self,
        socket: PatientConnection,
        caller: Caller,
        place: ConnectionTicket,
        services: Services,
        route: Route,
    ) -> None:
        """Raises TTSError if the dialect refuses the address."""
        settings = services.settings
        self._terms: Terms = route.dialect.open(route.address, settings)
        self._transport = route.dialect.name
        self._socket = socket
        self._caller = caller
        self._place = place
        self._services = services
        self._outbox = Outbox(socket)
        self._protocol = TaskProtocol(
            self._terms.codec, self._terms.limits, one_at_a_time=self._terms.one_at_a_time
        )
        self._speakers: dict[str, Speaker] = {}
        self._running: dict[asyncio.Task[None], Speaker] = {}
        self._began = False
        self._quiet_since = time.monotonic()
        self._ends_with_tasks = False
        self._closing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve the connection to its end; leaves no task running."""
        try:
            await self._read()
        except ConnectionClosed:
            pass
        except BadFrame as error:
            log.warning("bad_frame", caller=self._caller.name, reason=error.message)
            self._stop_speakers("failed", error.code)
            await self._socket.close(error.close_code, error.message)
        except Exception as error:
            await self._close_broken(as_tts_error(error))
        finally:
            self._stop_speakers("disconnected")
            running = [task for task in (*self._running, self._closing) if task is not None]
            if running:
                await asyncio.wait(running)

    async def _read(self) -> None:
        while True:
            data = await self._receive()
            if data is None:
                await self._socket.close(CloseCode.NORMAL_CLOSURE, "idle")
                return
            if self._closing is not None:
                continue  # it was on its way when the end was told
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
        while True:
            limit = self._terms.idle_timeout if self._began else self._terms.first_timeout
            if limit is not None and not self._running:
                limit = max(0.0, limit - (time.monotonic() - self._quiet_since))
            try:
                async with asyncio.timeout(limit):
                    data = await self._socket.recv()
                self._quiet_since = time.monotonic()
                return data
            except TimeoutError:
                if not self._running and self._is_overdue():
                    return None

    def _is_overdue(self) -> bool:
        limit = self._terms.idle_timeout if self._began else self._terms.first_timeout
        return limit is not None and time.monotonic() - self._quiet_since >= limit

    async def _obey(self, command: Command) -> None:
        match command:
            case RunTask():
                await self._start(command)
            case EndSession():
                for each in list(self._speakers.values()):
                    await each.finish(command.rest.get(each.task_id, ""))
                self._ends_with_tasks = True
                self._close_if_done()
            case _:
                # There may be none: it has just sent its last event.
                if speaker := self._speakers.get(command.task_id):
                    await _tell(speaker, command)

    async def _start(self, command: RunTask) -> None:
        self._began = True
        if self._terms.one_at_a_time and self._running:
            self._stop_speakers("cancelled")
            await asyncio.wait(self._running)  # its place is free only then
            if self._closing is not None:  # it failed before it could be stopped
                return
        life = None
        try:
            life = TaskLife(
                command.parameters,
                self._caller,
                self._services,
                self._transport,
                self._terms.hosted,
                command.task_id,
            )
            ticket = self._services.admission.enter(self._caller, self._place)
        except Exception as error:
            failure = as_tts_error(error)
            if life is not None:
                life.settle("failed", failure.code)
                life.over()
            await self._tell_failure(failure, self._protocol.fail(command.task_id, failure))
            return
        speaker = Speaker(
            command, life, self._protocol, self._outbox, self._terms.text_timeout, ticket.free
        )
        self._speakers[command.task_id] = speaker
        task = asyncio.create_task(speaker.run())
        self._running[task] = speaker

        def ended(task: asyncio.Task[None]) -> None:
            ticket.release()
            speaker.over()
            del self._running[task]
            self._quiet_since = time.monotonic()
            if self._speakers.get(command.task_id) is speaker:
                del self._speakers[command.task_id]
            if (failure := speaker.failed_with) is not None:
                if speaker.left_untold:
                    self._stop_speakers("failed", InternalError.code)
                    self._close_soon(CloseCode.INTERNAL_ERROR, _reason(failure))
                else:
                    self._close_after(failure)
            self._close_if_done()

        task.add_done_callback(ended)
        await speaker.feed(command.text, command.flush)

    async def _refuse(self, error: TTSError) -> None:
        """Answer a message that could not be obeyed; it ends the running task that it was for."""
        speaker = self._speakers.get(error.task_id or "")
        if speaker is not None and self._protocol.ends_task(error):
            speaker.fail(error)
        else:
            await self._tell_failure(error, self._protocol.refuse(error))

    async def _tell_failure(self, error: TTSError, frames: Sequence[Frame]) -> None:
        """Send what tells of a failure that no speaker tells; it may be the connection's last word."""
        if self._terms.failure_closes is not None:
            self._stop_speakers("failed", error.code)
        await self._outbox.send(frames)
        self._close_after(error)

    # Closing from this side.

    def _close_after(self, failure: TTSError) -> None:
        if self._terms.failure_closes is not None:
            self._close_soon(self._terms.failure_closes, _reason(failure))

    async def _close_broken(self, failure: TTSError) -> None:
        """Close because nothing else can tell the client of a fault of ours."""
        self._stop_speakers("failed", failure.code)
        await self._socket.close(CloseCode.INTERNAL_ERROR, _reason(failure))

    def _stop_speakers(self, outcome: Outcome, code: str = "") -> None:
        """Nothing more is sent for any task."""
        for task, speaker in self._running.items():
            if not task.cancelling():
                speaker.drop(outcome, code)
                task.cancel()

    def _close_if_done(self) -> None:
        if self._ends_with_tasks and not self._running:
            self._close_soon(CloseCode.NORMAL_CLOSURE, "")

    def _close_soon(self, code: int, reason: str) -> None:
        """Close, which ends `run`; who calls is not made to wait."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._socket.close(code, reason))


def _reason(failure: TTSError) -> str:
    return failure.message.encode(errors="replace")[:LONGEST_REASON].decode(errors="ignore")


async def _tell(speaker: Speaker, command: ContinueTask | FinishTask | CancelTask) -> None:
    match command:
        case ContinueTask():
            await speaker.feed(command.text, command.flush)
        case FinishTask():
            await speaker.finish(command.text)
        case CancelTask():
            speaker.cancel()

"""One task of a WebSocket connection, from its run-task to its last event."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, Final

import structlog
from websockets.exceptions import ConnectionClosed

from cosyserve.protocol.codec import Frame
from cosyserve.protocol.errors import InternalError, TaskTimeout, TTSError
from cosyserve.protocol.messages import ResultGenerated, TaskStarted
from cosyserve.protocol.task import TaskProtocol

from ..errors import ContractBroken, as_tts_error, must_propagate, report
from ..observe.metrics import Outcome
from ..tasks.contract import LEAVE_TIMEOUT
from ..tasks.life import TaskLife
from ..tasks.places import EndedTasks
from .outbox import FrameWriter

log = structlog.get_logger(__name__)

STOP_TIMEOUT: Final = LEAVE_TIMEOUT + 1.0
"""Seconds that cancelled synthesis has to end; then the client is answered without waiting for it."""


class _ClientGone(Exception):
    """Nobody listens any more. A ConnectionClosed would not say whose connection it is about."""


class WebSocketTask:
    """Sends the events of one task. The connection's reader feeds it; whoever awaits `run`, which ends
    with the task's last event, calls `over` then.

    Nothing here makes the reader wait for speech, and no failure of the task is raised to it.
    """

    def __init__(
        self,
        life: TaskLife,
        protocol: TaskProtocol,
        outbox: FrameWriter,
        text_timeout: float,
        ended_tasks: EndedTasks,
    ) -> None:
        """text_timeout: the task fails after so many seconds without text. ended_tasks: keeps it."""
        self.task_id = life.task_id
        self._life = life
        self._protocol = protocol
        self._outbox = outbox
        self._text_timeout = text_timeout
        self._ended_tasks = ended_tasks
        self._ended = (
            asyncio.Event()
        )  # the client or a failure ends the task before its speech does
        self._cancelled = False  # by the client
        self._played: float | None = None  # as in CancelTask
        self._failure: TTSError | None = None  # of the reader's side
        self._idle: asyncio.TimerHandle | None = None  # fails the task if no text comes
        self._speaking: asyncio.Task[TTSError | None] | None = None
        self._stopped = False  # speaking was cancelled
        self._left_alone = False  # speaking did not end though it was cancelled
        self.failed_with: TTSError | None = None
        self.unreported = False
        """Whether `run` ended and could not tell the client so: the connection has to."""

    # What the reader calls.

    async def feed(self, text: str, *, flush: bool = False) -> None:
        """Take the next piece of text; an empty one still says that the client is there.

        flush: speak what has come without waiting for more.
        """
        self._await_text()
        await self._guarded(self._life.feed(text, flush=flush))

    async def finish(self, text: str) -> None:
        """Take the last piece of text."""
        self._stop_waiting()
        await self._guarded(self._life.finish(text))

    def cancel(self, played: float | None = None) -> None:
        """The client stops listening: `run` ends with task-finished, cancelled, whatever else happens.

        played: as in CancelTask.
        """
        self._cancelled = True
        self._played = played
        self._ended.set()

    def fail(self, error: TTSError) -> None:
        """End the task with task-failed, if it has not ended yet."""
        self._failure = self._failure or error
        self._ended.set()

    def drop(self, outcome: Outcome, code: str = "") -> None:
        """Send nothing more for the task. The caller cancels `run` as well."""
        self._life.settle(outcome, code)
        self._stop()

    async def _guarded(self, step: Coroutine[Any, Any, None]) -> None:
        """Do what the reader asks for, unless the task has failed; a failure ends it, not the reader."""
        if self._failure is not None:
            step.close()
            return
        try:
            await step
        except BaseException as error:
            if must_propagate(error):
                raise
            self.fail(as_tts_error(error))

    # The task itself.

    async def run(self, after: Collection[asyncio.Task[None]] = ()) -> None:
        """Speak until the text is spoken, the client cancels, or something fails.

        after: what has to end before the first event. Raises nothing but CancelledError: cancelling means
        that nobody listens any more.
        """
        with self._life.log_ids():
            if after:
                await asyncio.wait(after)
            await self._run()

    def over(self) -> None:
        """Account for the task, whose `run` has ended, or was cancelled before it began."""
        self._stop_waiting()
        self._life.over()

    async def _run(self) -> None:
        self._speaking = speaking = asyncio.create_task(self._speak())
        stopping = asyncio.create_task(self._ended.wait())
        try:
            self._await_text()
            await asyncio.wait({speaking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            error = self._error(speaking)
            await self._stop_and_wait(speaking)
            await self._send_last(error)
        except _ClientGone:
            pass
        except BaseException as error:
            if must_propagate(error):
                raise
            self.failed_with = self._life.fail(error)
            self.unreported = True
        finally:
            stopping.cancel()
            await self._stop_and_wait(speaking)

    def _error(self, speaking: asyncio.Task[TTSError | None]) -> TTSError | None:
        """What ends the task, if it does not end well. Raises _ClientGone."""
        if self._cancelled:
            return None  # nothing but task-finished may be sent, whatever happened
        if self._failure is not None:
            return self._failure
        if speaking.cancelled():
            return as_tts_error(ContractBroken("the task that called the engine was cancelled"))
        return speaking.result()

    def _stop(self) -> None:
        """Cancel speaking, once: a second time would interrupt it while it frees what it holds."""
        if self._speaking is not None and not self._stopped:
            self._stopped = True
            self._speaking.cancel()

    async def _stop_and_wait(self, speaking: asyncio.Task[TTSError | None]) -> None:
        """Stop speaking, and wait until it has freed what it holds, but not for ever."""
        self._stop()
        if self._left_alone:
            return
        await asyncio.wait({speaking}, timeout=STOP_TIMEOUT)
        if not speaking.done():
            self._left_alone = True
            report(ContractBroken(f"iteration goes on {STOP_TIMEOUT:g} s after it was cancelled"))

    async def _send_last(self, error: TTSError | None) -> None:
        """Send the last event, or an error that can be sent in its place, and settle the outcome.

        Raises _ClientGone.
        """
        if error is None:
            try:
                finished = self._life.finished(
                    "cancelled" if self._cancelled else "stop", self._played
                )
                frames = self._protocol.send(finished)
                if not self._cancelled:
                    self._ended_tasks.keep(finished, self._life.places)
                self._life.free_place()
                await self._send(frames)
            except BaseException as fault:
                if _passes(fault):
                    raise
                error = as_tts_error(fault)
            else:
                self._life.settle("cancelled" if self._cancelled else "finished")
                return
        self.failed_with = self._life.fail(error)
        for reported in (error, InternalError("internal error")):
            try:
                if frames := self._protocol.fail(self.task_id, reported):
                    self._life.free_place()
                    await self._send(frames)
                    return
            except BaseException as fault:
                if _passes(fault):
                    raise
                log.error("failure_not_told", exc_info=fault)
        self.unreported = True

    async def _speak(self) -> TTSError | None:
        """Send everything but the last event; returns what failed. Raises _ClientGone."""
        try:
            async with aclosing(self._life.events()) as events:
                async for event in events:
                    seconds = 0.0
                    if isinstance(
                        event, TaskStarted
                    ):  # its voice is there: it is the client's turn
                        self._life.may_be_preempted(self.fail)
                    if isinstance(event, ResultGenerated):
                        if self._stopped:  # the engine speaks on though it was cancelled
                            raise _ClientGone
                        seconds = event.metrics.speech_len
                    await self._send(self._protocol.send(event), seconds)
        except BaseException as error:
            if _passes(error):
                raise
            return as_tts_error(error)
        return None

    async def _send(self, frames: Sequence[Frame], seconds: float = 0.0) -> None:
        try:
            await self._outbox.send(frames, seconds)
        except ConnectionClosed:
            raise _ClientGone from None

    # The limit on waiting for text

    def _await_text(self) -> None:
        self._stop_waiting()
        if not self._life.text_is_whole and not self._ended.is_set():
            limit = self._text_timeout
            error = TaskTimeout(f"no text came for {limit:g} s and the task was not finished")
            self._idle = asyncio.get_running_loop().call_later(limit, self.fail, error)

    def _stop_waiting(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


def _passes(error: BaseException) -> bool:
    """Whether an exception is no failure of the task: its client is gone, or it is cancelled."""
    return isinstance(error, _ClientGone) or must_propagate(error)

"""One task of a WebSocket connection: from its run-task to its last event."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final

import structlog
from websockets.exceptions import ConnectionClosed

from cosyserve.protocol.codec import Frame
from cosyserve.protocol.errors import InternalError, TaskTimeout, TTSError
from cosyserve.protocol.messages import ResultGenerated, RunTask, TaskFinished, TaskStarted
from cosyserve.protocol.task import TaskProtocol

from ..errors import ContractBroken, as_tts_error, goes_on, report
from ..observe.logs import log_ids
from ..observe.metrics import Outcome
from ..tasks.contract import LETS_GO
from ..tasks.life import TaskLife
from ..tasks.synthesis import SpokenChunk, Synthesis
from .outbox import Outbox

log = structlog.get_logger(__name__)

ENDS: Final = LETS_GO + 1.0
"""Seconds in which the speaking is over once it is cancelled, else its client is told without it."""


class _ClientGone(Exception):
    """Nobody listens any more. A ConnectionClosed of its own would not tell whose connection it is."""


class Speaker:
    """Speaks one task. The reader of the connection feeds it; `run` ends with the task's last event,
    and whoever runs it calls `over` then.

    Text that comes before the voice is ready is kept; nothing here makes the reader wait, and nothing
    that goes wrong with the task is raised to it.
    """

    def __init__(
        self,
        task: RunTask,
        life: TaskLife,
        protocol: TaskProtocol,
        outbox: Outbox,
        text_timeout: float,
        give_place_back: Callable[[], None],
    ) -> None:
        """text_timeout: the task fails after so many seconds without text. give_place_back: called just
        before the last event goes out, so that whoever reads that finds the place free."""
        self.task_id = task.task_id
        self._parameters = task.parameters
        self._life = life
        self._protocol = protocol
        self._outbox = outbox
        self._text_timeout = text_timeout
        self._give_place_back = give_place_back
        self._synthesis: Synthesis | None = None
        self._early: list[tuple[str, bool]] = []
        self._no_more_text = False
        self._ended = asyncio.Event()
        self._cancelled = False
        self._failure: TTSError | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._speaking: asyncio.Task[TTSError | None] | None = None
        self._stopped = False
        self._left_alone = False
        self.failed_with: TTSError | None = None
        self.left_untold = False
        """Whether `run` ended with nothing that tells the client so: the connection has to."""

    # What the reader calls.

    async def feed(self, text: str, flush: bool = False) -> None:
        """The next piece of text; an empty one still says that the client is there.

        flush: speak what has come without waiting for more.
        """
        await self._take(self._feed(text, flush))

    async def finish(self, text: str) -> None:
        """The last piece of text."""
        await self._take(self._finish(text))

    def cancel(self) -> None:
        """The client stops listening: `run` ends with task-finished, cancelled, whatever else happens."""
        self._cancelled = True
        self._ended.set()

    def fail(self, error: TTSError) -> None:
        """End the task with task-failed, if it has not ended yet."""
        self._failure = self._failure or error
        self._ended.set()

    def drop(self, outcome: Outcome, code: str = "") -> None:
        """From now on nothing more is sent for the task. `run` is to be cancelled as well."""
        self._life.settle(outcome, code)
        self._stop()

    async def _take(self, step: Awaitable[None]) -> None:
        """Do what the reader asks; what fails then ends the task, not the reader."""
        try:
            await step
        except BaseException as error:
            if goes_on(error):
                raise
            self.fail(as_tts_error(error))

    async def _feed(self, text: str, flush: bool) -> None:
        self._await_text()
        self._life.text(text)
        if self._synthesis is None:
            # One flush after the other says nothing new, and there may be any number of them.
            if text or (flush and not (self._early and self._early[-1][1])):
                self._early.append((text, flush))
        else:
            await _feed(self._synthesis, text, flush)

    async def _finish(self, text: str) -> None:
        await self._feed(text, flush=False)
        self._no_more_text = True
        self._await_text()
        if self._synthesis is not None:
            await self._synthesis.finish()

    # The task itself.

    async def run(self) -> None:
        """Speak until the text is spoken, the client cancels, or something fails. Never raises but for
        cancellation, which means that nobody listens any more.
        """
        with log_ids(task_id=self.task_id, caller=self._life.caller.name):
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
            await self._let_go(speaking)
            await self._say_last(error)
        except _ClientGone:
            pass
        except BaseException as error:
            if goes_on(error):
                raise
            self._fails_with(as_tts_error(error))
            self.left_untold = True
        finally:
            stopping.cancel()
            await self._let_go(speaking)

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
        """It is cancelled once only: a second time would break into what it does to free what it holds."""
        if self._speaking is not None and not self._stopped:
            self._stopped = True
            self._speaking.cancel()

    async def _let_go(self, speaking: asyncio.Task[TTSError | None]) -> None:
        """Stop speaking, and wait until all is free, but not for ever."""
        self._stop()
        if self._left_alone:
            return
        await asyncio.wait({speaking}, timeout=ENDS)
        if not speaking.done():
            self._left_alone = True
            report(ContractBroken(f"iteration goes on {ENDS:g} s after it was cancelled"))

    async def _say_last(self, error: TTSError | None) -> None:
        """Send the last event, or what can still be told in its place, and settle the outcome.

        Raises _ClientGone.
        """
        if error is None:
            try:
                frames = self._protocol.send(self._finished())
                self._give_place_back()
                await self._send(frames)
            except BaseException as fault:
                if _passes(fault):
                    raise
                error = as_tts_error(fault)
            else:
                self._life.settle("cancelled" if self._cancelled else "finished")
                return
        self._fails_with(error)
        for told in (error, InternalError("internal error")):
            try:
                if frames := self._protocol.fail(self.task_id, told):
                    self._give_place_back()
                    await self._send(frames)
                    return
            except BaseException as fault:
                if _passes(fault):
                    raise
                log.error("failure_not_told", exc_info=fault)
        self.left_untold = True

    def _fails_with(self, error: TTSError) -> None:
        self._life.settle("failed", error.code)
        self.failed_with = error

    def _finished(self) -> TaskFinished:
        return TaskFinished(
            task_id=self.task_id,
            finish_reason="cancelled" if self._cancelled else "stop",
            characters=self._life.account.characters,
            metrics=self._life.totals(),
            notices=self._life.notices,
        )

    async def _speak(self) -> TTSError | None:
        """All up to the last event; gives what failed. Raises _ClientGone."""
        try:
            async with await self._life.open() as synthesis:
                await self._begin(synthesis)
                async with aclosing(synthesis.chunks()) as chunks:
                    async for chunk in chunks:
                        await self._say(chunk, synthesis)
        except BaseException as error:
            if _passes(error):
                raise
            return as_tts_error(error)
        return None

    async def _begin(self, synthesis: Synthesis) -> None:
        while self._early:
            early, self._early = self._early, []
            for text, flush in early:
                await _feed(synthesis, text, flush)
        # No wait since the last look: from here on the reader feeds, and the order holds.
        self._synthesis = synthesis
        if self._no_more_text:
            await synthesis.finish()
        await self._send(self._protocol.send(TaskStarted(self.task_id)))

    async def _say(self, chunk: SpokenChunk, synthesis: Synthesis) -> None:
        if self._stopped:  # the engine speaks on though it was cancelled
            raise _ClientGone
        event = ResultGenerated(
            task_id=self.task_id,
            audio_id=uuid.uuid4().hex,
            data=chunk.data,
            begin=self._life.account.speech_seconds,
            metrics=self._life.chunk(chunk),
            audio=synthesis.audio,
            binary=self._parameters.audio_transport == "binary",
            words=chunk.words,
            sentences=chunk.sentences,
            marks=chunk.marks,
        )
        await self._send(self._protocol.send(event), chunk.seconds)

    async def _send(self, frames: Sequence[Frame], seconds: float = 0.0) -> None:
        try:
            await self._outbox.send(frames, seconds)
        except ConnectionClosed:
            raise _ClientGone from None

    # The clock on text that does not come.

    def _await_text(self) -> None:
        self._stop_waiting()
        if not self._no_more_text and not self._ended.is_set():
            limit = self._text_timeout
            error = TaskTimeout(f"no text came for {limit:g} s and the task was not finished")
            self._idle = asyncio.get_running_loop().call_later(limit, self.fail, error)

    def _stop_waiting(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


async def _feed(synthesis: Synthesis, text: str, flush: bool) -> None:
    if text:
        await synthesis.feed(text)
    if flush:
        await synthesis.flush()


def _passes(error: BaseException) -> bool:
    """Whether an exception is no failure of the task: its client is gone, or it is cancelled."""
    return isinstance(error, _ClientGone) or goes_on(error)

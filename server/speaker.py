"""One task of a WebSocket connection: from its run-task to its last event."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import aclosing
from dataclasses import asdict

import structlog
from websockets.exceptions import ConnectionClosed

from cosyserve.protocol.errors import TaskTimeout, TTSError
from cosyserve.protocol.messages import (
    ResultGenerated,
    RunTask,
    TaskFinished,
    TaskMetrics,
    TaskStarted,
)
from cosyserve.protocol.task import TaskProtocol

from .account import TaskAccount
from .auth import Caller
from .dialects import Terms
from .failures import as_tts_error
from .logs import log_ids
from .metrics import Outcome, TaskMeter
from .outbox import Outbox
from .services import Services
from .synthesis import SpokenChunk, Synthesis

log = structlog.get_logger(__name__)


class Speaker:
    """Speaks one task. The reader of the connection feeds it; `run` ends with the task's last event,
    and whoever runs it calls `over` then.

    Text that comes before the voice is ready is kept; nothing here makes the reader wait.
    """

    def __init__(
        self,
        task: RunTask,
        caller: Caller,
        services: Services,
        protocol: TaskProtocol,
        outbox: Outbox,
        meter: TaskMeter,
        terms: Terms,
    ) -> None:
        self.task_id = task.task_id
        self._parameters = task.parameters
        self._caller = caller
        self._services = services
        self._protocol = protocol
        self._outbox = outbox
        self._meter = meter
        self._terms = terms
        self._account = TaskAccount(task.parameters.debug)
        self._synthesis: Synthesis | None = None
        self._early: list[tuple[str, bool]] = []
        self._no_more_text = False
        self._ended = asyncio.Event()
        self._cancelled = False
        self._failure: TTSError | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._speaking: asyncio.Task[None] | None = None
        self._outcome: Outcome = "disconnected"
        self._code = ""
        self.failed_with: TTSError | None = None

    # What the reader calls.

    async def feed(self, text: str, flush: bool = False) -> None:
        """The next piece of text; an empty one still says that the client is there.

        flush: speak what has come without waiting for more.
        """
        self._await_text()
        self._account.text(text, time.monotonic())
        if self._synthesis is None:
            # One flush after the other says nothing new, and there may be any number of them.
            if text or (flush and not (self._early and self._early[-1][1])):
                self._early.append((text, flush))
        else:
            await _feed(self._synthesis, text, flush)

    async def finish(self, text: str) -> None:
        """The last piece of text."""
        await self.feed(text)
        self._no_more_text = True
        self._await_text()
        if self._synthesis is not None:
            await self._synthesis.finish()

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
        self._outcome, self._code = outcome, code
        if self._speaking is not None:
            self._speaking.cancel()

    # The task itself.

    async def run(self) -> None:
        """Speak until the text is spoken, the client cancels, or something fails. Never raises but for
        cancellation, which means that nobody listens any more.
        """
        with log_ids(task_id=self.task_id, caller=self._caller.name):
            await self._run()

    async def _run(self) -> None:
        self._speaking = speaking = asyncio.create_task(self._speak())
        stopping = asyncio.create_task(self._ended.wait())
        try:
            self._await_text()
            await asyncio.wait({speaking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            error = None
            if not self._cancelled:  # then nothing but task-finished may be sent, whatever happened
                error = self._failure or (_error_of(speaking) if speaking.done() else None)
            await _cancelled(speaking)
            self._outcome, self._code = await self._end(error)
            self.failed_with = error
        except ConnectionClosed:
            pass
        finally:
            stopping.cancel()
            await _cancelled(speaking)

    def over(self) -> None:
        """Account for the task, whose `run` has ended, or was cancelled before it began."""
        self._stop_waiting()
        outcome, code = self._outcome, self._code
        totals = self._account.totals(time.monotonic())
        self._meter.ended(outcome, code, totals, self._account.characters)
        with log_ids(task_id=self.task_id, caller=self._caller.name):
            log.info("task_ended", outcome=outcome, code=code, **_rounded(totals))

    async def _speak(self) -> None:
        services = self._services
        voice = await services.voices.resolve(
            services.owner(self._caller), self._parameters.reference_audio_id, self._terms.hosted
        )
        synthesis = await Synthesis.open(
            services.engine, voice, self._parameters, services.encode_pool
        )
        async with synthesis:
            while self._early:
                early, self._early = self._early, []
                for text, flush in early:
                    await _feed(synthesis, text, flush)
            # No wait since the last look: from here on the reader feeds, and the order holds.
            self._synthesis = synthesis
            if self._no_more_text:
                await synthesis.finish()
            await self._outbox.send(self._protocol.send(TaskStarted(self.task_id)))
            async with aclosing(synthesis.chunks()) as chunks:
                async for chunk in chunks:
                    await self._say(chunk, synthesis)

    async def _say(self, chunk: SpokenChunk, synthesis: Synthesis) -> None:
        now = time.monotonic()
        event = ResultGenerated(
            task_id=self.task_id,
            audio_id=uuid.uuid4().hex,
            data=chunk.data,
            begin=self._account.speech_seconds,
            metrics=self._account.chunk(chunk, now),
            audio=synthesis.audio,
            binary=self._parameters.audio_transport == "binary",
            words=chunk.words,
            sentences=chunk.sentences,
            marks=chunk.marks,
        )
        self._meter.chunk(chunk.seconds, len(chunk.data), now, self._account.first_package_seconds)
        await self._outbox.send(self._protocol.send(event))

    async def _end(self, error: TTSError | None) -> tuple[Outcome, str]:
        """Send the last event; the outcome and error code for the metrics."""
        if error is not None:
            await self._outbox.send(self._protocol.fail(self.task_id, error))
            return "failed", error.code
        finished = TaskFinished(
            task_id=self.task_id,
            finish_reason="cancelled" if self._cancelled else "stop",
            characters=self._account.characters,
            metrics=self._account.totals(time.monotonic()),
            notices=() if self._synthesis is None else self._synthesis.notices,
        )
        await self._outbox.send(self._protocol.send(finished))
        return ("cancelled" if self._cancelled else "finished"), ""

    # The clock on text that does not come.

    def _await_text(self) -> None:
        self._stop_waiting()
        if not self._no_more_text and not self._ended.is_set():
            limit = self._terms.text_timeout
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


def _rounded(totals: TaskMetrics) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(totals).items()}


def _error_of(task: asyncio.Task[None]) -> TTSError | None:
    """What a task that is done raised, as the wire has it; a lost connection goes on as it is."""
    error = task.exception()
    if error is None:
        return None
    if isinstance(error, ConnectionClosed) or not isinstance(error, Exception):
        raise error
    return as_tts_error(error)


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it is over; what it raises then is nobody's concern.

    It is cancelled once only: a second time would break into what it does to free what it holds.
    """
    if not task.cancelling():
        task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()

"""A speech, the client's side of a task: text in, sound out, both at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from time import perf_counter
from types import TracebackType
from typing import Self

from cosyserve.protocol.messages import (
    CancelTask,
    ContinueTask,
    Event,
    FinishReason,
    FinishTask,
    Heard,
    ResultGenerated,
    RunTask,
    TaskFinished,
    TaskMetrics,
    TaskStarted,
)
from cosyserve.protocol.surrogates import join

from .buffer import AudioChunk, ChunkBuffer
from .connection import Connection
from .errors import ClientError, InvalidRequest, SpeechEnded, SpeechFailed, SpeechStalled

Text = str | AsyncIterable[str]


@dataclass(frozen=True, slots=True)
class SpeechMetrics:
    """Measurements of a speech so far; times in seconds, None until they are known.

    first_package: from the first text sent to the first sound received.
    first_package_from_start: from run-task sent to the first sound received.
    duration: from the first text sent to the last sound received.
    speech_len: seconds of speech received, in `chunks` chunks of `audio_bytes` bytes together.
    finish_reason, characters, server: reported by the server at the end (task-finished).
    heard: the part of the text that was heard, if the speech was cancelled with `played`.
    """

    first_package: float | None = None
    first_package_from_start: float | None = None
    duration: float | None = None
    speech_len: float = 0.0
    audio_bytes: int = 0
    chunks: int = 0
    finish_reason: FinishReason | None = None
    characters: int | None = None
    server: TaskMetrics | None = None
    heard: Heard | None = None

    @property
    def real_time_factor(self) -> float | None:
        """`duration` per second of speech; below 1 the speech came faster than it plays."""
        if self.duration is None or self.speech_len <= 0:
            return None
        return self.duration / self.speech_len


class Speech:
    """One synthesis task: feed it text and iterate it for sound, from one asyncio task or from two.

    An async context manager: entering sends run-task, leaving cancels what still runs. Iteration
    ends after the last sound or at once after `cancel`; it raises SpeechFailed, ConnectionLost or
    SpeechStalled after the sound that came before the failure. One iterator at a time.

    At most `buffer_bytes` of sound wait here. While they do, nothing is read from the connection:
    the server is slowed down, and so are other speeches on it. After `stall_timeout` seconds
    without room this speech is given up (SpeechStalled) and the others go on.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        run: RunTask,
        buffer_bytes: int,
        stall_timeout: float,
    ) -> None:
        # Gives the client's connection, which it opens if need be.
        self._connect = connect
        self._run = run
        self._stall_timeout = stall_timeout
        # Sound that came and was not read yet.
        self._buffer = ChunkBuffer(buffer_bytes)
        # None until the speech is entered.
        self._connection: Connection | None = None
        # Set by task-started, and by the end of a task that never started.
        self._started = asyncio.Event()
        # Set by the last event of the task, or by the loss of the connection.
        self._over = asyncio.Event()
        # Why the speech failed; the first reason stays.
        self._error: ClientError | None = None
        # A high surrogate at the end of the text so far, whose other half may come.
        self._half = ""
        # No more text is accepted: `finish` was called, or the speech was given up.
        self._text_ended = False
        # cancel-task was sent: what still comes is dropped.
        self._cancelled = False
        # The answer to a cancel-task that told what was played is still to come.
        self._heard_awaited = False
        # All times are `perf_counter()`.
        self._started_at: float | None = None
        self._first_text_at: float | None = None
        self._first_sound_at: float | None = None
        self._last_sound_at: float | None = None
        # Totals of the sound that came: seconds, bytes, chunks.
        self._speech_len = 0.0
        self._bytes = 0
        self._chunks = 0
        # The task's last event, if the task did not fail.
        self._finished: TaskFinished | None = None

    @property
    def task_id(self) -> str:
        return self._run.task_id

    @property
    def metrics(self) -> SpeechMetrics:
        """A snapshot; complete once the iteration is over."""
        done = self._finished
        return SpeechMetrics(
            first_package=_between(self._first_text_at, self._first_sound_at),
            first_package_from_start=_between(self._started_at, self._first_sound_at),
            duration=_between(self._first_text_at, self._last_sound_at),
            speech_len=self._speech_len,
            audio_bytes=self._bytes,
            chunks=self._chunks,
            finish_reason=done.finish_reason if done else None,
            characters=done.characters if done else None,
            server=done.metrics if done else None,
            heard=done.heard if done else None,
        )

    async def feed(self, text: str) -> None:
        """Send the next piece of text, which may end anywhere; waits only for the socket.

        Half of a surrogate pair waits for its other half; one that stays alone becomes U+FFFD.
        Raises SpeechEnded after `finish`, `cancel` or the end, else what iteration would raise.
        """
        if not text:
            return
        connection = self._writable()
        text, self._half = join(self._half, text)
        if self._first_text_at is None:
            self._first_text_at = perf_counter()
        await connection.send(ContinueTask(self.task_id, text))

    async def flush(self) -> None:
        """Have the text so far spoken without waiting for more: a sentence ends here.

        Raises as `feed` does.
        """
        await self._writable().send(ContinueTask(self.task_id, "", flush=True))

    async def finish(self) -> None:
        """End the text. Idempotent; nothing happens if the speech is over."""
        if not self._text_ended and not self._over.is_set() and not self._cancelled:
            connection = self._writable()
            self._text_ended = True
            await connection.send(FinishTask(self.task_id, join(self._half, "", last=True)[0]))

    async def feed_all(self, text: Text) -> None:
        """Feed a text, or its pieces as they come, and finish.

        Raises nothing: a failure, be it that of `text` itself, is raised by the iteration.
        """
        try:
            if isinstance(text, str):
                await self.feed(text)
            else:
                async for piece in text:
                    await self.feed(piece)
            await self.finish()
        except Exception as error:
            self.abort(error)

    async def cancel(self, *, played: float | None = None) -> None:
        """Stop listening (barge-in): drop the unread sound, end the iteration, tell the server.

        played: seconds of the sound that the listener has heard. The server then tells what part of the text
        they were (`metrics.heard`, after `wait`), also if all of the sound has come already.
        Idempotent; does not wait for the server's confirmation (`wait` does). Raises InvalidRequest if
        played is negative or no number.
        """
        if played is not None and not 0 <= played < inf:
            raise InvalidRequest(f"played: {played} is not allowed; allowed: seconds, 0 or more")
        over = self._over.is_set()
        self._buffer.discard()
        if self._cancelled or (over and (played is None or self._finished is None)):
            return
        self._cancelled = True
        if self._connection is None or self._connection.error is not None:
            return
        if played is not None:
            self._heard_awaited = True
            self._over.clear()
            if over:
                self._connection.attach(self.task_id, self)
        await self._connection.send(CancelTask(self.task_id, played))

    async def wait_started(self) -> None:
        """Wait for task-started. Not needed before `feed`; raises what iteration would raise."""
        await self._started.wait()
        if self._error is not None:
            raise self._error

    async def wait(self) -> None:
        """Wait for the end of the task, however it ends. Raises nothing."""
        await self._over.wait()

    def abort(self, error: Exception) -> None:
        """Give up because of `error`: the iteration raises it, and the task is cancelled."""
        self._text_ended = True
        if not self._over.is_set() and not self._cancelled and self._connection is not None:
            self._connection.send_soon(CancelTask(self.task_id))
        self._cancelled = True
        self._buffer.close(error)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AudioChunk:
        chunk = await self._buffer.get()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def __aenter__(self) -> Self:
        if self._connection is not None:
            raise SpeechEnded("a speech can be entered only once")
        connection = await self._connect()
        connection.attach(self.task_id, self)
        self._connection = connection
        self._started_at = perf_counter()
        if self._run.text:
            self._first_text_at = self._started_at
        try:
            await connection.send(self._run)
        except asyncio.CancelledError:
            # The frame may be on its way already.
            self._cancelled = True
            connection.send_soon(CancelTask(self.task_id))
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._text_ended = True
        if not self._over.is_set():
            with suppress(ClientError):  # with the connection gone the server stops by itself
                await self.cancel()

    async def receive(self, event: Event, received_at: float) -> None:
        """Take an event from the connection. Not for users."""
        match event:
            case ResultGenerated():
                await self._take(event, received_at)
            case TaskStarted():
                self._started.set()
            case TaskFinished():
                self._finished = event
                if self._heard_awaited and event.finish_reason == "stop" and self._connection:
                    # It crossed the cancel-task, which is answered after it.
                    self._connection.attach(self.task_id, self)
                else:
                    self._end(None)
            case _:
                self._end(SpeechFailed(event.error_code, event.error_message, event.task_id))

    def connection_lost(self, error: ClientError) -> None:
        """Hear from the connection that it is gone. Not for users."""
        self._end(error)

    async def _take(self, event: ResultGenerated, received_at: float) -> None:
        if self._cancelled:
            return
        if self._first_sound_at is None:
            self._first_sound_at = received_at
        self._last_sound_at = received_at
        self._speech_len += event.metrics.speech_len
        self._bytes += len(event.data)
        self._chunks += 1
        chunk = AudioChunk(
            event.data, event.metrics, received_at, event.audio, event.words, event.marks
        )
        if not self._buffer.full:
            await self._buffer.put(chunk)
            return
        try:
            async with asyncio.timeout(self._stall_timeout):
                await self._buffer.put(chunk)
        except TimeoutError:
            self._error = SpeechStalled(
                f"nobody read this speech for {self._stall_timeout:g} s while its buffer was full"
            )
            self.abort(self._error)

    def _end(self, error: ClientError | None) -> None:
        self._error = self._error or error
        self._started.set()
        self._over.set()
        self._buffer.close(error)

    def _writable(self) -> Connection:
        if self._error is not None:
            raise self._error
        if self._connection is None:
            raise SpeechEnded("enter the speech with `async with` before feeding it")
        if self._cancelled:
            raise SpeechEnded("the speech was cancelled")
        if self._text_ended or self._over.is_set():
            raise SpeechEnded("the speech takes no more text: it was finished")
        return self._connection


def _between(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else end - begin

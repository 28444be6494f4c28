"""The life of a task: everything about it but the way in which its text comes and its speech goes.

enter -> feed, finish -> events -> settle or fail -> over
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import fields

import structlog

from cosyserve.protocol.errors import Throttled, TTSError
from cosyserve.protocol.messages import (
    FinishReason,
    ResultGenerated,
    TaskFinished,
    TaskMetrics,
    TaskStarted,
)
from cosyserve.protocol.parameters import SpeechParameters

from ..auth import Caller
from ..errors import as_tts_error, report
from ..observe.logs import log_ids
from ..observe.metrics import Outcome
from ..services import Services
from ..voices.book import HostedVoices
from .account import TaskAccount
from .admission import ConnectionTicket, TaskTicket
from .models import check_loaded
from .places import SpokenPlaces
from .synthesis import SpokenChunk, Synthesis

log = structlog.get_logger(__name__)


class TaskLife:
    """One task: its place, voice, synthesis, account, meter, outcome, and its line in the log.

    A transport calls `enter` first, passes text to `feed` and `finish`, writes what `events` yields, says
    how the task ended with `settle` or `fail`, and calls `over` last. A task that nobody settled has the
    outcome "disconnected": no client heard how it ended.
    """

    def __init__(
        self,
        parameters: SpeechParameters,
        caller: Caller,
        services: Services,
        transport: str,
        hosted: HostedVoices | None = None,
        task_id: str = "",
        model: str = "",
    ) -> None:
        """transport: the metrics' label. hosted: as in VoiceBook.resolve. task_id: "" if it has none.

        model: the name that was asked for, "" for whichever there is.
        """
        self.parameters = parameters
        self.caller = caller
        self.task_id = task_id
        self.account = TaskAccount(parameters.debug)
        self._services = services
        self._transport = transport
        self._hosted = hosted
        self._model = model
        self._place: TaskTicket | None = None
        self._early: (
            list[tuple[str, bool]] | None
        ) = []  # text and flushes until the synthesis has them
        self._text_is_whole = False
        self._synthesis: Synthesis | None = None
        self.places = SpokenPlaces(exact=services.engine.capabilities.word_times)
        self._outcome: tuple[Outcome, str] | None = None  # with the code of the error that ended it
        self._meter = services.metrics.task_arrived(transport, parameters, caller)

    def enter(self, connection: ConnectionTicket | None = None) -> None:
        """Take its place, also among the tasks of a connection. A task that is refused is over.

        Raises Throttled, EngineUnavailable, ModelNotFound.
        """
        try:
            check_loaded(self._model, self._services)
            self._place = self._services.admission.enter(self.caller, connection)
        except Exception as error:
            failure = self.fail(error)
            self.over()
            raise failure from None

    def may_be_preempted(self, give_up: Callable[[TTSError], None]) -> None:
        """Offer its place to others while it waits for text; `give_up` is to end it, as TaskTicket says."""
        if self._place is not None and not self._text_is_whole:
            self._place.await_text(give_up)

    # Text

    @property
    def text_is_whole(self) -> bool:
        """Whether `finish` was called."""
        return self._text_is_whole

    async def feed(self, text: str, *, flush: bool = False) -> None:
        """Take the next piece of text, which may come before the voice is found. Does not wait for speech.

        flush: speak what has come without waiting for more.
        """
        self.account.text(text, time.monotonic())
        if self._place is not None and (words := text.split()):
            self._place.active(characters=sum(map(len, words)))
        if self._early is None:
            assert self._synthesis is not None
            await self._synthesis.feed(text, flush=flush)
        # A second flush in a row adds nothing, and there may be any number of them.
        elif text or (flush and not (self._early and self._early[-1][1])):
            self._early.append((text, flush))

    async def finish(self, text: str = "") -> None:
        """Take the last piece of text."""
        self._text_is_whole = True
        if self._place is not None:
            self._place.keep()
        await self.feed(text)
        if self._early is None:
            assert self._synthesis is not None
            await self._synthesis.finish()

    # Speech

    async def events(self) -> AsyncGenerator[TaskStarted | ResultGenerated, None]:
        """The task from its start to its last sound, accounted for as it is taken.

        Close it to free the voice's session. Raises what VoiceBook.resolve and Synthesis do.
        """
        async with await self._open() as synthesis:
            await self._feed_early(synthesis)
            yield TaskStarted(self.task_id)
            async with aclosing(synthesis.chunks()) as chunks:
                asked = self._asked()
                async for chunk in chunks:
                    self._waited(asked, chunk)
                    yield self._result(chunk, synthesis)
                    asked = self._asked()
            self.places.end(synthesis.text_length)

    def finished(self, reason: FinishReason, played: float | None = None) -> TaskFinished:
        """The event that ends the task. played: as in CancelTask."""
        return TaskFinished(
            task_id=self.task_id,
            finish_reason=reason,
            characters=self.account.characters,
            metrics=self._totals(),
            notices=self.notices,
            heard=None if played is None else self.places.heard(played),
        )

    @property
    def notices(self) -> tuple[str, ...]:
        """A sentence for each part of the text that cannot be spoken as asked."""
        return () if self._synthesis is None else self._synthesis.notices

    async def _open(self) -> Synthesis:
        services, parameters = self._services, self.parameters
        voice = await services.voices.resolve(
            services.owner(self.caller), parameters.reference_audio_id, self._hosted
        )
        await services.beginnings.take(self.caller.name)
        self._synthesis = await Synthesis.open(
            services.engine,
            voice,
            parameters,
            services.encode_pool,
            services.ssml_threads,
            self.caller.name,
        )
        return self._synthesis

    async def _feed_early(self, synthesis: Synthesis) -> None:
        while self._early:
            early, self._early = self._early, []
            for text, flush in early:
                await synthesis.feed(text, flush=flush)
        # Nothing was awaited since the last look: from here on `feed` goes straight on, in order.
        self._early = None
        if self._text_is_whole:
            await synthesis.finish()

    def _result(self, chunk: SpokenChunk, synthesis: Synthesis) -> ResultGenerated:
        if self._place is not None:
            self._place.active(seconds=chunk.seconds)
        now, begin = time.monotonic(), self.account.speech_seconds
        metrics = self.account.chunk(chunk, now)
        self.places.add(chunk, begin)
        self._meter.chunk(chunk.seconds, len(chunk.data), now, metrics.server_cost_time)
        return ResultGenerated(
            task_id=self.task_id,
            audio_id=uuid.uuid4().hex,
            data=chunk.data,
            begin=begin,
            metrics=metrics,
            audio=synthesis.audio,
            binary=self.parameters.audio_transport == "binary",
            words=chunk.words if self.parameters.word_timestamp_enabled else (),
            sentences=chunk.sentences,
            marks=chunk.marks,
        )

    def _asked(self) -> float | None:
        """When the next chunk is asked for, if it is the engine alone that it has to wait for.

        The first one is another matter: how long it takes does not depend on its length.
        """
        heard = self.account.speech_seconds > 0
        return time.monotonic() if heard and self._text_is_whole else None

    def _waited(self, asked: float | None, chunk: SpokenChunk) -> None:
        if asked is not None and self._place is not None:
            self._place.spoke(time.monotonic() - asked, chunk.seconds)

    # The end

    def settle(self, outcome: Outcome, code: str = "") -> None:
        """Name the outcome; code: of the error that ends the task. Only the first call counts."""
        if self._outcome is None:
            self._outcome = ("throttled" if code == Throttled.code else outcome), code

    def fail(self, error: BaseException) -> TTSError:
        """Settle that this ended the task; returns it as the client is to see it."""
        failure = as_tts_error(error)
        self.settle("failed", failure.code)
        return failure

    def free_place(self) -> None:
        """To be called just before the last word goes out: whoever reads that finds the place free."""
        if self._place is not None:
            self._place.free()

    def over(self) -> None:
        """Give the place back, and enter the task into metrics and log. To be called once. Never raises."""
        outcome, code = self._outcome or ("disconnected", "")
        if self._place is not None:
            self._place.release()
        with log_ids(task_id=self.task_id or None, caller=self.caller.name):
            totals = None if self._place is None else self._last_totals()
            try:
                self._meter.ended(outcome, code, totals, self.account.characters)
            except Exception as error:
                report(error)
            log.info(
                "task_ended",
                transport=self._transport,
                outcome=outcome,
                code=code,
                **({} if totals is None else _rounded(totals)),
            )

    def _totals(self) -> TaskMetrics:
        return self.account.totals(time.monotonic())

    def _last_totals(self) -> TaskMetrics | None:
        try:
            return self._totals()
        except Exception as error:
            report(error)
            return None


def _rounded(totals: TaskMetrics) -> dict[str, float]:
    return {each.name: round(getattr(totals, each.name), 4) for each in fields(totals)}

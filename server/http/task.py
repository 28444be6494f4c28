"""A request's task: one text, one answer. The dialects say how the speech is written into its body."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import ClassVar, Protocol

import structlog
from aiohttp import web

from cosyserve.protocol.errors import TTSError
from cosyserve.protocol.fields import JsonObject
from cosyserve.protocol.messages import ResultGenerated
from cosyserve.protocol.parameters import SpeechParameters

from ..delivery import KeptSound, Spool
from ..errors import must_propagate
from ..observe.tracing import parent_of
from ..tasks.life import TaskLife
from .answers import ChunkedAnswer, ClientGone
from .envelope import CALLER, DIALECT, SERVICES, json_response
from .sending import UNTIL_SENT
from .whole import WholeAnswer

log = structlog.get_logger(__name__)


class SpeechBody:
    """How a dialect writes a speech into the body of an answer: this one, the bare sound."""

    reports_failures: ClassVar[bool] = False
    """Whether `failed` says all: else the body is cut off, so that no client takes it for whole."""

    def chunk(self, event: ResultGenerated) -> bytes:
        """The bytes for the next sound."""
        return event.data

    def end(self, life: TaskLife) -> bytes:
        """The bytes after the last sound."""
        return b""

    def failed(self, error: TTSError) -> bytes:
        """The bytes that say why no more sound comes."""
        return b""


class Hears(Protocol):
    """Learns of a speech as it is made."""

    def chunk(self, event: ResultGenerated) -> None:
        """Remember what the answer says of the next sound, but not the sound."""


class WholeBody(Hears, Protocol):
    """How a dialect writes a whole speech into one JSON document."""

    def document(self, sound: str, size: int, notices: Sequence[str]) -> JsonObject:
        """The document. sound: in base64, or what stands for it; size: bytes. Called on a thread."""


class KeptBody(Hears, Protocol):
    """How a dialect writes the address of a whole speech into a JSON document."""

    def document(self, sound: KeptSound, notices: Sequence[str]) -> JsonObject: ...


class _Unheard:
    """For answers that say nothing of single sounds."""

    def chunk(self, event: ResultGenerated) -> None:
        pass


class HttpTask:
    """A text to be spoken in answer to a request, with the voices and the label of its dialect."""

    def __init__(
        self, request: web.Request, parameters: SpeechParameters, text: str, model: str = ""
    ) -> None:
        """model: as in TaskLife."""
        services, dialect = request.app[SERVICES], request[DIALECT]
        self._request = request
        self._text = text
        self._life = TaskLife(
            parameters,
            request[CALLER],
            services,
            dialect.http_label,
            dialect.hosted_voices(services.settings),
            model=model,
            trace=parent_of(lambda name: request.headers.getall(name, [])),
        )

    async def whole(self, body: WholeBody) -> web.Response:
        """Answer when all is spoken.

        The place is free then; the spool goes when the client has the answer. Raises TTSError.
        """
        async with self._collected(body) as (life, spool, answer):
            self._request[UNTIL_SENT].enter_context(spool)
            notices = life.notices
            return await answer.response(lambda sound, size: body.document(sound, size, notices))

    async def kept(self, body: KeptBody) -> web.Response:
        """Answer when all is spoken, with an address of the sound. Raises TTSError."""
        kept = self._request.app[SERVICES].kept_sounds
        async with self._collected(body) as (life, spool, answer):
            await answer.end()
            sound = kept.keep(spool, life.parameters.output_format.content_type)
            return json_response(body.document(sound, life.notices))

    @asynccontextmanager
    async def spoken(self) -> AsyncIterator[tuple[TaskLife, Spool]]:
        """The whole speech in a spool, to the end of the context, in which its place is free.

        Raises TTSError.
        """
        async with self._collected(_Unheard()) as (life, spool, answer):
            with spool:
                await answer.end()
                life.free_place()
                yield life, spool

    @asynccontextmanager
    async def _collected(self, body: Hears) -> AsyncIterator[tuple[TaskLife, Spool, WholeAnswer]]:
        """The whole speech in a spool, which is closed if anything fails."""
        services, caller = self._request.app[SERVICES], self._request[CALLER]
        async with self._alive() as life, services.shutdown.raised():
            spool = services.spools.open(caller.name)
            try:
                answer = WholeAnswer(
                    spool, services.settings, services.document_threads, life.parameters
                )
                async with aclosing(life.events()) as events:
                    async for event in events:
                        if isinstance(event, ResultGenerated):
                            await answer.add(event)
                            body.chunk(event)
                yield life, spool, answer
            except BaseException:
                spool.close()  # an error's answer holds nothing
                raise

    async def stream(self, headers: Mapping[str, str], body: SpeechBody) -> web.StreamResponse:
        """Answer while it is spoken.

        What fails before the first byte of the body is raised: it can still have a status of its own.
        Raises TTSError, and ClientGone if the client left or the body has to be cut off.
        """
        answer = ChunkedAnswer(self._request, headers)
        async with self._alive() as life:
            try:
                async with self._request.app[SERVICES].shutdown.raised():
                    await self._write(answer, body, life)
            except ClientGone:
                raise
            except BaseException as error:
                if must_propagate(error) or not answer.started:
                    raise
                reported = await _report(answer, body, life.fail(error))
                if not (reported and body.reports_failures):
                    raise answer.cut() from None
            life.free_place()
            await answer.end()
        return answer.response

    @asynccontextmanager
    async def _alive(self) -> AsyncIterator[TaskLife]:
        """The task's life, from its place to its line in the log.

        Raises TTSError for whatever fails within, and ClientGone.
        """
        life = self._life
        life.enter()
        with life.log_ids():
            try:
                await life.finish(self._text)
                yield life
                life.settle("finished")
            except ClientGone:
                raise
            except BaseException as error:
                if must_propagate(error):
                    raise
                raise life.fail(error) from None  # an unexpected error is logged by now
            finally:
                life.over()

    @staticmethod
    async def _write(answer: ChunkedAnswer, body: SpeechBody, life: TaskLife) -> None:
        async with aclosing(life.events()) as events:
            async for event in events:
                if isinstance(event, ResultGenerated) and (data := body.chunk(event)):
                    await answer.write(data, event.metrics.speech_len)
        if end := body.end(life):
            await answer.write(end)


async def _report(answer: ChunkedAnswer, body: SpeechBody, failure: TTSError) -> bool:
    """Send the failure as the body has it; False if it cannot be written. Raises ClientGone."""
    try:
        if data := body.failed(failure):
            await answer.write(data)
    except ClientGone:
        raise
    except Exception as error:
        log.error("failure_not_told", exc_info=error)
        return False
    return True

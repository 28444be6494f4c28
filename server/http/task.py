"""One request's synthesis, the same for every HTTP dialect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import structlog
from aiohttp import web

from cosyserve.protocol.errors import InvalidParameter, RequestTimeout, TTSError
from cosyserve.protocol.parameters import SpeechParameters

from ..auth import Caller
from ..errors import as_tts_error, goes_on
from ..observe.metrics import Transport
from ..services import Services
from ..tasks.account import TaskAccount
from ..tasks.admission import TaskTicket
from ..tasks.life import TaskLife
from ..tasks.synthesis import SpokenChunk
from ..voices.book import HostedVoices
from .answers import ChunkedAnswer, ClientGone
from .envelope import SERVICES

log = structlog.get_logger(__name__)

_Answer = Callable[[], Awaitable[web.StreamResponse]]


async def read_body(request: web.Request) -> bytes:
    """The whole body, unpacked. Raises InvalidParameter for a broken encoding, RequestTimeout."""
    limit = request.app[SERVICES].settings.body_timeout
    try:
        async with asyncio.timeout(limit):
            return await request.read()
    except TimeoutError:
        raise RequestTimeout(f"the body took longer than {limit:g} s") from None
    except web.RequestPayloadError as error:
        raise InvalidParameter("body: not in the encoding that its head names") from error


class SpeechTask:
    """A text to be spoken in answer to a request."""

    def __init__(
        self,
        parameters: SpeechParameters,
        text: str,
        caller: Caller,
        services: Services,
        transport: Transport = "rest",
        hosted: HostedVoices | None = None,
    ) -> None:
        """hosted: as in VoiceBook.resolve."""
        self.services = services
        self._text = text
        self._life = TaskLife(parameters, caller, services, transport, hosted)
        self._place: TaskTicket | None = None

    @property
    def account(self) -> TaskAccount:
        """What the task has cost so far."""
        return self._life.account

    @property
    def notices(self) -> tuple[str, ...]:
        """What of the text cannot be done as asked; whole once all chunks are taken."""
        return self._life.notices

    async def run(self, answer: _Answer) -> web.StreamResponse:
        """Admit, answer, and settle the accounts however it ends.

        Raises TTSError, and ClientGone.
        """
        life = self._life
        try:
            with self.services.admission.enter(life.caller) as self._place:
                response = await answer()
            life.settle("finished")
            return response
        except ClientGone:
            raise
        except BaseException as error:
            if goes_on(error):
                raise
            raise self._failed(error) from None  # what nobody foresaw is logged by now
        finally:
            life.over()

    async def stream(
        self,
        answer: ChunkedAnswer,
        pieces: AsyncGenerator[bytes, None],
        told: Callable[[TTSError], bytes] | None = None,
        *,
        cut: bool = True,
    ) -> web.StreamResponse:
        """Send the pieces of a body as they are made; to be called within `run`.

        What fails before the first of them is raised: it still has a status of its own. What fails later
        is sent as `told` has it, and with `cut` the body has no end then, so that no client takes it
        for whole; neither has it one where that cannot be told. Raises ClientGone.
        """
        async with aclosing(pieces):
            try:
                async for piece in pieces:
                    if piece:
                        await answer.write(piece, self.account.speech_seconds)
            except ClientGone:
                raise
            except BaseException as error:
                if goes_on(error) or not answer.started:
                    raise
                failure = self._failed(error)
                if told is not None:
                    cut = not await _told(answer, told, failure) or cut
                if cut:
                    raise answer.cut() from None
            if self._place is not None:  # whoever reads the end finds it free
                self._place.free()
            await answer.end()
        return answer.response

    async def chunks(self) -> AsyncGenerator[SpokenChunk, None]:
        """The speech, accounted for as it is taken."""
        life = self._life
        async with await life.open() as synthesis:
            life.text(self._text)
            await synthesis.feed(self._text)
            await synthesis.finish()
            async with aclosing(synthesis.chunks()) as chunks:
                async for chunk in chunks:
                    life.chunk(chunk)
                    yield chunk

    def _failed(self, error: BaseException) -> TTSError:
        failure = as_tts_error(error)
        self._life.settle("failed", failure.code)
        return failure


async def _told(
    answer: ChunkedAnswer, told: Callable[[TTSError], bytes], failure: TTSError
) -> bool:
    """Send what tells of a failure; whether it could be written at all. Raises ClientGone."""
    try:
        await answer.write(told(failure))
    except ClientGone:
        raise
    except Exception as error:
        log.error("failure_not_told", exc_info=error)
        return False
    return True

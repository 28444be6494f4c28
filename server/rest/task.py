"""One request's synthesis, the same for every HTTP dialect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final

from aiohttp import web

from cosyserve.protocol.errors import InvalidParameter, RequestTimeout, TTSError
from cosyserve.protocol.parameters import SpeechParameters

from ..account import TaskAccount
from ..auth import Caller
from ..failures import as_tts_error
from ..metrics import Outcome, TaskMeter, Transport
from ..services import Services
from ..synthesis import SpokenChunk, Synthesis
from ..voices import HostedVoices
from .stream import ChunkedAnswer, ClientGone

BODY_TIMEOUT: Final = 30.0

_Answer = Callable[[], Awaitable[web.StreamResponse]]


async def read_body(request: web.Request) -> bytes:
    """The whole body, unpacked. Raises InvalidParameter for a broken encoding, RequestTimeout."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await request.read()
    except TimeoutError:
        raise RequestTimeout(f"the body took longer than {BODY_TIMEOUT:g} s") from None
    except web.RequestPayloadError as error:
        raise InvalidParameter("body: not in the encoding that its head names") from error


class SpeechTask:
    """A text to be spoken in answer to a request, with its accounts."""

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
        self._parameters = parameters
        self._text = text
        self._caller = caller
        self._hosted = hosted
        self._code = ""
        self.notices: tuple[str, ...] = ()
        self._account = TaskAccount(debug=False)
        self._meter: TaskMeter = services.metrics.task_arrived(transport, parameters, caller)

    @property
    def account(self) -> TaskAccount:
        """What the task has cost so far."""
        return self._account

    async def run(self, answer: _Answer) -> web.StreamResponse:
        """Admit, answer, and settle the accounts however it ends.

        Raises TTSError, and ClientGone.
        """
        gone = True
        try:
            with self.services.admission.enter(self._caller):
                response = await answer()
            gone = False
            return response
        except ClientGone:
            raise
        except Exception as error:
            failure = as_tts_error(error)
            self._code = failure.code
            gone = False
            raise failure from None  # what nobody foresaw is logged by now
        finally:
            outcome: Outcome = "failed" if self._code else "disconnected" if gone else "finished"
            account = self._account
            self._meter.ended(
                outcome, self._code, account.totals(time.monotonic()), account.characters
            )

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
        for whole. Raises ClientGone.
        """
        async with aclosing(pieces):
            try:
                async for piece in pieces:
                    if piece:
                        await answer.write(piece, self.account.speech_seconds)
            except ClientGone:
                raise
            except Exception as error:
                if not answer.started:
                    raise
                failure = as_tts_error(error)
                self._code = failure.code
                if told is not None:
                    await answer.write(told(failure))
                if cut:
                    raise answer.cut() from None
            await answer.end()
        return answer.response

    async def chunks(self) -> AsyncGenerator[SpokenChunk, None]:
        """The speech, accounted for as it is taken."""
        services, parameters = self.services, self._parameters
        voice = await services.voices.resolve(
            services.owner(self._caller), parameters.reference_audio_id, self._hosted
        )
        synthesis = await Synthesis.open(services.engine, voice, parameters, services.encode_pool)
        async with synthesis:
            self._account.text(self._text, time.monotonic())
            await synthesis.feed(self._text)
            await synthesis.finish()
            async with aclosing(synthesis.chunks()) as chunks:
                async for chunk in chunks:
                    now = time.monotonic()
                    self._account.chunk(chunk, now)
                    first = self._account.first_package_seconds
                    self._meter.chunk(chunk.seconds, len(chunk.data), now, first)
                    yield chunk
            self.notices = synthesis.notices

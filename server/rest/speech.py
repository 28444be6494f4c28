"""`POST /api/v1/audio/speech`: a thin shim over the session code of the WebSocket."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Literal

import orjson
from aiohttp import web

from cosyserve.protocol.errors import RequestTimeout, TTSError
from cosyserve.protocol.limits import TextLimits
from cosyserve.protocol.rest import (
    SpeechRequest,
    parse_speech_request,
    speech_event,
    speech_whole,
)

from ..account import TaskAccount
from ..auth import Caller
from ..encoders import sized
from ..failures import as_tts_error
from ..metrics import Outcome, TaskMeter
from ..services import Services
from ..synthesis import SpokenChunk, Synthesis
from .envelope import CALLER, REQUEST_ID, SERVER, SERVICES, json_response

BODY_TIMEOUT = 30.0

_Answer = Callable[[], Awaitable[web.StreamResponse]]


async def speech(request: web.Request) -> web.StreamResponse:
    services = request.app[SERVICES]
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            body = await request.read()
    except TimeoutError:
        raise RequestTimeout(f"the body took longer than {BODY_TIMEOUT:g} s") from None
    most = services.settings.max_task_characters
    asked = parse_speech_request(body, TextLimits(message=most, task=most))
    task = _SpeechTask(asked, request[CALLER], services)
    answer = _stream if asked.stream else _whole
    return await task.run(lambda: answer(request, task))


async def _whole(request: web.Request, task: _SpeechTask) -> web.Response:
    """All of the speech as one JSON object."""
    audio = bytearray()
    async with aclosing(task.chunks()) as chunks:
        async for chunk in chunks:
            audio += chunk.data
    data = sized(bytes(audio), task.asked.parameters.output_format)
    return json_response(speech_whole(request[REQUEST_ID], uuid.uuid4().hex, data))


async def _stream(request: web.Request, task: _SpeechTask) -> web.StreamResponse:
    """The speech as server-sent events. What fails before the first chunk still has a status of its own."""
    limit = task.services.settings.send_timeout
    async with aclosing(task.chunks()) as chunks:
        events = _EventStream(request, limit, uuid.uuid4().hex)
        try:
            async for chunk in chunks:
                await events.send(chunk.data)
            await events.send(b"", finish_reason="stop")
        except (ConnectionResetError, TimeoutError):
            raise
        except Exception as error:
            if not events.started:
                raise
            failure = as_tts_error(error)
            await events.send(b"", error=failure)
            task.failed(failure)
        await events.end()
    return events.response


class _EventStream:
    """Server-sent events of one request; every write has a time limit, then the connection is aborted."""

    def __init__(self, request: web.Request, limit: float, audio_id: str) -> None:
        self._request = request
        self._limit = limit
        self._audio_id = audio_id
        self._sent = 0
        self.response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",  # nginx must not hold events back
                "X-Request-Id": request[REQUEST_ID],
                "Server": SERVER,
            }
        )
        self.response.force_close()  # see server/port.py

    @property
    def started(self) -> bool:
        return self.response.prepared

    async def send(
        self,
        data: bytes,
        finish_reason: Literal["stop"] | None = None,
        error: TTSError | None = None,
    ) -> None:
        """One event. Raises TimeoutError, with the connection aborted, if the client does not read."""
        self._sent += len(data)
        event = speech_event(
            self._request[REQUEST_ID], self._audio_id, data, finish_reason, self._sent, error
        )
        await self._within_limit(self._write(b"data: " + orjson.dumps(event) + b"\n\n"))

    async def end(self) -> None:
        await self._within_limit(self.response.write_eof())

    async def _write(self, data: bytes) -> None:
        if not self.response.prepared:
            await self.response.prepare(self._request)
        await self.response.write(data)

    async def _within_limit(self, write: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._limit):
                await write
        except TimeoutError:
            if self._request.transport is not None:
                self._request.transport.abort()
            raise


class _SpeechTask:
    """One request's synthesis with its accounts."""

    def __init__(self, asked: SpeechRequest, caller: Caller, services: Services) -> None:
        self.asked = asked
        self.services = services
        self._caller = caller
        self._code = ""
        self._account = TaskAccount(debug=False)
        self._meter: TaskMeter = services.metrics.task_arrived("rest", asked.parameters, caller)

    async def run(self, answer: _Answer) -> web.StreamResponse:
        """Admit, answer, and settle the accounts however it ends."""
        gone = True
        try:
            with self.services.admission.enter(self._caller):
                response = await answer()
            gone = False
            return response
        except (ConnectionResetError, TimeoutError):
            raise
        except Exception as error:
            failure = as_tts_error(error)
            self.failed(failure)
            gone = False
            raise failure from None  # what nobody foresaw is logged by now
        finally:
            outcome: Outcome = "failed" if self._code else "disconnected" if gone else "finished"
            account = self._account
            self._meter.ended(
                outcome, self._code, account.totals(time.monotonic()), account.characters
            )

    def failed(self, error: TTSError) -> None:
        """Note what the request failed with."""
        self._code = error.code

    async def chunks(self) -> AsyncGenerator[SpokenChunk, None]:
        """The speech, accounted for as it is taken."""
        services, parameters = self.services, self.asked.parameters
        voice = await services.voices.resolve(
            services.owner(self._caller), parameters.reference_audio_id
        )
        synthesis = await Synthesis.open(services.engine, voice, parameters, services.encode_pool)
        async with synthesis:
            self._account.text(self.asked.text, time.monotonic())
            await synthesis.feed(self.asked.text)
            await synthesis.finish()
            async with aclosing(synthesis.chunks()) as chunks:
                async for chunk in chunks:
                    now = time.monotonic()
                    self._account.chunk(chunk, now)
                    first = self._account.first_package_seconds
                    self._meter.chunk(chunk.seconds, len(chunk.data), now, first)
                    yield chunk

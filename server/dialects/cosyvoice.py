"""`POST /api/v1/audio/speech`: a thin shim over the session code of the WebSocket."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal

from aiohttp import web

from cosyserve.protocol.cosyvoice.codec import spoken_output
from cosyserve.protocol.cosyvoice.rest import parse_speech_request, speech_event, speech_whole
from cosyserve.protocol.errors import TTSError
from cosyserve.protocol.fields import JsonObject
from cosyserve.protocol.messages import Mark, Word
from cosyserve.protocol.parameters import AudioFormat
from cosyserve.protocol.text import TextLimits

from ..audio import sized
from ..http.answers import ChunkedAnswer, sse
from ..http.envelope import CALLER, REQUEST_ID, SERVICES, json_response
from ..http.task import SpeechTask, read_body

SSE_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8"}


async def speech(request: web.Request) -> web.StreamResponse:
    services = request.app[SERVICES]
    body = await read_body(request)
    most = services.settings.max_task_characters
    asked = parse_speech_request(body, TextLimits(message=most, task=most))
    task = SpeechTask(asked.parameters, asked.text, request[CALLER], services)
    if asked.stream:
        return await task.run(lambda: _stream(request, task))
    return await task.run(lambda: _whole(request, task, asked.parameters.output_format))


async def _whole(request: web.Request, task: SpeechTask, audio_format: AudioFormat) -> web.Response:
    """All of the speech as one JSON object."""
    audio = bytearray()
    words: list[Word] = []
    marks: list[Mark] = []
    async with aclosing(task.chunks()) as chunks:
        async for chunk in chunks:
            audio += chunk.data
            words += chunk.words
            marks += chunk.marks
    data = sized(bytes(audio), audio_format)
    told = spoken_output(words, marks, task.notices)
    return json_response(speech_whole(request[REQUEST_ID], uuid.uuid4().hex, data, told))


async def _stream(request: web.Request, task: SpeechTask) -> web.StreamResponse:
    """The speech as server-sent events; an event tells what failed, and ends them as well."""
    answer = ChunkedAnswer(request, SSE_HEADERS)
    events = _Events(request[REQUEST_ID])
    return await task.stream(answer, events.of(task), events.failed, cut=False)


class _Events:
    """The server-sent events of one request."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._audio_id = uuid.uuid4().hex
        self._sent = 0

    async def of(self, task: SpeechTask) -> AsyncGenerator[bytes, None]:
        """All of them, unless the speech fails."""
        async with aclosing(task.chunks()) as chunks:
            async for chunk in chunks:
                yield self._event(chunk.data, more=spoken_output(chunk.words, chunk.marks))
        told = spoken_output(notices=task.notices)
        yield self._event(b"", finish_reason="stop", more=told)

    def failed(self, error: TTSError) -> bytes:
        return self._event(b"", error=error)

    def _event(
        self,
        data: bytes,
        finish_reason: Literal["stop"] | None = None,
        error: TTSError | None = None,
        more: JsonObject | None = None,
    ) -> bytes:
        self._sent += len(data)
        return sse(
            speech_event(
                self._request_id, self._audio_id, data, finish_reason, self._sent, error, more
            )
        )

"""The server's own dialect: a WebSocket, `POST /api/v1/audio/speech`, and the reference clips."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import ClassVar, Final, NoReturn

from aiohttp import web

from cosyserve.protocol.cosyvoice.codec import CosyVoiceCodec, spoken_output
from cosyserve.protocol.cosyvoice.rest import (
    error_body,
    parse_speech_request,
    speech_event,
    speech_whole,
)
from cosyserve.protocol.errors import InvalidParameter, TTSError
from cosyserve.protocol.fields import JsonObject
from cosyserve.protocol.messages import Mark, ResultGenerated, Word

from ..http.answers import sse
from ..http.bodies import read_body
from ..http.envelope import REQUEST_ID, SERVICES
from ..http.task import HttpTask, SpeechBody
from ..settings import Settings
from ..tasks.life import TaskLife
from . import (
    Dialect,
    HttpRoute,
    Terms,
    UpgradeTarget,
    WebSocketRoute,
    body_limits,
    references,
    text_limits,
)

SPEECH_PATH: Final = "/api-ws/v1/audio/speech"
REFERENCES_PATH: Final = "/api/v1/audio/reference_audio"
SSE_HEADERS: Final = {"Content-Type": "text/event-stream; charset=utf-8"}


def _terms(target: UpgradeTarget, settings: Settings) -> Terms:
    return Terms(
        codec=CosyVoiceCodec(),
        limits=text_limits(settings),
        text_timeout=settings.idle_text_timeout,
        first_timeout=settings.idle_connection_timeout,
        idle_timeout=settings.idle_connection_timeout,
    )


async def speech(request: web.Request) -> web.StreamResponse:
    """Speak a text: as server-sent events while it is made, or all of it as one JSON object."""
    limits = body_limits(request.app[SERVICES].settings)
    asked = parse_speech_request(await read_body(request), limits)
    task = HttpTask(request, asked.parameters, asked.text, asked.model)
    if asked.stream:
        return await task.stream(SSE_HEADERS, _SpeechEvents(request[REQUEST_ID]))
    return await task.whole(_SpeechObject(request[REQUEST_ID]))


class _SpeechObject:
    """The one JSON object of a request that is not streamed."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._words: list[Word] = []
        self._marks: list[Mark] = []

    def chunk(self, event: ResultGenerated) -> None:
        self._words += event.words
        self._marks += event.marks

    def document(self, sound: str, size: int, notices: Sequence[str]) -> JsonObject:
        output = spoken_output(self._words, self._marks, notices)
        return speech_whole(self._request_id, uuid.uuid4().hex, sound, size, output)


class _SpeechEvents(SpeechBody):
    """The server-sent events of one request; the last one says how the speech ended."""

    reports_failures: ClassVar[bool] = True

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._audio_id = uuid.uuid4().hex
        self._sent = 0  # bytes of sound

    def chunk(self, event: ResultGenerated) -> bytes:
        self._sent += len(event.data)
        return sse(
            speech_event(
                self._request_id,
                self._audio_id,
                event.data,
                None,
                self._sent,
                more=spoken_output(event.words, event.marks),
            )
        )

    def end(self, life: TaskLife) -> bytes:
        output = spoken_output(notices=life.notices)
        return sse(
            speech_event(self._request_id, self._audio_id, b"", "stop", self._sent, more=output)
        )

    def failed(self, error: TTSError) -> bytes:
        return sse(speech_event(self._request_id, self._audio_id, b"", None, self._sent, error))


async def _no_upgrade(request: web.Request) -> NoReturn:
    raise InvalidParameter(f"{SPEECH_PATH} is a WebSocket: connect with an upgrade")


COSYVOICE: Final = Dialect(
    name="cosyvoice",
    error_body=error_body,
    websockets=(WebSocketRoute(SPEECH_PATH, _terms),),
    http=(
        HttpRoute("POST", REFERENCES_PATH, references.upload),
        HttpRoute("GET", REFERENCES_PATH, references.listing),
        HttpRoute("GET", REFERENCES_PATH + "/{id}", references.get),
        HttpRoute("DELETE", REFERENCES_PATH + "/{id}", references.delete),
        HttpRoute("POST", "/api/v1/audio/speech", speech),
        HttpRoute("GET", SPEECH_PATH, _no_upgrade),
    ),
    http_prefixes=("",),  # whatever is no other dialect's
    labels=("websocket", "rest"),
)

"""The DashScope dialect: the hosted service's own WebSocket and HTTP API, as its SDK speaks them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import ClassVar, Final

from aiohttp import web
from websockets.frames import CloseCode

from cosyserve.protocol.dashscope import DashScopeCodec
from cosyserve.protocol.dashscope.rest import (
    SynthesizerCall,
    error_body,
    error_event,
    finished,
    parse_synthesizer_call,
    result_event,
    with_sound,
)
from cosyserve.protocol.dashscope.sentences import TaskSentences
from cosyserve.protocol.errors import RouteNotFound, TTSError
from cosyserve.protocol.fields import JsonObject
from cosyserve.protocol.messages import ResultGenerated

from ..delivery import KeptSound
from ..http.bodies import read_body
from ..http.envelope import REQUEST_ID, SERVICES
from ..http.sending import UNTIL_SENT
from ..http.task import HttpTask, SpeechBody
from ..http.whole import SpooledSound
from ..settings import Settings
from ..tasks.life import TaskLife
from ..voices.book import HostedVoices
from . import (
    Dialect,
    HttpRoute,
    Terms,
    UpgradeTarget,
    WebSocketRoute,
    body_limits,
    text_limits,
)
from .enrollment import customization

_TTS: Final = "/api/v1/services/audio/tts"
_SSE_HEADERS: Final = {"Content-Type": "text/event-stream; charset=utf-8"}
_VOICES: Final = re.compile(r"loo?ng[a-z]+([_-][a-z0-9]+)*", re.IGNORECASE)


def _terms(target: UpgradeTarget, settings: Settings) -> Terms:
    idle = settings.idle_connection_timeout
    return Terms(
        codec=DashScopeCodec(settings.dashscope_text_timeout, lambda: str(uuid.uuid4())),
        limits=text_limits(settings),
        text_timeout=settings.dashscope_text_timeout,
        # Pools connect long before they speak.
        first_timeout=None if idle is None else max(idle, settings.dashscope_idle_timeout),
        idle_timeout=settings.dashscope_idle_timeout,
        one_at_a_time=True,
        failure_closes=CloseCode.NORMAL_CLOSURE,
    )


async def synthesizer(request: web.Request) -> web.StreamResponse:
    """Speak a text: in server-sent events while it is made, or all of it at an address of its own."""
    limits = body_limits(request.app[SERVICES].settings)
    asked = parse_synthesizer_call(await read_body(request), limits)
    task = HttpTask(request, asked.parameters, asked.text, asked.model)
    if request.headers.get("X-DashScope-SSE", "").strip().lower() == "enable":
        return await task.stream(_SSE_HEADERS, _ResultEvents(request[REQUEST_ID], asked))
    return await task.kept(_SoundAddress(request, asked))


async def sound(request: web.Request) -> web.Response:
    """The sound of an answer that named this address. The address is secret: it needs no token."""
    services, name = request.app[SERVICES], request.match_info["file"].partition(".")[0]
    kept = request[UNTIL_SENT].enter_context(services.kept_sounds.reading(name))
    if kept is None:
        raise RouteNotFound("there is no sound at this address, or none any more")
    if request.transport is not None:
        services.sockets.know(request.transport.get_protocol())
    return web.Response(body=SpooledSound(kept.spool, kept.content_type))


def _spoken(asked: SynthesizerCall) -> TaskSentences:
    sentences = TaskSentences.of(asked.parameters)
    sentences.take(asked.text, last=True)
    return sentences


class _ResultEvents(SpeechBody):
    """The server-sent events of one call; the last one says how the speech ended."""

    reports_failures: ClassVar[bool] = True

    def __init__(self, request_id: str, asked: SynthesizerCall) -> None:
        self._request_id = request_id
        self._audio_id = _audio_id(request_id)
        self._sentences = _spoken(asked)
        self._sent = 0  # events

    def chunk(self, event: ResultGenerated) -> bytes:
        *before, own = self._sentences.heard(event)
        return self._events([*before, with_sound(own, self._audio_id, event.data)])

    def end(self, life: TaskLife) -> bytes:
        *before, last = self._sentences.end(life.notices, whole=True)
        return self._events([*before, finished(last, self._audio_id)])

    def failed(self, error: TTSError) -> bytes:
        return error_event(self._sent + 1, self._request_id, error)

    def _events(self, payloads: Sequence[JsonObject]) -> bytes:
        events = [
            result_event(number, self._request_id, payload)
            for number, payload in enumerate(payloads, self._sent + 1)
        ]
        self._sent += len(events)
        return b"".join(events)


class _SoundAddress:
    """The answer of a call that is not streamed."""

    def __init__(self, request: web.Request, asked: SynthesizerCall) -> None:
        self._request = request
        self._format = asked.parameters.output_format
        self._sentences = _spoken(asked)

    def chunk(self, event: ResultGenerated) -> None:
        """The document says nothing of single sounds."""

    def document(self, sound: KeptSound, notices: Sequence[str]) -> JsonObject:
        request_id = self._request[REQUEST_ID]
        url = f"{_origin(self._request)}{_TTS}/sounds/{sound.name}.{self._format}"
        last = self._sentences.end(notices, whole=True)[-1]
        payload = finished(last, _audio_id(request_id), url=url, expires_at=sound.expires_at)
        return {**payload, "request_id": request_id}


def _audio_id(request_id: str) -> str:
    return f"audio_{request_id}"


def _origin(request: web.Request) -> str:
    """Where the client reached the server; a proxy that takes TLS off says so."""
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    return f"{scheme if scheme in ('http', 'https') else request.scheme}://{request.host}"


def _anybody(settings: Settings) -> bool:
    return True


def _hosted_voices(settings: Settings) -> HostedVoices:
    return HostedVoices(_VOICES, settings.dashscope_default_voice)


DASHSCOPE: Final = Dialect(
    name="dashscope",
    error_body=error_body,
    websockets=(WebSocketRoute("/api-ws/v1/inference", _terms),),
    http=(
        HttpRoute("POST", f"{_TTS}/SpeechSynthesizer", synthesizer),
        HttpRoute("POST", f"{_TTS}/customization", customization),
        HttpRoute("GET", f"{_TTS}/sounds/{{file}}", sound, _anybody),
    ),
    http_prefixes=("/api/v1/services",),
    hosted_voices=_hosted_voices,
)

"""The OpenAI dialect: `audio/speech`, `audio/voices`, `audio/models` and `models`, with and without `/v1`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aiohttp import web

from cosyserve.engine.interface import Capabilities
from cosyserve.protocol.cosyvoice.rest import LIMIT_MAX
from cosyserve.protocol.errors import TTSError
from cosyserve.protocol.fields import JsonObject
from cosyserve.protocol.messages import ResultGenerated
from cosyserve.protocol.openai import (
    HOSTED_VOICES,
    OpenAISpeech,
    audio_delta,
    audio_done,
    audio_models,
    check_model,
    error_body,
    error_event,
    model_list,
    model_object,
    parse_speech,
    voice_list,
)
from cosyserve.protocol.parameters import Mode

from ..http.answers import sse
from ..http.bodies import read_body
from ..http.envelope import CALLER, SERVICES, authenticate, json_response
from ..http.task import HttpTask, SpeechBody
from ..settings import Settings
from ..tasks.life import TaskLife
from ..tasks.models import check_loaded, loaded_models
from ..voices.book import HostedVoices, Voice
from . import Dialect, HttpRoute


async def speech(request: web.Request) -> web.StreamResponse:
    """Speak a text: as sound, or as server-sent events that carry it."""
    services = request.app[SERVICES]
    asked = parse_speech(await read_body(request), services.settings.max_task_characters)
    follows = bool(asked.instructions) and _follows_instructions(services.engine.capabilities)
    task = HttpTask(request, asked.parameters(instruct=follows), asked.text, asked.model)
    return await task.stream(
        _headers(asked, follows), _AudioEvents() if asked.events else SpeechBody()
    )


async def voices(request: web.Request) -> web.Response:
    """The engine's own voices, the names that stand for voices, and the caller's references."""
    services = request.app[SERVICES]
    own = services.voices.built_in(_hosted_voices(services.settings))
    listed = [*own, *await _cloned(request)]
    return json_response(voice_list((voice.id, voice.name) for voice in listed))


async def models_of_audio(request: web.Request) -> web.Response:
    return json_response(audio_models(loaded_models(request.app[SERVICES])))


async def models(request: web.Request) -> web.Response:
    return json_response(model_list(loaded_models(request.app[SERVICES])))


async def model(request: web.Request) -> web.Response:
    name = check_model(request.match_info["id"])
    check_loaded(name, request.app[SERVICES])
    return json_response(model_object(name))


async def _cloned(request: web.Request) -> list[Voice]:
    """The voices of the caller's references; none where a list is open and there is no token."""
    services = request.app[SERVICES]
    caller = request.get(CALLER)
    if caller is None:
        if "Authorization" not in request.headers:
            return []
        caller = authenticate(request)
    return await services.voices.cloned(services.owner(caller), LIMIT_MAX)


def _hosted_voices(settings: Settings) -> HostedVoices:
    return HostedVoices(
        HOSTED_VOICES,
        settings.openai_default_voice,
        dict(settings.openai_voices),
        "openai_voices and openai_default_voice",
    )


def _follows_instructions(engine: Capabilities) -> bool:
    return engine.instruct != "none" and Mode.NATURAL_LANGUAGE in engine.modes


def _headers(asked: OpenAISpeech, follows: bool) -> dict[str, str]:
    """The answer's headers, which tell where a request is not spoken just as it was asked for."""
    headers = {"Content-Type": asked.audio_format.content_type}
    if asked.events:
        headers["Content-Type"] = "text/event-stream; charset=utf-8"
    if asked.effective_speed != asked.speed:
        headers["X-Effective-Speed"] = f"{asked.effective_speed:g}"
    if asked.instructions and not follows:
        headers["X-Ignored-Parameters"] = "instructions"
    return headers


class _AudioEvents(SpeechBody):
    """Server-sent events; clients of this API expect no end after an error."""

    def chunk(self, event: ResultGenerated) -> bytes:
        return sse(audio_delta(event.data))

    def end(self, life: TaskLife) -> bytes:
        return sse(audio_done(life.account.characters, life.account.speech_seconds))

    def failed(self, error: TTSError) -> bytes:
        return sse(error_event(error))


def _error_body(error: TTSError, request_id: str) -> JsonObject:
    return error_body(error)


def _lists_are_open(settings: Settings) -> bool:
    return settings.openai_open_lists and bool(settings.tokens)


def _routes() -> Iterator[HttpRoute]:
    for prefix in ("/v1", ""):
        yield HttpRoute("POST", f"{prefix}/audio/speech", speech)
        yield HttpRoute("GET", f"{prefix}/audio/voices", voices, _lists_are_open)
        yield HttpRoute("GET", f"{prefix}/audio/models", models_of_audio, _lists_are_open)
        yield HttpRoute("GET", f"{prefix}/models", models)
        yield HttpRoute("GET", f"{prefix}/models/{{id}}", model)


OPENAI: Final = Dialect(
    name="openai",
    error_body=_error_body,
    http=tuple(_routes()),
    http_prefixes=("/v1", "/audio", "/models"),
    hosted_voices=_hosted_voices,
)

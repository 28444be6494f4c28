"""The routes of the OpenAI dialect, each with and without `/v1`.

The OpenAI dialect: `audio/speech`, `audio/voices`, `audio/models` and `models`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web

from cosyserve.engine.interface import Capabilities
from cosyserve.protocol.cosyvoice.rest import LIMIT_MAX
from cosyserve.protocol.openai import (
    HOSTED_VOICES,
    OpenAISpeech,
    audio_delta,
    audio_done,
    audio_models,
    check_model,
    error_event,
    model_list,
    model_object,
    parse_speech,
    voice_list,
)
from cosyserve.protocol.parameters import Mode

from ..http.answers import ChunkedAnswer, sse
from ..http.envelope import CALLER, FILES, SERVICES, authenticate, json_response
from ..http.task import SpeechTask, read_body
from ..services import Services
from ..settings import Settings
from ..voices.book import HostedVoices, Voice


def add_openai(app: web.Application, services: Services) -> None:
    """Add the dialect to an application whose middleware is the REST envelope."""
    settings = services.settings
    for prefix in ("/v1", ""):
        app.router.add_post(f"{prefix}/audio/speech", speech)
        app.router.add_get(f"{prefix}/audio/voices", voices)
        app.router.add_get(f"{prefix}/audio/models", models_of_audio)
        app.router.add_get(f"{prefix}/models", models)
        app.router.add_get(f"{prefix}/models/{{id}}", model)
        if settings.openai_open_lists and settings.tokens:
            app[FILES] |= {f"{prefix}/audio/voices", f"{prefix}/audio/models"}


async def speech(request: web.Request) -> web.StreamResponse:
    services = request.app[SERVICES]
    asked = parse_speech(await read_body(request), services.settings.max_task_characters)
    follows = bool(asked.instructions) and _follows_instructions(services.engine.capabilities)
    parameters = asked.parameters(instruct=follows)
    hosted = _hosted(services.settings)
    task = SpeechTask(parameters, asked.text, request[CALLER], services, "openai", hosted)
    headers = _headers(asked, follows)
    return await task.run(lambda: _answer(request, task, headers, asked.events))


async def voices(request: web.Request) -> web.Response:
    """The engine's own voices, the names that stand for voices, and the caller's references."""
    services = request.app[SERVICES]
    own = services.voices.built_in(_hosted(services.settings))
    listed = [*own, *await _cloned(request)]
    return json_response(voice_list((voice.id, voice.name) for voice in listed))


async def models_of_audio(request: web.Request) -> web.Response:
    return json_response(audio_models())


async def models(request: web.Request) -> web.Response:
    return json_response(model_list())


async def model(request: web.Request) -> web.Response:
    return json_response(model_object(check_model(request.match_info["id"])))


async def _cloned(request: web.Request) -> list[Voice]:
    """The voices of the caller's references; none where a list is open and there is no token."""
    services = request.app[SERVICES]
    caller = request.get(CALLER)
    if caller is None:
        if "Authorization" not in request.headers:
            return []
        caller = authenticate(request)
    return await services.voices.cloned(services.owner(caller), LIMIT_MAX)


def _hosted(settings: Settings) -> HostedVoices:
    return HostedVoices(
        HOSTED_VOICES,
        settings.openai_default_voice,
        dict(settings.openai_voices),
        "openai_voices and openai_default_voice",
    )


def _follows_instructions(engine: Capabilities) -> bool:
    return engine.instruct != "none" and Mode.NATURAL_LANGUAGE in engine.modes


def _headers(asked: OpenAISpeech, follows: bool) -> dict[str, str]:
    """What the answer says of a request that is not spoken just as it was asked for."""
    headers = {"Content-Type": asked.audio_format.content_type}
    if asked.events:
        headers["Content-Type"] = "text/event-stream; charset=utf-8"
    if asked.effective_speed != asked.speed:
        headers["X-Effective-Speed"] = f"{asked.effective_speed:g}"
    if asked.instructions and not follows:
        headers["X-Ignored-Parameters"] = "instructions"
    return headers


async def _answer(
    request: web.Request, task: SpeechTask, headers: dict[str, str], events: bool
) -> web.StreamResponse:
    """The sound as it is made, bare or in server-sent events."""
    answer = ChunkedAnswer(request, headers)
    if events:
        return await task.stream(answer, _events(task), lambda error: sse(error_event(error)))
    return await task.stream(answer, _sound(task))


async def _sound(task: SpeechTask) -> AsyncGenerator[bytes, None]:
    async with aclosing(task.chunks()) as chunks:
        async for chunk in chunks:
            yield chunk.data


async def _events(task: SpeechTask) -> AsyncGenerator[bytes, None]:
    async with aclosing(_sound(task)) as sound:
        async for data in sound:
            yield sse(audio_delta(data))
    account = task.account
    yield sse(audio_done(account.characters, account.speech_seconds))

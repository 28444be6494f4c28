"""The HTTP routes of the ElevenLabs dialect.

The voices of this dialect: `GET /v1/voices` and its kin.

ElevenLabs' HTTP API: `text-to-speech` and `voices`; its WebSockets are in ..dialects.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final

import orjson
from aiohttp import web

from cosyserve.protocol.breaks import without_breaks
from cosyserve.protocol.cosyvoice.rest import LIMIT_MAX
from cosyserve.protocol.elevenlabs.alignment import CharacterSpans, CharacterTimes, joined
from cosyserve.protocol.elevenlabs.parameters import HOSTED_VOICES
from cosyserve.protocol.elevenlabs.rest import (
    TextToSpeech,
    parse_speech,
    timed_speech,
    voice_list,
    voice_object,
    voice_page,
)
from cosyserve.protocol.fields import JsonObject
from cosyserve.protocol.text import TextLimits

from ..audio import sized
from ..http.answers import ChunkedAnswer
from ..http.envelope import CALLER, SERVICES, json_response
from ..http.task import SpeechTask, read_body
from ..voices.book import HostedVoices, Voice


async def voices(request: web.Request) -> web.Response:
    """The engine's own voices and the caller's references."""
    return json_response(voice_list(await _all(request)))


async def voices_page(request: web.Request) -> web.Response:
    """The same on one page; `search` keeps those that have it in their name."""
    search = request.query.get("search", "").casefold()
    found = [each for each in await _all(request) if search in each["name"].casefold()]
    return json_response(voice_page(found))


async def voice(request: web.Request) -> web.Response:
    services, wanted = request.app[SERVICES], request.match_info["voice_id"]
    for each in services.voices.built_in():
        if each.id == wanted:
            return json_response(_premade(each))
    owner = services.owner(request[CALLER])
    return json_response(_cloned(Voice.of(await services.store.get(owner, wanted))))


async def _all(request: web.Request) -> list[JsonObject]:
    voices, owner = request.app[SERVICES].voices, request.app[SERVICES].owner(request[CALLER])
    cloned = await voices.cloned(owner, LIMIT_MAX)
    return [*map(_premade, voices.built_in()), *map(_cloned, cloned)]


def _premade(voice: Voice) -> JsonObject:
    return voice_object(voice.id, voice.name, "premade", voice.gender)


def _cloned(voice: Voice) -> JsonObject:
    return voice_object(voice.id, voice.name, "cloned")


_TimedSound = tuple[bytes, CharacterSpans | None]
_Answer = Callable[[web.Request, SpeechTask, TextToSpeech], Awaitable[web.StreamResponse]]

_SPEECH: Final = "/v1/text-to-speech/{voice_id}"


def add_elevenlabs(app: web.Application) -> None:
    """Add the dialect to an application whose middleware is the REST envelope."""
    app.router.add_post(_SPEECH, _spoken(_sound))
    app.router.add_post(f"{_SPEECH}/stream", _spoken(_sound))
    app.router.add_post(f"{_SPEECH}/with-timestamps", _spoken(_timed_whole))
    app.router.add_post(f"{_SPEECH}/stream/with-timestamps", _spoken(_timed_stream))
    app.router.add_get("/v1/voices", voices)
    app.router.add_get("/v1/voices/{voice_id}", voice)
    app.router.add_get("/v2/voices", voices_page)


def _spoken(answer: _Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler that reads the call and answers it like this."""

    async def handler(request: web.Request) -> web.StreamResponse:
        services, caller = request.app[SERVICES], request[CALLER]
        most = services.settings.max_task_characters
        body = await read_body(request)
        voice_id = request.match_info["voice_id"]
        asked = parse_speech(voice_id, request.query, body, TextLimits(message=most, task=most))
        hosted = HostedVoices(HOSTED_VOICES, services.settings.elevenlabs_default_voice)
        task = SpeechTask(asked.parameters, asked.text, caller, services, "elevenlabs", hosted)
        return await task.run(lambda: answer(request, task, asked))

    return handler


async def _sound(request: web.Request, task: SpeechTask, asked: TextToSpeech) -> web.StreamResponse:
    """The sound itself, as it is made."""
    return await _streamed(request, task, asked, asked.content_type, lambda data, _: data)


async def _timed_stream(
    request: web.Request, task: SpeechTask, asked: TextToSpeech
) -> web.StreamResponse:
    """A JSON object on a line for each chunk, as it is made; times are those of the whole speech."""

    def line(data: bytes, found: CharacterSpans | None) -> bytes:
        return orjson.dumps(timed_speech(data, found)) + b"\n"

    return await _streamed(request, task, asked, "application/json", line)


async def _timed_whole(request: web.Request, task: SpeechTask, asked: TextToSpeech) -> web.Response:
    """All of the speech as one JSON object."""
    sound = bytearray()
    found = []
    async with aclosing(_timed(task, asked.text)) as chunks:
        async for data, characters in chunks:
            sound += data
            found.append(characters)
    whole = sized(bytes(sound), asked.options.output.audio_format)
    return json_response(timed_speech(whole, joined(found)))


async def _streamed(
    request: web.Request,
    task: SpeechTask,
    asked: TextToSpeech,
    content_type: str,
    written: Callable[[bytes, CharacterSpans | None], bytes],
) -> web.StreamResponse:
    headers = {"Content-Type": content_type}
    answer = ChunkedAnswer(request, headers)

    async def pieces() -> AsyncGenerator[bytes, None]:
        async with aclosing(_timed(task, asked.text)) as chunks:
            async for data, characters in chunks:
                yield written(data, characters)

    return await task.stream(answer, pieces())


async def _timed(task: SpeechTask, text: str) -> AsyncGenerator[_TimedSound, None]:
    """The speech with the characters that begin in each chunk; a last one may have only these."""
    times = CharacterTimes()
    times.feed(without_breaks(text))
    async with aclosing(task.chunks()) as chunks:
        async for chunk in chunks:
            yield chunk.data, times.take(chunk.words, task.account.speech_seconds)
    if rest := times.rest():
        yield b"", rest

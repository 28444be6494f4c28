"""The ElevenLabs dialect: two WebSockets that take text as it comes, `text-to-speech`, and `voices`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import orjson
import pybase64
from aiohttp import web
from websockets.frames import CloseCode

from cosyserve.protocol.breaks import without_breaks
from cosyserve.protocol.codec import DialectCodec
from cosyserve.protocol.cosyvoice.rest import LIMIT_MAX
from cosyserve.protocol.elevenlabs import (
    MultiStreamCodec,
    StreamCodec,
    StreamOptions,
    stream_options,
)
from cosyserve.protocol.elevenlabs.alignment import CharacterTimes, joined
from cosyserve.protocol.elevenlabs.parameters import HOSTED_VOICES
from cosyserve.protocol.elevenlabs.rest import (
    TextToSpeech,
    error_body,
    parse_speech,
    parse_voice_query,
    timed_speech,
    voice_list,
    voice_object,
    voice_page,
)
from cosyserve.protocol.errors import TTSError
from cosyserve.protocol.fields import JsonObject
from cosyserve.protocol.messages import ResultGenerated, Word

from ..http.bodies import read_body
from ..http.envelope import CALLER, SERVICES, json_response
from ..http.task import HttpTask, SpeechBody
from ..settings import Settings
from ..tasks.life import TaskLife
from ..voices.book import HostedVoices, Voice
from . import Dialect, HttpRoute, Terms, UpgradeTarget, WebSocketRoute, body_limits, text_limits

# WebSockets


def _stream_terms(target: UpgradeTarget, settings: Settings) -> Terms:
    """One text for each connection, which a failure therefore ends."""
    terms = _terms(StreamCodec, target, settings)
    return replace(terms, failure_closes=CloseCode.POLICY_VIOLATION)


def _multi_stream_terms(target: UpgradeTarget, settings: Settings) -> Terms:
    return _terms(MultiStreamCodec, target, settings)


def _terms(
    codec: Callable[[StreamOptions], DialectCodec], target: UpgradeTarget, settings: Settings
) -> Terms:
    options = stream_options(target.parts["voice_id"], target.query)
    idle = settings.idle_connection_timeout
    idle = None if idle is None else max(idle, options.inactivity_timeout)
    return Terms(
        codec=codec(options),
        limits=text_limits(settings),
        text_timeout=options.inactivity_timeout,
        first_timeout=idle,
        idle_timeout=idle,
    )


# Speech over HTTP


async def sound(request: web.Request) -> web.StreamResponse:
    """Answer with the sound itself, while it is made."""
    asked, task = await _asked(request)
    return await task.stream({"Content-Type": asked.content_type}, SpeechBody())


async def timed_stream(request: web.Request) -> web.StreamResponse:
    """Answer with a JSON object on a line for each chunk, while it is made."""
    asked, task = await _asked(request)
    return await task.stream({"Content-Type": "application/json"}, _TimedLines(asked.text))


async def timed_whole(request: web.Request) -> web.StreamResponse:
    """Answer with all of the speech as one JSON object."""
    asked, task = await _asked(request)
    return await task.whole(_TimedObject(asked.text))


async def _asked(request: web.Request) -> tuple[TextToSpeech, HttpTask]:
    limits = body_limits(request.app[SERVICES].settings)
    body = await read_body(request)
    asked = parse_speech(request.match_info["voice_id"], request.query, body, limits)
    return asked, HttpTask(request, asked.parameters, asked.text, asked.options.model)


class _TimedObject:
    """The whole speech with when each of its characters is heard."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._heard: list[tuple[tuple[Word, ...], float]] = []
        """Each chunk's words and end: a long text's characters are placed on the document's thread."""

    def chunk(self, event: ResultGenerated) -> None:
        self._heard.append((event.words, _end(event)))

    def document(self, sound: str, size: int, notices: Sequence[str]) -> JsonObject:
        times = _times_of(self._text)
        found = [times.take(words, end) for words, end in self._heard]
        return timed_speech(sound, joined([*found, times.remainder()]))


class _TimedLines(SpeechBody):
    """Each chunk with the characters that begin in it; times are those of the whole speech."""

    def __init__(self, text: str) -> None:
        self._times = _times_of(text)

    def chunk(self, event: ResultGenerated) -> bytes:
        sound = pybase64.b64encode_as_string(event.data)
        return _line(timed_speech(sound, self._times.take(event.words, _end(event))))

    def end(self, life: TaskLife) -> bytes:
        remainder = self._times.remainder()
        return b"" if remainder is None else _line(timed_speech("", remainder))


def _times_of(text: str) -> CharacterTimes:
    times = CharacterTimes()
    times.feed(without_breaks(text))
    return times


def _end(event: ResultGenerated) -> float:
    """When the event's sound ends, in seconds of the whole speech."""
    return event.begin + event.metrics.speech_len


def _line(body: JsonObject) -> bytes:
    return orjson.dumps(body) + b"\n"


# Voices


async def voices(request: web.Request) -> web.Response:
    """The engine's own voices and the caller's newest references."""
    return json_response(voice_list(await _all(request)))


async def voices_page(request: web.Request) -> web.Response:
    """The same page by page; `search` keeps those that have it in their name."""
    query = parse_voice_query(request.query)
    return json_response(voice_page(await _all(request), query))


async def voice(request: web.Request) -> web.Response:
    services, wanted = request.app[SERVICES], request.match_info["voice_id"]
    for each in services.voices.built_in():
        if each.id == wanted:
            return json_response(_premade(each))
    owner = services.owner(request[CALLER])
    return json_response(_cloned(Voice.of(await services.store.get(owner, wanted))))


async def _all(request: web.Request) -> list[JsonObject]:
    services = request.app[SERVICES]
    cloned = await services.voices.cloned(services.owner(request[CALLER]), LIMIT_MAX)
    return [*map(_premade, services.voices.built_in()), *map(_cloned, cloned)]


def _premade(voice: Voice) -> JsonObject:
    return voice_object(voice.id, voice.name, "premade", voice.gender)


def _cloned(voice: Voice) -> JsonObject:
    return voice_object(voice.id, voice.name, "cloned")


def _hosted_voices(settings: Settings) -> HostedVoices:
    return HostedVoices(HOSTED_VOICES, settings.elevenlabs_default_voice)


def _error_body(error: TTSError, request_id: str) -> JsonObject:
    return error_body(error)


_SPEECH: Final = "/v1/text-to-speech/{voice_id}"

ELEVENLABS: Final = Dialect(
    name="elevenlabs",
    error_body=_error_body,
    websockets=(
        WebSocketRoute(f"{_SPEECH}/stream-input", _stream_terms),
        WebSocketRoute(f"{_SPEECH}/multi-stream-input", _multi_stream_terms),
    ),
    http=(
        HttpRoute("POST", _SPEECH, sound),
        HttpRoute("POST", f"{_SPEECH}/stream", sound),
        HttpRoute("POST", f"{_SPEECH}/with-timestamps", timed_whole),
        HttpRoute("POST", f"{_SPEECH}/stream/with-timestamps", timed_stream),
        HttpRoute("GET", "/v1/voices", voices),
        HttpRoute("GET", "/v1/voices/{voice_id}", voice),
        HttpRoute("GET", "/v2/voices", voices_page),
    ),
    http_prefixes=("/v1/text-to-speech", "/v1/voices", "/v2/voices"),
    token_header="xi-api-key",
    hosted_voices=_hosted_voices,
)

"""The vLLM-Omni dialect: a WebSocket that takes text as it comes, and batches, beside OpenAI's API."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from cosyserve.protocol.errors import TTSError
from cosyserve.protocol.fields import JsonObject
from cosyserve.protocol.openai import error_body
from cosyserve.protocol.vllm_omni import VllmOmniCodec
from cosyserve.protocol.vllm_omni.batch import parse_batch
from cosyserve.protocol.vllm_omni.parameters import HOSTED_VOICES

from ..http.batch import BatchAnswer
from ..http.bodies import read_body
from ..http.envelope import SERVICES
from ..settings import Settings
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

STREAM_PATH: Final = "/v1/audio/speech/stream"
BATCH_PATH: Final = "/v1/audio/speech/batch"


def _terms(target: UpgradeTarget, settings: Settings) -> Terms:
    return Terms(
        codec=VllmOmniCodec(),
        limits=text_limits(settings),
        text_timeout=settings.idle_text_timeout,
        first_timeout=settings.idle_connection_timeout,
        idle_timeout=settings.idle_connection_timeout,
        in_turn=True,  # sound comes in frames that do not say whose it is
    )


async def batch(request: web.Request) -> web.Response:
    """Speak several texts, one after another; what fails in one leaves the others alone."""
    settings = request.app[SERVICES].settings
    body = await read_body(request)
    items = parse_batch(body, settings.max_batch_items, body_limits(settings))
    return await BatchAnswer(request).response(items)


def _hosted_voices(settings: Settings) -> HostedVoices:
    return HostedVoices(
        HOSTED_VOICES,
        settings.vllm_omni_default_voice,
        settings="vllm_omni_default_voice",
    )


def _error_body(error: TTSError, request_id: str) -> JsonObject:
    return error_body(error)


VLLM_OMNI: Final = Dialect(
    name="vllm_omni",
    error_body=_error_body,
    websockets=(WebSocketRoute(STREAM_PATH, _terms),),
    http=(HttpRoute("POST", BATCH_PATH, batch),),
    http_prefixes=(STREAM_PATH, BATCH_PATH),
    hosted_voices=_hosted_voices,
)

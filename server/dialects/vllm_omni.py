"""The vLLM-Omni dialect: a WebSocket that takes text as it comes, beside OpenAI's API."""

from __future__ import annotations

from typing import Final

from cosyserve.protocol.errors import TTSError
from cosyserve.protocol.fields import JsonObject
from cosyserve.protocol.openai import error_body
from cosyserve.protocol.vllm_omni import VllmOmniCodec
from cosyserve.protocol.vllm_omni.parameters import HOSTED_VOICES

from ..settings import Settings
from ..voices.book import HostedVoices
from . import Dialect, Terms, UpgradeTarget, WebSocketRoute, text_limits

STREAM_PATH: Final = "/v1/audio/speech/stream"


def _terms(target: UpgradeTarget, settings: Settings) -> Terms:
    return Terms(
        codec=VllmOmniCodec(),
        limits=text_limits(settings),
        text_timeout=settings.idle_text_timeout,
        first_timeout=settings.idle_connection_timeout,
        idle_timeout=settings.idle_connection_timeout,
        in_turn=True,  # sound comes in frames that do not say whose it is
    )


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
    http_prefixes=(STREAM_PATH,),
    hosted_voices=_hosted_voices,
)

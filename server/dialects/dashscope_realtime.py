"""The dialect of DashScope's realtime speech: a WebSocket that takes text as it comes or in whole turns."""

from __future__ import annotations

import uuid
from typing import Final

from cosyserve.protocol.dashscope.rest import error_body
from cosyserve.protocol.dashscope_realtime import RealtimeCodec
from cosyserve.protocol.dashscope_realtime.parameters import HOSTED_VOICES, check_model

from ..settings import Settings
from ..voices.book import HostedVoices
from . import ClientSilence, Dialect, Terms, UpgradeTarget, WebSocketRoute, text_limits

REALTIME_PATH: Final = "/api-ws/v1/realtime"


def _terms(target: UpgradeTarget, settings: Settings) -> Terms:
    limits = text_limits(settings)
    codec = RealtimeCodec(check_model(target.query.get("model")), limits, lambda: str(uuid.uuid4()))
    return Terms(
        codec=codec,
        limits=limits,
        text_timeout=settings.idle_text_timeout,
        first_timeout=settings.idle_connection_timeout,
        idle_timeout=settings.idle_connection_timeout,
        in_turn=True,  # clients play the sound in the order in which it comes
        greeting=(codec.greeting,),
        silence=ClientSilence(settings.dashscope_realtime_pause, codec.pause),
    )


def _hosted_voices(settings: Settings) -> HostedVoices:
    return HostedVoices(
        HOSTED_VOICES, settings.dashscope_default_voice, settings="dashscope_default_voice"
    )


DASHSCOPE_REALTIME: Final = Dialect(
    name="dashscope_realtime",
    error_body=error_body,
    websockets=(WebSocketRoute(REALTIME_PATH, _terms),),
    http_prefixes=(REALTIME_PATH,),
    hosted_voices=_hosted_voices,
)

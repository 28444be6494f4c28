"""The DashScope dialect: the hosted service's own WebSocket, as its SDK speaks it."""

from __future__ import annotations

import re
import uuid
from typing import Final

from websockets.frames import CloseCode

from cosyserve.protocol.cosyvoice.rest import error_body
from cosyserve.protocol.dashscope import DashScopeCodec

from ..settings import Settings
from ..voices.book import HostedVoices
from . import Dialect, Terms, UpgradeTarget, WebSocketRoute, text_limits

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


def _hosted_voices(settings: Settings) -> HostedVoices:
    return HostedVoices(_VOICES, settings.dashscope_default_voice)


DASHSCOPE: Final = Dialect(
    name="dashscope",
    error_body=error_body,
    websockets=(WebSocketRoute("/api-ws/v1/inference", _terms),),
    hosted_voices=_hosted_voices,
)

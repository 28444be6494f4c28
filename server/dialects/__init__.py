"""Which API a WebSocket path speaks, and what its clients expect of a connection.

A dialect is a codec and some terms; the tasks, their speakers and their limits are the same for all.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from websockets.frames import CloseCode

from cosyserve.protocol.codec import DialectCodec
from cosyserve.protocol.cosyvoice.codec import CosyVoiceCodec
from cosyserve.protocol.dashscope import DashScopeCodec
from cosyserve.protocol.elevenlabs import (
    MultiStreamCodec,
    StreamCodec,
    StreamOptions,
    stream_options,
)
from cosyserve.protocol.elevenlabs.parameters import HOSTED_VOICES
from cosyserve.protocol.errors import InvalidParameter
from cosyserve.protocol.text import TextLimits

from ..observe.metrics import Transport
from ..port.request_target import tidy_target
from ..settings import Settings
from ..voices.book import HostedVoices

SPEECH_PATH: Final = "/api-ws/v1/audio/speech"
_DASHSCOPE_VOICES: Final = re.compile(r"loo?ng[a-z]+([_-][a-z0-9]+)*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds on one connection. Times are seconds, None is for ever.

    codec: this connection's own. text_timeout: a task without new text fails after this.
    first_timeout: until the first task begins; idle_timeout: between tasks.
    one_at_a_time: a run-task takes the place of the task that runs.
    failure_closes: the code that the connection closes with after a task-failed; None: it stays.
    hosted: the voices of the service that the dialect is of.
    """

    codec: DialectCodec
    limits: TextLimits
    text_timeout: float
    first_timeout: float | None
    idle_timeout: float | None
    one_at_a_time: bool = False
    failure_closes: int | None = None
    hosted: HostedVoices | None = None


@dataclass(frozen=True, slots=True)
class UpgradeTarget:
    """Where an upgrade goes to: `parts` are the path's named parts, percent-decoded."""

    parts: Mapping[str, str]
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One API. path: matches the whole tidied path; its groups are UpgradeTarget.parts.

    open: the terms of a new connection; raises TTSError, which refuses the upgrade.
    token_header: where a token may stand besides Authorization.
    """

    name: Transport
    path: re.Pattern[str]
    open: Callable[[UpgradeTarget, Settings], Terms]
    token_header: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """A dialect with the address that was asked for."""

    dialect: Dialect
    address: UpgradeTarget


def find_route(target: str, dialects: tuple[Dialect, ...]) -> Route | None:
    """The dialect of a request's target, None if no dialect has such a path.

    Raises InvalidParameter if the query has too many fields to be anybody's.
    """
    try:
        url = urlsplit(tidy_target(target))
    except ValueError:  # a broken host in it
        return None
    for dialect in dialects:
        if match := dialect.path.fullmatch(url.path):
            parts = {name: unquote(part) for name, part in match.groupdict().items()}
            try:
                query = dict(parse_qsl(url.query, keep_blank_values=True, max_num_fields=100))
            except ValueError:
                raise InvalidParameter("the query has over 100 fields") from None
            return Route(dialect, UpgradeTarget(parts, query))
    return None


def _limits(settings: Settings) -> TextLimits:
    return TextLimits(settings.max_message_characters, settings.max_task_characters)


def _own_terms(address: UpgradeTarget, settings: Settings) -> Terms:
    return Terms(
        codec=CosyVoiceCodec(),
        limits=_limits(settings),
        text_timeout=settings.idle_text_timeout,
        first_timeout=settings.idle_connection_timeout,
        idle_timeout=settings.idle_connection_timeout,
    )


OWN: Final = Dialect("websocket", re.compile(re.escape(SPEECH_PATH)), _own_terms)


def _dashscope_terms(address: UpgradeTarget, settings: Settings) -> Terms:
    idle = settings.idle_connection_timeout
    return Terms(
        codec=DashScopeCodec(settings.dashscope_text_timeout, lambda: str(uuid.uuid4())),
        limits=_limits(settings),
        text_timeout=settings.dashscope_text_timeout,
        # Pools connect long before they speak.
        first_timeout=None if idle is None else max(idle, settings.dashscope_idle_timeout),
        idle_timeout=settings.dashscope_idle_timeout,
        one_at_a_time=True,
        failure_closes=CloseCode.NORMAL_CLOSURE,
        hosted=HostedVoices(_DASHSCOPE_VOICES, settings.dashscope_default_voice),
    )


DASHSCOPE: Final = Dialect("dashscope", re.compile("/api-ws/v1/inference"), _dashscope_terms)


def _elevenlabs_terms(
    codec: Callable[[StreamOptions], DialectCodec], address: UpgradeTarget, settings: Settings
) -> Terms:
    options = stream_options(address.parts["voice"], address.query)
    idle = settings.idle_connection_timeout
    idle = None if idle is None else max(idle, options.inactivity_timeout)
    return Terms(
        codec=codec(options),
        limits=_limits(settings),
        text_timeout=options.inactivity_timeout,
        first_timeout=idle,
        idle_timeout=idle,
        hosted=HostedVoices(HOSTED_VOICES, settings.elevenlabs_default_voice),
    )


def _stream_terms(address: UpgradeTarget, settings: Settings) -> Terms:
    terms = _elevenlabs_terms(StreamCodec, address, settings)
    return replace(terms, failure_closes=CloseCode.POLICY_VIOLATION)


def _multi_stream_terms(address: UpgradeTarget, settings: Settings) -> Terms:
    return _elevenlabs_terms(MultiStreamCodec, address, settings)


_SPEECH: Final = "/v1/text-to-speech/(?P<voice>[^/]+)"
_KEY: Final = "xi-api-key"
STREAM: Final = Dialect("elevenlabs", re.compile(f"{_SPEECH}/stream-input"), _stream_terms, _KEY)
MULTI_STREAM: Final = Dialect(
    "elevenlabs", re.compile(f"{_SPEECH}/multi-stream-input"), _multi_stream_terms, _KEY
)

DIALECTS: Final = (OWN, DASHSCOPE, STREAM, MULTI_STREAM)

"""What a dialect is: one API that clients speak, as one value. `served.py` lists those of this server.

A dialect's messages and bodies are in `protocol/`, free of I/O; its value stands in a file here: its
addresses, the terms of a connection, its voices' names, its errors. The rest of the server is the same
for all dialects: the life of a task, its limits, its metrics.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from aiohttp import web

from cosyserve.protocol.codec import DialectCodec, Frame
from cosyserve.protocol.errors import InvalidParameter, TTSError
from cosyserve.protocol.fields import JsonObject
from cosyserve.protocol.messages import Command
from cosyserve.protocol.text import TextLimits

from ..port.request_target import tidy_target
from ..settings import Settings
from ..voices.book import HostedVoices

MOST_QUERY_FIELDS: Final = 100

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class ClientSilence:
    """What a client's silence means. After so many seconds without a message, the connection obeys
    `command()`, if it is one, as though the client had sent it; once until the next message.
    """

    seconds: float
    command: Callable[[], Command | None]


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds on one WebSocket connection. Times are seconds, None is for ever.

    codec: this connection's own. text_timeout: a task without new text fails after this.
    first_timeout: until the first task begins; idle_timeout: between tasks.
    one_at_a_time: a run-task replaces the task that runs. in_turn: tasks speak one after another, in the
    order in which they began.
    failure_closes: the code to close the connection with after a task-failed; None keeps it open.
    greeting: what is sent before the first message is read. silence: None if it means nothing.
    """

    codec: DialectCodec
    limits: TextLimits
    text_timeout: float
    first_timeout: float | None
    idle_timeout: float | None
    one_at_a_time: bool = False
    in_turn: bool = False
    failure_closes: int | None = None
    greeting: Sequence[Frame] = ()
    silence: ClientSilence | None = None


@dataclass(frozen=True, slots=True)
class UpgradeTarget:
    """The address of an upgrade: `parts` are the path's named parts, percent-decoded."""

    parts: Mapping[str, str]
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WebSocketRoute:
    """A path of WebSockets: `{name}` in it stands for one segment, `UpgradeTarget.parts[name]`.

    open: the terms of a new connection; raises TTSError, which refuses the upgrade.
    """

    path: str
    open: Callable[[UpgradeTarget, Settings], Terms]

    def match(self, path: str) -> Mapping[str, str] | None:
        """The named parts of a path that is this one, None if it is another."""
        match = _pattern(self.path).fullmatch(path)
        return match and {name: unquote(part) for name, part in match.groupdict().items()}


def _nobody(settings: Settings) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """A method and a path, as aiohttp's router takes them. GET answers HEAD as well.

    is_open: whether anybody may ask, without a token; such requests are not logged.
    """

    method: str
    path: str
    handler: Handler
    is_open: Callable[[Settings], bool] = _nobody


def _no_voices(settings: Settings) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Dialect:
    """One API.

    name: also its value of the metrics' label `transport`. labels: where its WebSockets and its HTTP
    requests have different values of that label, in this order.
    error_body: the JSON that answers a failed HTTP request, from the error and the request's id.
    http_prefixes: paths below which all HTTP requests are this dialect's, also where there is no route;
    the longest that fits counts.
    token_header: a header that may carry the token in place of Authorization.
    hosted_voices: the names of the voices of the service whose API this is.
    """

    name: str
    error_body: Callable[[TTSError, str], JsonObject]
    websockets: Sequence[WebSocketRoute] = ()
    http: Sequence[HttpRoute] = ()
    http_prefixes: tuple[str, ...] = ()
    token_header: str | None = None
    hosted_voices: Callable[[Settings], HostedVoices | None] = _no_voices
    labels: tuple[str, str] | None = None

    @property
    def websocket_label(self) -> str:
        return self.labels[0] if self.labels else self.name

    @property
    def http_label(self) -> str:
        return self.labels[1] if self.labels else self.name


@dataclass(frozen=True, slots=True)
class UpgradeRoute:
    """The dialect and the route of an upgrade, with the address that was asked for."""

    dialect: Dialect
    route: WebSocketRoute
    target: UpgradeTarget

    def open(self, settings: Settings) -> Terms:
        """The terms of a new connection. Raises TTSError, which refuses the upgrade."""
        return self.route.open(self.target, settings)


def find_route(target: str, dialects: Iterable[Dialect]) -> UpgradeRoute | None:
    """Where an upgrade to a request's target goes, None if no dialect has such a path.

    Raises InvalidParameter if the query has more fields than any dialect reads.
    """
    try:
        url = urlsplit(tidy_target(target))
    except ValueError:  # a broken host in it
        return None
    for dialect in dialects:
        for route in dialect.websockets:
            if (parts := route.match(url.path)) is None:
                continue
            try:
                fields = parse_qsl(
                    url.query, keep_blank_values=True, max_num_fields=MOST_QUERY_FIELDS
                )
            except ValueError:
                message = f"the query has over {MOST_QUERY_FIELDS} fields"
                raise InvalidParameter(message) from None
            return UpgradeRoute(dialect, route, UpgradeTarget(parts, dict(fields)))
    return None


def dialect_of(path: str, dialects: Sequence[Dialect]) -> Dialect:
    """The dialect whose clients ask for this path, whether or not it has a route there.

    A path below nobody's prefixes is the first dialect's.
    """
    fitting = (
        (len(prefix), dialect)
        for dialect in dialects
        for prefix in dialect.http_prefixes
        if path == prefix or path.startswith(f"{prefix}/")
    )
    return max(fitting, key=lambda each: each[0], default=(0, dialects[0]))[1]


def labels_of(dialects: Iterable[Dialect]) -> tuple[str, ...]:
    """Every value of the metrics' label `transport`."""
    both = ((each.websocket_label, each.http_label) for each in dialects)
    return tuple(dict.fromkeys(label for labels in both for label in labels))


def text_limits(settings: Settings) -> TextLimits:
    """The characters that a WebSocket's messages and tasks may have."""
    return TextLimits(settings.max_message_characters, settings.max_task_characters)


def body_limits(settings: Settings) -> TextLimits:
    """The characters that the text of an HTTP request may have: a whole task's."""
    return TextLimits(settings.max_task_characters, settings.max_task_characters)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)))

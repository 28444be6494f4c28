"""The WebSocket handshake: which upgrades are accepted, whose they are, and how one is refused."""

from __future__ import annotations

import http
import uuid
from collections.abc import Sequence
from typing import Final

import orjson
import structlog
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from cosyserve.protocol.cosyvoice.rest import error_body
from cosyserve.protocol.errors import (
    InternalError,
    InvalidParameter,
    RouteNotFound,
    TTSError,
    Unauthorized,
)
from cosyserve.protocol.fields import JsonObject

from ..auth import SUBPROTOCOL, Caller, token_headers
from ..dialects import Dialect, UpgradeRoute, dialect_of, find_route
from ..dialects.cosyvoice import SPEECH_PATH
from ..errors import error_headers
from ..http.envelope import SERVER
from ..port.cross_origin import CrossOrigin
from ..port.heads import rough_origins, rough_target
from ..services import Services

log = structlog.get_logger(__name__)

_JSON: Final = "application/json"


class Handshake:
    """Decides which upgrades are accepted, and whose they are."""

    def __init__(self, services: Services, dialects: Sequence[Dialect]) -> None:
        self._services = services
        self._dialects = dialects

    def check(self, socket: ServerConnection, request: Request) -> Response | None:
        """`process_request` of the server: None to go on, else the refusal."""
        try:
            route = self.route(request)
            caller = self.caller(request, route)
            if caller is None:
                raise Unauthorized("a valid token is needed")
            route.open(self._services.settings)
            self._services.admission.connect(caller).release()
            self._services.sockets.know(socket)
        except TTSError as error:
            return refusal(error)
        return None

    def route(self, request: Request) -> UpgradeRoute:
        """The dialect that is asked for. Raises RouteNotFound, InvalidParameter."""
        route = find_route(request.path, self._dialects)
        if route is None:
            raise RouteNotFound(f"no WebSocket at this path; use {SPEECH_PATH}")
        return route

    def caller(self, request: Request, route: UpgradeRoute) -> Caller | None:
        """Who asks: by the Authorization header or the dialect's own, or, for browsers, by a subprotocol."""
        authenticator = self._services.authenticator
        tokens = token_headers(request.headers.get_all, route.dialect.token_header)
        if not tokens:
            offers = ",".join(request.headers.get_all("Sec-WebSocket-Protocol")).split(",")
            if caller := authenticator.by_subprotocols([offer.strip() for offer in offers]):
                return caller
        return authenticator.by_headers(tokens)


def select_subprotocol(
    socket: ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    """Ours if it is offered: the token that came as another one is never echoed."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def reworded_refusal(
    socket: ServerConnection, request: Request, response: Response
) -> Response | None:
    """`process_response` of the server: a refusal by the library itself gets a body like any other."""
    if response.status_code < 400 or response.headers.get("Content-Type") == _JSON:
        return None
    error: TTSError = InternalError("internal error")
    if response.status_code < 500:
        error = InvalidParameter("this is no WebSocket handshake of RFC 6455")
    log.info("request_refused", code=error.code, reason=error.message)
    reworded = refusal(error)
    reworded.status_code, reworded.reason_phrase = response.status_code, response.reason_phrase
    for name in ("Allow", "Upgrade", "Server"):
        if name in response.headers:
            reworded.headers[name] = response.headers[name]
    return reworded


def refusal(error: TTSError) -> Response:
    """An HTTP answer to an upgrade. Its body is the native dialect's: libraries show clients the status."""
    return _answer(error, error_body(error, str(uuid.uuid4())))


def head_refusal(
    dialects: Sequence[Dialect], cross_origin: CrossOrigin, head: bytes, error: TTSError
) -> bytes:
    """The answer to a head that is refused before it is known whether it is an upgrade; logs it."""
    request_id = str(uuid.uuid4())
    log.info("request_refused", request_id=request_id, code=error.code, reason=error.message)
    dialect = dialect_of(rough_target(head).partition("?")[0], dialects)
    response = _answer(error, dialect.error_body(error, request_id))
    response.headers["X-Request-Id"] = request_id
    response.headers["Server"] = SERVER
    response.headers.update(cross_origin.headers(rough_origins(head)))
    return response.serialize()


def _answer(error: TTSError, body: JsonObject) -> Response:
    status, data = http.HTTPStatus(error.status), orjson.dumps(body)
    headers = Headers(
        [
            ("Content-Type", _JSON),
            ("Content-Length", str(len(data))),
            ("Connection", "close"),
            *error_headers(error).items(),
        ]
    )
    return Response(status, status.phrase, headers, data)

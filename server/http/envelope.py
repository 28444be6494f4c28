"""What wraps every HTTP request: its id, its dialect, its caller, and its dialect's shape of errors."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

import orjson
import structlog
from aiohttp import web

from cosyserve.protocol.errors import (
    EngineUnavailable,
    InvalidParameter,
    MethodNotAllowed,
    RequestTimeout,
    RouteNotFound,
    TTSError,
    Unauthorized,
)
from cosyserve.protocol.fields import JsonObject
from cosyserve.version import VERSION

from ..auth import Caller, token_headers
from ..dialects import Dialect, Handler, dialect_of
from ..errors import as_tts_error, error_headers, must_propagate
from ..observe.logs import log_ids
from ..port.cross_origin import CrossOrigin
from ..services import Services
from .sending import DELIVERY, UNTIL_SENT, CutOff, cut_off, part, send

log = structlog.get_logger(__name__)

SERVICES: Final = web.AppKey("services", Services)
DIALECTS: Final = web.AppKey("dialects", Sequence[Dialect])
CROSS_ORIGIN: Final = web.AppKey("cross_origin", CrossOrigin)
DIALECT: Final = web.RequestKey("dialect", Dialect)
CALLER: Final = web.RequestKey("caller", Caller)
REQUEST_ID: Final = web.RequestKey("request_id", str)
SERVER: Final = f"cosyserve/{VERSION}"
OPEN_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
FILES: Final = web.AppKey("files", set[str])
"""Paths of static files and the like; as OPEN_PATHS they need no token and are not logged."""


def json_response(body: JsonObject | list[JsonObject], status: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.Response(
        body=orjson.dumps(body), status=status, content_type="application/json", charset="utf-8"
    )


def error_response(error: TTSError, request: web.Request) -> web.Response:
    """The answer for an error: the same body on every route of a dialect."""
    body = request[DIALECT].error_body(error, request[REQUEST_ID])
    response = json_response(body, error.status)
    response.headers.update(error_headers(error))
    return response


@web.middleware
async def envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Outermost: gives the request its id and its dialect, finds the caller, answers every failure."""
    request_id = str(uuid.uuid4())
    request[REQUEST_ID] = request_id
    services = request.app[SERVICES]
    dialect = request[DIALECT] = dialect_of(request.path, request.app[DIALECTS])
    began = time.monotonic()
    if (transport := request.transport) is None:
        raise asyncio.CancelledError
    with (
        log_ids(request_id=request_id),
        services.deliveries.answer(transport) as delivery,
        ExitStack() as until_sent,
    ):
        request[DELIVERY], request[UNTIL_SENT] = delivery, until_sent
        with services.metrics.connection(dialect.http_label):
            response = await _answer(request, handler)
            if not _is_open(request):
                log.info(
                    "request_ended",
                    method=request.method,
                    path=request.rel_url.raw_path[:200],
                    status=response.status,
                    seconds=round(time.monotonic() - began, 4),
                )
        if not response.prepared:
            response.headers["X-Request-Id"] = request_id
            response.headers["Server"] = SERVER
            response.force_close()  # see server/port/connections.py
        await send(request, response)
    await part(request, services.settings.close_timeout)
    return response


async def tell_quota(request: web.Request, response: web.StreamResponse) -> None:
    """Give an answer, before its head is sent, the headers that tell what its token may still have today."""
    if (caller := request.get(CALLER)) is not None:
        response.headers.update(request.app[SERVICES].quotas.headers(caller.name))


async def let_pages_read(request: web.Request, response: web.StreamResponse) -> None:
    """Give an answer, before its head is sent, the headers that let pages of other origins read it."""
    headers = request.app[CROSS_ORIGIN].headers(request.headers.getall("Origin", []))
    for name, value in headers.items():
        if name == "Vary" and name in response.headers:
            value = f"{response.headers[name]}, {value}"
        response.headers[name] = value


def _preflight(request: web.Request) -> web.Response | None:
    """The answer to a browser that asks for a page whether it may send a request; it sends no token."""
    if request.method != "OPTIONS":
        return None
    headers = request.app[CROSS_ORIGIN].preflight(
        *(
            request.headers.getall(name, [])
            for name in (
                "Origin",
                "Access-Control-Request-Method",
                "Access-Control-Request-Headers",
            )
        )
    )
    return None if headers is None else web.Response(status=204, headers=headers)


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    if (preflight := _preflight(request)) is not None:
        return preflight
    try:
        if not _is_open(request):
            request[CALLER] = authenticate(request)
            if request.transport is not None:
                request.app[SERVICES].sockets.know(request.transport.get_protocol())
        return await handler(request)
    except web.HTTPException as refused:
        if refused.status < 400:
            raise
        response = error_response(_as_error(refused, request), request)
        if isinstance(refused, web.HTTPMethodNotAllowed):
            response.headers["Allow"] = refused.headers["Allow"]
        return response
    except CutOff:
        await cut_off(request)
        raise asyncio.CancelledError from None
    except asyncio.CancelledError as error:
        if must_propagate(error):
            raise
        # So aiohttp ends the wait for a body when the server shuts down.
        return error_response(EngineUnavailable("the server is shutting down"), request)
    except Exception as error:
        if isinstance(error, ConnectionResetError) and _is_gone(request):
            # There is nobody to answer. Where aiohttp sees that first, it ends the request like this; any
            # other exception it would log as a fault of the server.
            raise asyncio.CancelledError from None
        return error_response(as_tts_error(error), request)


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _is_open(request: web.Request) -> bool:
    if request.path in OPEN_PATHS or request.path in request.app[FILES]:
        return True
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical in request.app[FILES]


def authenticate(request: web.Request) -> Caller:
    """Whose token the request carries. Raises Unauthorized."""
    tokens = token_headers(
        lambda name: request.headers.getall(name, []), request[DIALECT].token_header
    )
    caller = request.app[SERVICES].authenticator.by_headers(tokens)
    if caller is None:
        raise Unauthorized("a valid token is needed: Authorization: Bearer TOKEN")
    return caller


def _as_error(refused: web.HTTPException, request: web.Request) -> TTSError:
    match refused:
        case web.HTTPNotFound():
            return RouteNotFound(f"no route at {request.path[:200]}")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(refused.allowed_methods))
            return MethodNotAllowed(f"{refused.method} is not allowed here; allowed: {allowed}")
        case web.HTTPRequestTimeout():
            return RequestTimeout("the body did not come in time")
        case _:
            return InvalidParameter(refused.reason or "the request cannot be understood")

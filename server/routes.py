"""The HTTP side of the port, an aiohttp application: the dialects' routes and the server's own."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from .dialects import Dialect, Handler
from .http import probes
from .http.bodies import body_is_asked_for_later
from .http.envelope import (
    CROSS_ORIGIN,
    DIALECTS,
    FILES,
    SERVICES,
    envelope,
    let_pages_read,
    tell_quota,
)
from .page.assets import add_docs, add_page
from .port.cross_origin import CrossOrigin
from .services import Services


def build_app(services: Services, dialects: Sequence[Dialect]) -> web.Application:
    """All routes."""
    settings = services.settings
    app = web.Application(middlewares=[envelope])
    app[SERVICES] = services
    app[DIALECTS] = dialects
    app[CROSS_ORIGIN] = CrossOrigin(settings.allowed_origins)
    app.on_response_prepare.append(let_pages_read)
    app.on_response_prepare.append(tell_quota)
    app[FILES] = set(add_docs(app))
    if settings.page:
        app[FILES] |= add_page(app, needs_token=bool(settings.tokens))
    for dialect in dialects:
        for route in dialect.http:
            app.router.add_route(
                route.method, route.path, route.handler, expect_handler=body_is_asked_for_later
            )
            if route.method == "GET":
                app.router.add_route("HEAD", route.path, route.handler)
            if route.is_open(settings):
                app[FILES].add(route.path)
    app.router.add_get("/healthz", probes.healthz)
    app.router.add_get("/readyz", probes.readyz)
    app.router.add_get("/version", probes.version)
    if settings.metrics_address is None:
        app.router.add_get("/metrics", probes.metrics)
    return app


def build_metrics_app(services: Services) -> web.Application:
    """Only the metrics, for an address of their own. Doubled and trailing slashes do not count."""
    app = web.Application(middlewares=[_one_answer])
    app[SERVICES] = services
    app.router.add_get("/{before:/*}metrics{after:/*}", probes.metrics)
    return app


@web.middleware
async def _one_answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Close the connection after the first answer: see server/port/connections.py."""
    try:
        response = await handler(request)
    except web.HTTPException as refused:
        refused.force_close()
        raise
    response.force_close()
    return response

"""The REST side of the port, an aiohttp application."""

from __future__ import annotations

from typing import NoReturn

from aiohttp import web

from cosyserve.protocol.errors import InvalidParameter

from .dialects import SPEECH_PATH, references
from .dialects.cosyvoice import speech
from .dialects.elevenlabs import add_elevenlabs
from .dialects.openai import add_openai
from .http import probes as operations
from .http.envelope import FILES, SERVICES, envelope
from .page.assets import add_docs, add_page
from .services import Services


def build_app(services: Services) -> web.Application:
    """All routes; uploads have their own limit, every other body that of a message."""
    most = services.settings.max_message_bytes
    app = web.Application(middlewares=[envelope], client_max_size=most)
    app[SERVICES] = services
    app[FILES] = set(add_docs(app))
    if services.settings.page:
        app[FILES] |= add_page(app, needs_token=bool(services.settings.tokens))
    clips = "/api/v1/audio/reference_audio"
    app.router.add_post(clips, references.upload)
    app.router.add_get(clips, references.listing)
    app.router.add_get(clips + "/{id}", references.get)
    app.router.add_delete(clips + "/{id}", references.delete)
    app.router.add_post("/api/v1/audio/speech", speech)
    add_openai(app, services)
    add_elevenlabs(app)
    app.router.add_get(SPEECH_PATH, _no_upgrade)
    app.router.add_get("/healthz", operations.healthz)
    app.router.add_get("/readyz", operations.readyz)
    app.router.add_get("/version", operations.version)
    if services.settings.metrics_address is None:
        app.router.add_get("/metrics", operations.metrics)
    return app


def build_metrics_app(services: Services) -> web.Application:
    """Only the metrics, for an address of their own."""
    app = web.Application()
    app[SERVICES] = services
    app.router.add_get("/metrics", operations.metrics)
    return app


async def _no_upgrade(request: web.Request) -> NoReturn:
    raise InvalidParameter(f"{SPEECH_PATH} is a WebSocket: connect with an upgrade")

"""For operators and probes: liveness, readiness, version and metrics."""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from cosyserve.version import VERSION

from .envelope import SERVICES, json_response


async def healthz(request: web.Request) -> web.Response:
    """The process is up."""
    return json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """A new task would be served now; else 503 with the reason."""
    services = request.app[SERVICES]
    if services.admission.draining:
        return json_response({"status": "draining"}, 503)
    if not services.engine.ready:
        return json_response({"status": "engine not ready"}, 503)
    return json_response({"status": "ready"})


async def version(request: web.Request) -> web.Response:
    """The server's version and what its engine can do."""
    native = request.app[SERVICES].engine.capabilities
    return json_response(
        {
            "version": VERSION,
            "engine": native.name,
            "modes": sorted(native.modes),
            "instruct": native.instruct,
            "languages": list(native.languages),
            "word_times": native.word_times,
            "native_sample_rate": native.sample_rate,
            "voices": [asdict(voice) for voice in native.voices],
        }
    )


async def metrics(request: web.Request) -> web.Response:
    """Prometheus' page."""
    body, content_type = request.app[SERVICES].metrics.render(request.headers.get("Accept"))
    return web.Response(body=body, headers={"Content-Type": content_type})

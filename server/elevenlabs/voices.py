"""The voices of this dialect: `GET /v1/voices` and its kin."""

from __future__ import annotations

from aiohttp import web

from cosyserve.protocol.elevenlabs.rest import voice_list, voice_object, voice_page
from cosyserve.protocol.fields import JsonObject
from cosyserve.protocol.cosyvoice.rest import LIMIT_MAX

from ..voices.store import StoredReference
from ..http.envelope import CALLER, SERVICES, json_response
from ..services import Services


async def voices(request: web.Request) -> web.Response:
    """The engine's own voices and the caller's references."""
    return json_response(voice_list(await _all(request)))


async def voices_page(request: web.Request) -> web.Response:
    """The same on one page; `search` keeps those that have it in their name."""
    search = request.query.get("search", "").casefold()
    found = [each for each in await _all(request) if search in each["name"].casefold()]
    return json_response(voice_page(found))


async def voice(request: web.Request) -> web.Response:
    services, wanted = request.app[SERVICES], request.match_info["voice_id"]
    for each in _own(services):
        if each["voice_id"] == wanted:
            return json_response(each)
    owner = services.owner(request[CALLER])
    return json_response(_cloned(await services.store.get(owner, wanted)))


async def _all(request: web.Request) -> list[JsonObject]:
    services = request.app[SERVICES]
    owner = services.owner(request[CALLER])
    stored = await services.store.list(owner, LIMIT_MAX, "desc")
    return [*_own(services), *map(_cloned, stored)]


def _own(services: Services) -> list[JsonObject]:
    return [
        voice_object(each.id, each.name, "premade", each.gender)
        for each in services.engine.capabilities.voices
    ]


def _cloned(stored: StoredReference) -> JsonObject:
    return voice_object(stored.id, stored.name or stored.filename or stored.id, "cloned")

"""ElevenLabs' pronunciation dictionaries, `/v1/pronunciation-dictionaries`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web

from cosyserve.engine.threads import uninterrupted
from cosyserve.protocol.elevenlabs.dictionaries import (
    DictionaryFields,
    changed_body,
    check_names,
    made_body,
    metadata_body,
    page_body,
    parse_dictionary_query,
    parse_new,
    parse_rule_strings,
    parse_rules,
    parse_update,
    whole_body,
)
from cosyserve.protocol.errors import (
    InvalidParameter,
    RequestTimeout,
    RouteNotFound,
    UnsupportedMediaType,
)
from cosyserve.protocol.fields import JsonObject, shown
from cosyserve.protocol.phrases import Rule

from ..dictionaries.dictionary import Dictionary
from ..dictionaries.pls import LONGEST, read_pls, written_pls
from ..dictionaries.shelf import DictionaryShelf
from ..http.bodies import read_body, read_bounded
from ..http.envelope import CALLER, SERVICES, json_response
from ..http.forms import boundary_of, parse_form
from . import HttpRoute

PATH: Final = "/v1/pronunciation-dictionaries"
_MAX_FIELDS_BYTES: Final = 16 * 1024

_Change = Callable[[tuple[Rule, ...]], tuple[Rule, ...]]


async def add_from_rules(request: web.Request) -> web.Response:
    asked = parse_new(await read_body(request))
    return await _made(request, asked.name, asked.description, asked.rules)


async def add_from_file(request: web.Request) -> web.Response:
    """Make a dictionary of a lexicon in PLS."""
    fields, file = await _form(request)
    name, description = check_names(fields)
    threads = request.app[SERVICES].form_threads
    rules = await uninterrupted(threads.run(read_pls, file))
    if not rules:
        raise InvalidParameter("file: it has no lexemes; allowed: one at least")
    return await _made(request, name, description, rules)


async def listing(request: web.Request) -> web.Response:
    query = parse_dictionary_query(request.query)
    shelf, owner = _shelf(request)
    found = [_fields(each) for each in await shelf.all(owner)]
    return json_response(page_body(found, query))


async def get(request: web.Request) -> web.Response:
    return json_response(whole_body(_fields(await _found(request))))


async def update(request: web.Request) -> web.Response:
    """Rename, archive or restore a dictionary."""
    asked = parse_update(await read_body(request))
    shelf, owner = _shelf(request)
    changed = await shelf.update(owner, request.match_info["id"], asked.name, asked.archived)
    return json_response(metadata_body(_fields(changed)))


async def set_rules(request: web.Request) -> web.Response:
    rules = parse_rules(await read_body(request))
    return await _changed(request, lambda _: rules)


async def add_rules(request: web.Request) -> web.Response:
    """Add rules; one for a phrase that has a rule takes its place."""
    added = parse_rules(await read_body(request))
    phrases = {rule.phrase for rule in added}
    return await _changed(
        request, lambda rules: (*(each for each in rules if each.phrase not in phrases), *added)
    )


async def remove_rules(request: web.Request) -> web.Response:
    phrases = parse_rule_strings(await read_body(request))

    def without(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        known = {each.phrase for each in rules}
        for phrase in sorted(phrases - known):
            raise InvalidParameter(
                f"rule_strings: no rule is for {shown(phrase)}; allowed: phrases of the latest version"
            )
        return tuple(each for each in rules if each.phrase not in phrases)

    return await _changed(request, without)


async def download(request: web.Request) -> web.Response:
    """A version as a lexicon in PLS."""
    found, version_id = await _found(request), request.match_info["version"]
    version = found.version(version_id)
    if version is None:
        wanted = f"{shown(found.name)} has no version {shown(version_id)}"
        raise RouteNotFound(f"{wanted}, or none any more")
    return web.Response(
        body=written_pls(version.rules),
        content_type="application/pls+xml",
        charset="utf-8",
        headers={"Content-Disposition": f'attachment; filename="{version.id}.pls"'},
    )


def _shelf(request: web.Request) -> tuple[DictionaryShelf, str]:
    """The dictionaries, and whose of them the caller sees; "": everybody's."""
    services = request.app[SERVICES]
    return services.dictionaries, services.owner(request[CALLER]) or ""


async def _found(request: web.Request) -> Dictionary:
    shelf, owner = _shelf(request)
    return await shelf.get(owner, request.match_info["id"])


async def _made(
    request: web.Request, name: str, description: str, rules: tuple[Rule, ...]
) -> web.Response:
    shelf, owner = _shelf(request)
    made = await shelf.create(owner, request[CALLER].name, name, description, rules)
    return json_response(made_body(_fields(made)))


async def _changed(request: web.Request, change: _Change) -> web.Response:
    shelf, owner = _shelf(request)
    changed = await shelf.change_rules(owner, request.match_info["id"], change)
    return json_response(changed_body(_fields(changed)))


def _fields(found: Dictionary) -> DictionaryFields:
    latest = found.latest
    return DictionaryFields(
        found.id,
        found.name,
        found.description,
        found.created_by,
        found.created_at,
        found.archived_at,
        latest.id,
        latest.rules,
    )


async def _form(request: web.Request) -> tuple[JsonObject, bytes]:
    """The fields of a form, and its file. Raises TTSError."""
    if request.content_type != "multipart/form-data":
        raise UnsupportedMediaType("an upload is multipart/form-data with the fields name and file")
    limit = request.app[SERVICES].settings.body_timeout
    try:
        async with asyncio.timeout(limit):
            body = await read_bounded(request, LONGEST + _MAX_FIELDS_BYTES)
    except TimeoutError:
        raise RequestTimeout(f"the body took longer than {limit:g} s") from None
    fields: JsonObject = {}
    file: bytes | None = None
    for part in parse_form(body, boundary_of(request.headers["Content-Type"])):
        if part.name == "file" and part.filename is not None:
            file = bytes(part.data)
        elif part.name in ("name", "description"):
            fields[part.name] = bytes(part.data).decode("utf-8", "replace")
    if file is None:
        raise InvalidParameter("file: missing; allowed: a lexicon in PLS")
    return fields, file


_ONE: Final = f"{PATH}/{{id:(?!add-from-)[^/]+}}"
ROUTES: Final = (
    HttpRoute("POST", f"{PATH}/add-from-rules", add_from_rules),
    HttpRoute("POST", f"{PATH}/add-from-file", add_from_file),
    HttpRoute("GET", PATH, listing),
    HttpRoute("GET", _ONE, get),
    HttpRoute("PATCH", _ONE, update),
    HttpRoute("POST", f"{PATH}/{{id}}/set-rules", set_rules),
    HttpRoute("POST", f"{PATH}/{{id}}/add-rules", add_rules),
    HttpRoute("POST", f"{PATH}/{{id}}/remove-rules", remove_rules),
    HttpRoute("GET", f"{PATH}/{{id}}/{{version}}/download", download),
)
